"""What every model family promises. A new family needs an entry in `models.FAMILIES`, and quick options here."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import cooc_engine
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, InputError, InterruptedRun, UnknownWordError, UsageError
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.models.families import FAMILIES, family_of, trainable
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.models.published import WITH_WORDS
from cooc_engine.pipeline.describe import info
from cooc_engine.pipeline.train import train
from cooc_engine.storage.locks import locked
from cooc_engine.vectors.query import Vectors, nn

STREAM = {"vector_size": 7, "epochs": 2, "lr": 0.05, "subsample": 0, "seed": 3, "deterministic": True}
QUICK = {
    "glove": {"vector_size": 7, "epochs": 2, "x_max": 10, "seed": 3},
    "simpler-glove": {"vector_size": 7, "epochs": 2, "x_max": 10, "seed": 3},
    "pmi": {},
    "pmi-svd": {"vector_size": 7, "seed": 3},
    "skipgram": STREAM,
    "cbow": STREAM,
    "doc2vec": {**STREAM, "words": "on"},
    "jose": STREAM,
    "fasttext": {**STREAM, "buckets": 300},
    "supervised": {"vector_size": 7, "epochs": 2, "lr": 0.5, "seed": 3, "deterministic": True, "label": "wört6"},
    "elmo": {
        "vector_size": 7,
        "cells": 5,
        "characters": 3,
        "filters": "1:4,3:5",
        "batch": 4,
        "negatives": 20,
        "epochs": 2,
        "seed": 3,
    },
}

OTHER = {"pmi": {"cds": 0.5}}  # what makes another model, where that is not another seed
CSR = {"indices": np.int32, "indptr": np.int64, "shape": np.int64}  # of explicit vectors
UNTIED = {"simpler-glove": {"tying": "free"}}  # for which all choices of vectors are there

pytestmark = pytest.mark.parametrize("family", trainable())


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("contract") / "text.txt"
    texts = [" ".join(f"wört{k}" for k in rng.geometric(0.08, 20)) for _ in range(80)]
    path.write_text("\n".join(texts) + "\n")
    return path


@pytest.fixture(scope="module")
def corpora(text) -> dict[type[EncodeOptions], Corpus]:
    """What each family makes of a text, by the class of the options."""
    kinds = {family.encoding for family in trainable().values()}
    return {kind: encode(text, text.with_name(kind.__name__), kind()) for kind in kinds}


@pytest.fixture
def corpus(family, corpora) -> Corpus:
    return corpora[FAMILIES[family].encoding]


@pytest.fixture(scope="module")
def coocs(corpora) -> dict[type[CountOptions], Cooc]:
    """The counts that each family makes of a text, by the class of their options."""
    kinds, corpus = {family.counting or CountOptions for family in trainable().values()}, corpora[EncodeOptions]
    return {kind: count(corpus, corpus.path.with_name(kind.__name__), kind(window=10)) for kind in kinds}


def words_of(family: str, data: Corpus | Cooc) -> Vocabulary:
    """The words that a model of the family has; a classifier's are without labels, but with the line end."""
    if family != "supervised":
        return data.vocabulary
    counts = dict(zip(data.vocabulary.words, data.vocabulary.counts.tolist(), strict=True)) | {"</s>": data.documents}
    words = sorted((word for word in counts if not word.startswith("wört6")), key=lambda word: (-counts[word], word.encode()))
    return Vocabulary.from_words(words, [counts[word] for word in words])


@pytest.fixture
def cooc(family, coocs) -> Cooc:
    return coocs[FAMILIES[family].counting or CountOptions]


@pytest.fixture
def data(family, corpus, cooc) -> Corpus | Cooc:
    """What the family is trained on."""
    return corpus if FAMILIES[family].counting is None else cooc


def quick(family: str, **changes):
    return FAMILIES[family].options(**{**QUICK[family], **changes})


def takes(family: str, option: str) -> bool:
    return option in quick(family).record()


def other(family: str):
    return quick(family, **OTHER.get(family, {"seed": 4}))


def arrays(model: ModelFile) -> dict[str, bytes]:
    return {name: model.array(name).tobytes() for name in model.names}


@pytest.fixture
def model(family, data, tmp_path) -> ModelFile:
    return train(family, data, tmp_path / "model.h5", quick(family), threads=2)


def test_the_file_opens_whole_with_finite_arrays_of_the_right_shapes(family, corpus, data, model):
    opened = open_model(model.path, verify=True)
    assert opened.family == family
    assert arrays(opened) == arrays(model)
    lengths = {"V": len(words_of(family, data)), "C": len(data.vocabulary)}
    lengths |= {"d": QUICK[family].get("vector_size"), "B": QUICK[family].get("buckets")}
    lengths["L"] = 0 if opened.labels is None else sum(word.startswith("wört6") for word in data.vocabulary.words)
    lengths["D"] = 0 if opened.document_ids is None else corpus.documents
    for name, axes in FAMILIES[family].arrays.items() if FAMILIES[family].rows == "dense" else ():
        if name not in FAMILIES[family].optional or name in opened.names:
            assert opened.axes[name] == axes
            assert opened.array(name).shape == tuple(lengths[axis] for axis in axes.split())
    for name in opened.names:
        assert opened.array(name).dtype == CSR.get(name, np.float32)
        assert np.isfinite(opened.array(name)).all()
        assert np.ptp(opened.array(name)) > 0 or name == "shape"
    assert opened.matrix.shape[0] == lengths["V"]


def test_the_vocabulary_is_that_of_the_counts(family, data, model):
    words = words_of(family, data)
    assert model.vocabulary.words == words.words
    assert np.array_equal(model.vocabulary.counts, words.counts)
    assert model.vocabulary.digest == words.digest


def test_threads_do_not_change_a_bit(family, data, model, tmp_path):
    for threads in (1, 3, 4):
        other = train(family, data, tmp_path / f"{threads}.h5", quick(family), threads=threads)
        assert arrays(other) == arrays(model)


def test_the_seed_decides(family, data, model, tmp_path):
    again = train(family, data, tmp_path / "again.h5", quick(family))
    changed = train(family, data, tmp_path / "other.h5", other(family))
    assert arrays(again) == arrays(model)
    assert arrays(changed) != arrays(model)
    seeds = (3, 4) if takes(family, "seed") else (None, None)
    assert (model.provenance["seed"], changed.provenance["seed"]) == seeds


def test_counts_corpus_and_text_lead_to_the_same_model(family, text, corpus, data, model, tmp_path):
    """`train` encodes and counts with the default options, which are those of the fixtures."""
    for number, source in enumerate((data.path, corpus, corpus.path, text, str(text))):
        other = train(family, source, tmp_path / f"{number}.h5", quick(family))
        assert arrays(other) == arrays(model)
        assert other.vocabulary.words == model.vocabulary.words
        assert other.config == model.config
    assert not [path.name for path in tmp_path.iterdir() if path.suffix != ".h5"], "nothing is left beside the models"


def test_options_of_the_stages_before_are_taken_from_python_too(family, text, data, tmp_path):
    encoding, counting = EncodeOptions(min_count=9), FAMILIES[family].counting
    counted = counting and counting(window=3)
    model = train(family, text, tmp_path / "model.h5", quick(family), encode=encoding, count=counted)
    assert model.config["encode"] == encoding.record()
    assert model.config.get("count") == (counted and counted.record())
    needless = {"count": CountOptions()} if counting is None else {"encode": encoding}
    with pytest.raises(UsageError, match="no effect"):
        train(family, data, tmp_path / "other.h5", quick(family), **needless)
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_every_option_of_every_stage_is_recorded(family, model):
    stages = {"encode": FAMILIES[family].encoding(), "train": quick(family)}
    if counting := FAMILIES[family].counting:
        stages["count"] = counting(window=10)
    assert model.config == {stage: options.record() for stage, options in stages.items()}
    for stage, options in stages.items():
        assert model.config[stage].keys() == {field.name for field in dataclasses.fields(options)}
        assert type(options)(**model.config[stage]) == options


def test_where_the_model_comes_from_is_recorded(family, corpus, data, model):
    assert model.provenance["corpus"] == corpus.digest
    if FAMILIES[family].counting:
        assert model.provenance["cooc"] == data.digest
    assert model.provenance["cooc_engine"] == cooc_engine.__version__
    assert model.provenance.keys() >= {"tokens", "seed", "threads", "numpy", "numba", "python", "cpu", "cpu_features"}


def test_a_checkpoint_of_a_run_under_way_is_not_for_others(family, data, tmp_path):
    """The message is that another run is at work, not that one was interrupted; with --force and --resume too."""
    output = tmp_path / "model.h5"
    output.with_name("model.h5.checkpoint").touch()
    with locked(output.with_name("model.h5.lock")):
        for how in ({}, {"force": True}, {"resume": True}):
            with pytest.raises(UsageError, match="another run is working on it"):
                train(family, data, output, quick(family), **how)


def test_a_training_of_another_machine_is_taken_over_only_on_request(family, data, model, tmp_path):
    """Where the lock of one machine keeps out no other, what it says does; one that was killed has ended."""
    output = tmp_path / "model.h5"
    lock = output.with_name("model.h5.lock")
    lock.write_text('{"host": "node7", "pid": 7}')
    for how in ({}, {"force": True}, {"resume": True, "take_over": True}):
        with pytest.raises(UsageError, match=r"model.h5: process 7 on node7 is working on it"):
            train(family, data, output, quick(family), **how)
    os.utime(lock, (0, 0))
    with pytest.raises(UsageError, match=r"was killed.* continue with resume=True and take_over=True"):
        train(family, data, output, quick(family), resume=True)
    train(family, data, output, quick(family), resume=True, take_over=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5"]


def test_history_has_a_record_for_each_epoch(family, model):
    epochs = QUICK[family].get("epochs", len(model.history))  # a solver stops by itself
    assert [record["epoch"] for record in model.history] == list(range(1, epochs + 1))
    for record in model.history:
        assert record.keys() >= {"epoch", "loss", "seconds", "items"} | ({"lr"} & model.config["train"].keys())
        assert all(np.isfinite(value) for value in record.values())
    if not epochs:
        assert family == "pmi", "nothing is fitted"
        return
    assert model.history[-1]["loss"] < model.history[0]["loss"]


def test_a_model_is_not_overwritten_unless_forced(family, data, text, model):
    before = model.path.read_bytes()
    for source in (data, text):
        for resume in (False, True):
            with pytest.raises(UsageError, match="force=True") as caught:
                train(family, source, model.path, other(family), resume=resume)
            assert caught.value.exit_code == 2
    assert model.path.read_bytes() == before
    assert [path.name for path in model.path.parent.iterdir()] == ["model.h5"]
    forced = train(family, data, model.path, other(family), force=True)
    assert forced.config["train"] == other(family).record() != quick(family).record()


def failing(error: Exception):
    def fail(*args, **how):
        raise error

    return fail


def test_what_was_counted_on_the_way_is_kept_for_resume(family, text, tmp_path, monkeypatch):
    output, real = tmp_path / "model.h5", FAMILIES[family]
    work = output.with_name("model.h5.work")

    def trained_by(function) -> None:
        monkeypatch.setitem(FAMILIES, family, dataclasses.replace(real, train=function))

    trained_by(failing(InterruptedRun("interrupted")))
    with pytest.raises(InterruptedRun):
        train(family, text, output, quick(family))
    corpus_only = FAMILIES[family].counting is None
    made = (Corpus(work / "corpus") if corpus_only else Cooc(work / "cooc")).manifest
    with pytest.raises(UsageError, match="resume=True"):
        train(family, text, output, quick(family))
    trained_by(failing(UsageError("begun with other options")))
    with pytest.raises(UsageError, match="other options"):
        train(family, text, output, quick(family), resume=True)
    assert (Corpus(work / "corpus") if corpus_only else Cooc(work / "cooc")).manifest == made, "a mistaken option costs nothing"
    trained_by(real.train)
    made_by = sys.modules[(encode if corpus_only else count).__module__]
    monkeypatch.setattr(made_by, "building", failing(AssertionError("it was made again")))
    assert train(family, text, output, quick(family), resume=True).path == output
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_a_failed_training_from_text_leaves_nothing(family, text, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, family, dataclasses.replace(FAMILIES[family], train=failing(InputError("no"))))
    with pytest.raises(InputError):
        train(family, text, tmp_path / "model.h5", quick(family))
    assert not list(tmp_path.iterdir())


def test_options_of_another_kind_are_refused(family, data, tmp_path):
    for wrong in (CountOptions(), {"vector_size": 3}):
        with pytest.raises(UsageError, match=f"{family} takes {FAMILIES[family].options.__name__}"):
            train(family, data, tmp_path / "model.h5", wrong)
    assert not list(tmp_path.iterdir())


def test_an_unknown_family_is_refused_with_the_known_ones(family, data, tmp_path):
    for call in (lambda: family_of(family + "x"), lambda: train(family + "x", data, tmp_path / "model.h5")):
        with pytest.raises(UsageError, match=f"unknown model '{family}x'.*{family}"):
            call()


def test_sources_that_are_none_are_refused_by_name(family, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").touch()
    for name in ("missing.txt", "empty", "empty.txt"):
        with pytest.raises(CoocError, match=name) as caught:
            train(family, tmp_path / name, tmp_path / "model.h5", quick(family))
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "empty.txt"]


def test_every_choice_of_vectors_can_be_asked_and_judged(family, data, tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("wört1\twört2\t3\nwört3\twört4\t1\nwört5\twört1\t2\n")
    for published in [choice for choice in FAMILIES[family].published if choice in WITH_WORDS]:
        path = tmp_path / f"{published}.h5"
        chosen = {"vectors": published} if takes(family, "vectors") else {}
        trained = train(family, data, path, quick(family, **chosen, **UNTIED.get(family, {})))
        found = nn(path, ["wört1", "wört2"], topn=3)
        assert all(len(answers) == 3 for answers in found.values())
        assert "wört1" not in dict(found["wört1"])
        kv = Vectors.open(path)
        word, cosine = found["wört1"][0]
        assert kv.similarity("wört1", word) == pytest.approx(cosine, abs=1e-5)
        assert np.array_equal(kv["wört1"], trained.matrix[trained.vocabulary.ids["wört1"]])
        assert evaluate([path], pairs=[pairs])[0]["covered"] == 3
    with pytest.raises(UnknownWordError, match="'' is not in the vocabulary"):
        nn(path, [""])  # which is too short for an n-gram
    if not FAMILIES[family].subwords:
        with pytest.raises(UnknownWordError, match="nowhere"):
            nn(path, ["nowhere"])


def test_info_tells_all_that_is_recorded(family, model):
    record = info(model.path)
    assert record["kind"] == "model"
    assert record["family"] == family
    assert record["words"] == len(model.vocabulary)
    assert record["arrays"] == {name: list(model.array(name).shape) for name in model.names}
    assert record["config"] == model.config
    assert record["history"] == list(model.history)
    assert json.loads(json.dumps(record)) == record


def test_defaults_are_taken_without_options(family, data, tmp_path, monkeypatch):
    """`train` without options is `train` with the family's defaults: seen in what reaches the family."""
    seen = []

    def spy(*args, **how):
        seen.append((args, how))
        raise KeyboardInterrupt  # instead of a model

    monkeypatch.setitem(FAMILIES, family, dataclasses.replace(FAMILIES[family], train=spy))
    with pytest.raises(KeyboardInterrupt):
        train(family, data, tmp_path / "model.h5", threads=2)
    ((source, output, options), how), = seen  # fmt: skip
    assert (source.path, output, options) == (data.path, tmp_path / "model.h5", FAMILIES[family].options())
    assert how == {"threads": 2}
