"""Small models: what queries answer from codes, what is stored, and what is refused."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.models import make_data

from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.formats.vectors import export_vectors
from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.models.file import append_evaluation, open_model, save_model
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import supervised
from cooc_engine.storage import elements
from cooc_engine.vectors import search
from cooc_engine.vectors.classifier import Classifier
from cooc_engine.vectors.model import import_vectors
from cooc_engine.vectors.quantisation import quantize
from cooc_engine.vectors.query import Vectors


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Path, Path]:
    """A GloVe model of 300 words with a centre, and the same quantised."""
    at = tmp_path_factory.mktemp("models")
    data = make_data(300, 6)
    save_model(at / "m.h5", make_data(300, 6, arrays={**data.arrays, "center": np.full(6, 0.25)}))
    quantize(at / "m.h5", at / "small.h5", QuantizeOptions(dsub=2, qnorm=True), threads=2)
    return at / "m.h5", at / "small.h5"


@pytest.fixture(params=[0, 99], ids=["decoded", "tables"])
def few(request, monkeypatch) -> int:
    """The number of queries up to which tables of products are used: none, or all."""
    monkeypatch.setattr(search, "FEW", request.param)
    return request.param


def test_a_small_model_answers_as_its_decoded_vectors_do(models, few):
    small = Vectors.open(models[1])
    plain = Vectors(small.vocabulary, small.vectors)
    words = [small.vocabulary.word(row) for row in (0, 7, 299)]
    found, wanted = small.neighbours(words, 20), plain.neighbours(words, 20)
    for word in words:
        assert [other for other, _ in found[word]] == [other for other, _ in wanted[word]]
        np.testing.assert_allclose([x for _, x in found[word]], [x for _, x in wanted[word]], atol=1e-6)
    assert small.most_similar(words[0], words[1], topn=300)[-1][0] == plain.most_similar(words[0], words[1], topn=300)[-1][0]
    assert len(small.nearest(small.vectors[:1], 300, [[1, 2]])[0][0]) == 300
    assert (small.nearest(small.vectors[:1], 300, [[1, 2]])[0][0][-2:] == -1).all()
    assert small.similarity(*words[:2]) == pytest.approx(plain.similarity(*words[:2]), abs=1e-6)


def test_single_queries_are_answered_without_decoding_the_matrix(models, monkeypatch):
    small = Vectors.open(models[1])
    small.neighbours(["wört0"])  # norms are computed once, block by block
    read: list[int] = []
    original = Quantised.__getitem__
    monkeypatch.setattr(Quantised, "__getitem__", lambda self, rows: read.append(np.size(rows)) or original(self, rows))
    for number in range(20):
        small.neighbours([f"wört{number}"])
    assert set(read) == {1}


def test_what_is_stored_is_the_published_vectors(models):
    whole, small = map(open_model, models)
    assert (small.family, small.published, small.names) == ("glove", "w", ["words"])
    assert small.shapes == {"words": (300, 6)} and small.vocabulary.words == whole.vocabulary.words
    assert small.codes["words"].codes.shape == (300, 3)
    assert small.config["quantize"] == QuantizeOptions(qnorm=True).record()
    assert np.array_equal(small.matrix, small.array("words"))
    cosines = search.cosines(whole.matrix, small.matrix)
    assert cosines.mean() > 0.98
    with pytest.raises(UsageError, match="vectors='c': the model has only words"):
        small.rows("c")
    assert small.digest != whole.digest


def test_scores_can_be_added(models, tmp_path):
    path = tmp_path / "small.h5"
    path.write_bytes(models[1].read_bytes())
    append_evaluation(path, [{"dataset": "x", "kind": "y", "value": 1.0, "covered": 1, "total": 1, "model": "m"}])
    assert np.array_equal(open_model(path, verify=True).matrix, open_model(models[1]).matrix)


def test_the_command_says_what_is_lost(models, tmp_path, capsys):
    whole, small = str(models[0]), str(tmp_path / "s.h5")
    assert main(["quantize", whole, "--output", small, "--dsub", "3", "--threads", "1", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    errors = 1 - search.cosines(open_model(whole).matrix, open_model(small).matrix)
    assert record["mean_cosine_error"] == pytest.approx(errors.mean()) and record["largest_cosine_error"] == errors.max()
    assert (record["words"], record["bytes_after"]) == (300, Path(small).stat().st_size)
    assert main(["quantize", whole, "--output", small]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["quantize", whole, "--output", small, "--force", "--threads", "1"]) == 0
    assert f"{small}: 300 vectors in " in capsys.readouterr().out


def test_what_cannot_be_quantised_is_refused(models, tmp_path):
    with pytest.raises(UsageError, match="is already quantised"):
        quantize(models[1], tmp_path / "s.h5")
    with pytest.raises(UsageError, match="dsub is 0"):
        QuantizeOptions(dsub=0)


def forged(path: Path, to: Path, monkeypatch, **changes) -> Path:
    """Write a quantised model with other arrays, which fit their checksums."""
    data = open_model(path).data()
    words = data.codes["words"]
    values = {name: getattr(words, name) for name in ("codes", "centroids", "dsub", "norm_codes", "norms")}
    unchecked = {**elements.READERS, ("codes", 1): lambda element: element}
    with monkeypatch.context() as patch:
        patch.setattr(elements, "READERS", unchecked)
        patch.setattr("cooc_engine.models.file._check_parameters", lambda *given: {})
        save_model(to, make_data(300, 6, arrays={}, published="w", codes={"words": Quantised(**{**values, **changes})}))
    return to


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dsub": 1}, "1536 numbers of centroids do not fit 3 codes of 1 components"),
        ({"dsub": 0}, r"dsub\[0\] is 0; it must be at least 1"),
        ({"centroids": np.zeros(100, np.float32)}, "100 numbers of centroids do not fit"),
        ({"centroids": np.full(1536, 1e16, np.float32)}, "centroids holds numbers that are not finite, or beyond"),
        ({"codes": np.zeros((299, 3), np.uint8)}, "norm-codes has the shape 300, expected 299"),
        ({"codes": np.zeros((299, 3), np.uint8), "norm_codes": np.zeros(299, np.uint8)}, "words has the shape 299 x 6"),
        ({"norms": np.zeros(255, np.float32)}, "norms has the shape 255, expected 256"),
        ({"norms": None}, "has no norms"),
    ],
)
def test_forged_codes_are_refused(models, tmp_path, monkeypatch, changes, words):
    path = forged(models[1], tmp_path / "f.h5", monkeypatch, **changes)
    with pytest.raises(FormatError, match=words):
        open_model(path)


def test_an_array_is_stored_once(models, tmp_path):
    data, codes = make_data(300, 6), open_model(models[1]).codes
    with pytest.raises(FormatError, match="words is quantised too"):
        save_model(tmp_path / "m.h5", make_data(300, 6, arrays=data.arrays, codes=codes))


def test_words_never_seen_have_vectors_of_quantised_subwords(tmp_path):
    data, buckets = make_data(40, 6), 300
    matrix = np.random.default_rng(8).normal(size=(buckets, 6)).astype(np.float32)
    arrays = {"words": data.arrays["words"], "own": data.arrays["words"], "subwords": matrix}
    options = {"min_n": 2, "max_n": 3, "buckets": buckets}
    whole = make_data(40, 6, family="fasttext", published="w", arrays=arrays, config={"train": options})
    save_model(tmp_path / "m.h5", whole)
    quantize(tmp_path / "m.h5", tmp_path / "small.h5")
    small = open_model(tmp_path / "small.h5")
    assert small.names == ["subwords", "words"]
    found, known = small.subwords.vectors(["never", "x"])
    wanted, _ = open_model(tmp_path / "m.h5").subwords.vectors(["never", "x"])
    assert known.all() and search.cosines(found, wanted).min() > 0.9


# -------------------------------------------------------------------------------------------------------- classifiers


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> tuple[Path, Path]:
    """A text of 300 lines, and a classifier of it."""
    at, random = tmp_path_factory.mktemp("classifier"), np.random.default_rng(4)
    lines = [f"__label__{kind} " + " ".join(f"{kind}{n}" for n in random.integers(60, size=7)) for kind in "abc" * 100]
    (at / "text.txt").write_text("\n".join(lines) + "\n")
    options = SupervisedOptions(vector_size=6, word_ngrams=2, buckets=900, lr=0.5, epochs=5, deterministic=True)
    train("supervised", at / "text.txt", at / "m.h5", options, threads=1)
    return at / "text.txt", at / "m.h5"


def test_a_classifier_keeps_its_longest_rows_and_the_line_end(tmp_path, classifier):
    whole = open_model(classifier[1])
    quantize(classifier[1], tmp_path / "s.h5", QuantizeOptions(cutoff=900, qnorm=True, qout=True), threads=1)
    small = open_model(tmp_path / "s.h5")
    assert set(small.codes) == {"words", "ngrams", "labels"} and "</s>" in small.vocabulary
    assert small.shapes["words"][0] + small.shapes["ngrams"][0] == 900 and len(small.kept) == small.shapes["ngrams"][0]
    lengths = np.linalg.norm(np.concatenate([whole.array("words"), whole.array("ngrams")]), axis=1)
    own = [whole.vocabulary.find(word) for word in small.vocabulary if word != "</s>"]
    lengths[whole.vocabulary.find("</s>")] = np.inf
    least = np.sort(lengths)[-900:].min()
    assert lengths[own].min() >= least and lengths[small.kept + len(whole.vocabulary)].min() >= least
    same = whole.array("words")[[whole.vocabulary.find(word) for word in small.vocabulary]]
    np.testing.assert_allclose(small.array("words"), same, atol=0.1)
    assert Classifier.open(tmp_path / "s.h5").test(classifier[0]).precision > 0.9


def test_what_is_kept_is_trained_again(tmp_path, classifier, monkeypatch):
    seen = {}
    original = supervised.retrained
    monkeypatch.setattr(supervised, "retrained", lambda *given: seen.setdefault("arrays", original(*given)))
    options = QuantizeOptions(cutoff=120, retrain=str(classifier[0]), epochs=3, lr=0.3)
    (tmp_path / "s.h5.retrain" / "corpus").mkdir(parents=True)  # what a killed run left
    (tmp_path / "s.h5.retrain" / "lock").touch()
    quantize(classifier[1], tmp_path / "s.h5", options, threads=1)
    small, whole = open_model(tmp_path / "s.h5"), open_model(classifier[1])
    assert not np.array_equal(small.array("labels"), whole.array("labels"))
    assert np.array_equal(small.array("labels"), seen["arrays"]["labels"])
    np.testing.assert_allclose(small.array("words"), seen["arrays"]["words"], atol=0.1)
    assert len(small.kept) == small.shapes["ngrams"][0] == 120 - len(small.vocabulary)
    assert Classifier.open(tmp_path / "s.h5").test(classifier[0]).precision > 0.95
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.h5"]


def test_buckets_of_left_out_ngrams_take_no_more_memory_than_the_file_justifies(tmp_path, classifier):
    quantize(classifier[1], tmp_path / "s.h5", QuantizeOptions(cutoff=120), threads=1)
    data = open_model(tmp_path / "s.h5").data()
    config = {**data.config, "train": {**data.config["train"], "buckets": 2**31 - 1}}
    save_model(tmp_path / "forged.h5", replace(data, config=config))
    export_vectors(tmp_path / "forged.h5", tmp_path / "forged.ftz", "fasttext")
    import_vectors(tmp_path / "forged.ftz", tmp_path / "imported.h5")
    tracemalloc.start()
    for name in ("forged.h5", "imported.h5"):
        with pytest.raises(FormatError, match=f"{name}: keeps .* n-grams of 2,147,483,647 buckets.*fewer buckets"):
            Classifier.open(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_a_function_that_a_model_names_is_not_run_to_train_again(tmp_path, classifier):
    config = {**open_model(classifier[1]).config, "encode": {"tokenizer": "os:system"}}
    save_model(tmp_path / "m.h5", replace(open_model(classifier[1]).data(), config=config))
    with pytest.raises(UsageError, match=r"m\.h5: splits text by Python code of its own; encode .*text\.txt yourself"):
        quantize(tmp_path / "m.h5", tmp_path / "s.h5", QuantizeOptions(cutoff=120, retrain=str(classifier[0])), threads=1)


def test_a_classifier_that_is_not_what_its_options_tell_is_not_trained_again(tmp_path, classifier):
    older = open_model(classifier[1])
    config = {**older.config, "train": {**older.config["train"], "vector_size": 99}}
    save_model(tmp_path / "m.h5", replace(older.data(), config=config))
    with pytest.raises(FormatError, match=r"m\.h5: its words do not have the shape that its options imply"):
        quantize(tmp_path / "m.h5", tmp_path / "s.h5", QuantizeOptions(cutoff=120, retrain=str(classifier[0])), threads=1)


def test_small_classifiers_answer_the_same_in_the_other_program(tmp_path, classifier):
    package = pytest.importorskip("fasttext")
    quantize(classifier[1], tmp_path / "s.h5", QuantizeOptions(cutoff=400, qnorm=True), threads=1)
    export_vectors(tmp_path / "s.h5", tmp_path / "s.ftz", "fasttext")
    ours, theirs = Classifier.open(tmp_path / "s.h5"), package.load_model(str(tmp_path / "s.ftz"))
    for line in ("a1 a2 b7", "", "c1 never seen c9"):
        (labels, shares), (wanted, probabilities) = ours.predict(line, k=-1), theirs.predict(line, k=-1)
        assert labels == wanted
        np.testing.assert_allclose(shares, probabilities, atol=2e-6)


def test_options_of_classifiers_are_refused_elsewhere(models, tmp_path):
    with pytest.raises(UsageError, match="cutoff and qout are for classifiers"):
        quantize(models[0], tmp_path / "s.h5", QuantizeOptions(cutoff=3))
    with pytest.raises(UsageError, match="pass cutoff too"):
        QuantizeOptions(retrain="text.txt")
    for given in ({"epochs": 3}, {"lr": 0.2}):
        with pytest.raises(UsageError, match="pass retrain too"):
            QuantizeOptions(cutoff=5, **given)


def test_vectors_that_are_all_zero_have_no_error(tmp_path):
    arrays = {name: np.zeros_like(values) for name, values in make_data(9, 4).arrays.items()}
    save_model(tmp_path / "m.h5", make_data(9, 4, arrays=arrays))
    done = quantize(tmp_path / "m.h5", tmp_path / "s.h5", QuantizeOptions(dsub=2**70))
    assert (done.mean_error, done.largest_error) == (0, 0)
    assert open_model(tmp_path / "s.h5").codes["words"].dsub == 4, "no part is longer than a vector"


def test_a_classifier_may_lose_all_its_words(tmp_path, classifier):
    """A line without the n-gram that is left has no answer."""
    data = open_model(classifier[1]).data()
    longest = {**data.arrays, "words": np.zeros_like(data.arrays["words"])}
    vocabulary = Vocabulary.from_words([f"x{word}" for word in data.vocabulary], data.vocabulary.counts)
    save_model(tmp_path / "m.h5", replace(data, arrays=longest, vocabulary=vocabulary))
    done = quantize(tmp_path / "m.h5", tmp_path / "s.h5", QuantizeOptions(cutoff=1))
    assert (done.words, done.mean_error) == (0, 0)
    assert Classifier.open(tmp_path / "s.h5").predict("a1 a2")[0] == ()
