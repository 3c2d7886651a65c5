"""floret: hashes of its program, models with one table, and the table that spaCy reads."""

from __future__ import annotations

import numpy as np
import pytest
from support.topics import make_corpus, options_of, planted

from cooc_engine.errors import InputError, UsageError
from cooc_engine.formats.vectors import export_vectors
from cooc_engine.models.file import open_model
from cooc_engine.models.sampled_options import FasttextOptions
from cooc_engine.models.subwords import Subwords
from cooc_engine.pipeline.train import train
from cooc_engine.vectors.query import Vectors

FLORET = {"mode": "floret", "hashes": 2, "buckets": 60, "min_n": 2, "max_n": 3}
LONG = "中国语言学 and a tail of all lengths"  # words and n-grams of up to 40 bytes: whole blocks of the hash, and all tails


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("floret") / "corpus", planted())


@pytest.fixture(scope="module")
def path(corpus):
    return train("fasttext", corpus, corpus.path.with_name("m.h5"), options_of("fasttext", **FLORET)).path


def test_known_rows():
    """Those of floret 0.10.5 for MurmurHash3 x64 128: the whole word first, then its n-grams."""
    ngrams, rows = Subwords(3, 6, 997, 2).of("a")
    assert ngrams == ["<a>", "<a>", "<a>", "<a>"]
    assert rows.tolist() == [533, 938, 533, 938]


def test_rows_are_those_of_florets_package(tmp_path):
    floret = pytest.importorskip("floret")
    (tmp_path / "text.txt").write_text("where\n" * 5)
    how = {"minCount": 1, "dim": 1, "epoch": 1, "thread": 1, "verbose": 0, "mode": "floret"}
    for sizes in [(3, 6, 997, 2), (1, 40, 50000, 4), (2, 2, 64, 1)]:
        min_n, max_n, buckets, hashes = sizes
        program = floret.train_unsupervised(
            str(tmp_path / "text.txt"), minn=min_n, maxn=max_n, bucket=buckets, hashCount=hashes, **how
        )
        for word in ("where", "a", "", LONG):
            ngrams, rows = program.get_subwords(word)
            found = Subwords(*sizes).of(word)
            assert (found[0][::hashes], (found[1] + len(program.words)).tolist()) == (ngrams, rows.tolist())


def test_a_model_has_one_table_and_any_word_a_vector(path):
    model, kv = open_model(path), Vectors.open(path)
    assert model.names == ["contexts", "subwords", "words"] and model.array("subwords").shape == (60, 10)
    for word in ("a1", "strange", ""):
        rows = Subwords(2, 3, 60, 2).of(word)[1]
        np.testing.assert_allclose(kv[word], model.array("subwords")[rows].mean(axis=0), atol=1e-6)
    for word in model.vocabulary:
        assert {near[0] for near, _ in kv.most_similar(word, topn=3)} == {word[0]}


def test_a_model_of_floret_is_a_start_for_another(path, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", planted(7))
    still = {**FLORET, "epochs": 1, "lr": 1e-12, "init": str(path)}
    model = train("fasttext", corpus, tmp_path / "m.h5", options_of("fasttext", **still))
    np.testing.assert_allclose(model.matrix, [Vectors.open(path)[word] for word in model.vocabulary], atol=1e-6)
    with pytest.raises(UsageError, match="was made with hashes=2; pass hashes=2"):
        train("fasttext", corpus, tmp_path / "x.h5", options_of("fasttext", **{**still, "hashes": 3}))
    plain = train("skipgram", corpus, tmp_path / "s.h5", options_of("skipgram", epochs=1)).path
    with pytest.raises(UsageError, match=r"s\.h5: has no n-grams to start from"):
        train("fasttext", corpus, tmp_path / "x.h5", options_of("fasttext", **{**still, "init": str(plain)}))
    with pytest.raises(UsageError, match="leave hashes out"):
        FasttextOptions(hashes=2)


def test_the_table_is_written_for_spacy(path, corpus, tmp_path):
    made = export_vectors(path, tmp_path / "v.floret")
    lines = made.files[0].read_text().splitlines()
    assert lines[0] == "60 10 2 3 2 2166136261 < >"
    table = np.array([line.split() for line in lines[1:]], np.float64)
    assert table[:, 0].tolist() == list(range(60))
    assert np.array_equal(table[:, 1:].astype(np.float32), open_model(path).array("subwords"))
    with pytest.raises(InputError, match=r"v\.floret: is a table of floret, which has no words"):
        Vectors.open(made.files[0])
    with pytest.raises(UsageError, match="restrict=3: format='floret' holds the whole model"):
        export_vectors(path, tmp_path / "x.floret", restrict=3)
    plain = train("skipgram", make_corpus(tmp_path / "c", planted()), tmp_path / "s.h5", options_of("skipgram", epochs=1))
    with pytest.raises(UsageError, match=r"s\.h5: has no floret table"):
        export_vectors(plain.path, tmp_path / "x.floret")
    for min_n, max_n in ((0, 3), (1, 3), (3, 0)):
        how = options_of("fasttext", **{**FLORET, "epochs": 1, "min_n": min_n, "max_n": max_n})
        other = train("fasttext", corpus, tmp_path / "o.h5", how, force=True)
        with pytest.raises(UsageError, match=f"spaCy makes other n-grams of {min_n} to {max_n} characters; pass min_n=2"):
            export_vectors(other.path, tmp_path / "x.floret")


@pytest.mark.spacy
@pytest.mark.filterwarnings("ignore")  # spaCy's and its packages' own
@pytest.mark.parametrize("sizes", [(1, 2, 3), (2, 3, 5), (3, 4, 4), (4, 2, 2)], ids=str)
def test_spacy_reads_the_table_with_equal_vectors(corpus, tmp_path, sizes):
    """By `spacy init vectors xx v.floret made --mode floret`, for each number of hashes; words are known or not."""
    spacy, cli = pytest.importorskip("spacy"), pytest.importorskip("spacy.cli")
    hashes, min_n, max_n = sizes
    how = {"mode": "floret", "hashes": hashes, "buckets": 60, "min_n": min_n, "max_n": max_n, "epochs": 1}
    ours = train("fasttext", corpus, tmp_path / "m.h5", options_of("fasttext", **how)).vectors
    export_vectors(tmp_path / "m.h5", tmp_path / "v.floret")
    command = ["init", "vectors", "xx", str(tmp_path / "v.floret"), str(tmp_path / "made"), "--mode", "floret"]
    cli.app(command, standalone_mode=False)
    nlp = spacy.load(tmp_path / "made")
    for word in (*ours.vocabulary, "strange", "中国", "x", LONG, "🎉"):
        np.testing.assert_allclose(nlp.vocab[word].vector, ours[word], atol=1e-6)
    for token in nlp("a1 strange b2 , 中国"):
        np.testing.assert_allclose(token.vector, ours[token.text], atol=1e-6)
