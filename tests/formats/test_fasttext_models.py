"""fastText's files as models, and models as its files: vectors and neighbours are equal in both programs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from support.models import make_data

from cooc_engine import FasttextOptions, train
from cooc_engine.cli.app import main
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.formats.fasttext import read_fasttext, write_fasttext
from cooc_engine.formats.vectors import export_vectors, format_of, read_vectors
from cooc_engine.models.file import open_model, save_model
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.vectors.classifier import Classifier
from cooc_engine.vectors.model import import_vectors
from cooc_engine.vectors.quantisation import quantize
from cooc_engine.vectors.query import Vectors, nn

LOSSES = ["ns", "hs", "softmax"]
SIZES = {"vector_size": 6, "epochs": 2, "buckets": 400, "min_n": 2, "max_n": 4, "window": 3, "subsample": 0.0}


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("fasttext")


def vector(theirs, word: str) -> np.ndarray:
    """The vector of a word in the program; some builds of the package scale what `get_word_vector` returns to length 1."""
    found = np.mean([theirs.get_input_vector(row) for row in theirs.get_subwords(word)[1]], axis=0)
    told = theirs.get_word_vector(word)
    np.testing.assert_allclose(told / np.linalg.norm(told), found / np.linalg.norm(found), atol=1e-5)
    return found


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path, chance = tmp_path_factory.mktemp("text") / "text.txt", Random(7)
    words = [f"{root}{end}" for root in ("drei", "vier", "fünf", "水") for end in ("", "zehn", "zig", "mal", "fach")]
    path.write_text("".join(" ".join(chance.choices(words, k=9)) + "\n" for _ in range(150)))
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory) -> dict[str, Path]:
    """A model of ours for each loss."""
    at = tmp_path_factory.mktemp("trained")
    for loss in LOSSES:
        options = FasttextOptions(**SIZES, loss=loss, architecture="cbow" if loss == "hs" else "skipgram")
        train("fasttext", text, at / f"{loss}.h5", options, encode=EncodeOptions(min_count=1), threads=1)
    return {loss: at / f"{loss}.h5" for loss in LOSSES}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_exported_is_the_same_there_and_back(tmp_path, trained, package, loss):
    ours, path = open_model(trained[loss]), tmp_path / "m.bin"
    done = export_vectors(trained[loss], path)
    assert (done.words, done.vector_size, format_of(path)) == (len(ours.vocabulary), 6, "fasttext")
    theirs = package.load_model(str(path))
    assert theirs.words == ours.vocabulary.words
    np.testing.assert_allclose([vector(theirs, word) for word in theirs.words], ours.matrix, atol=1e-6)
    np.testing.assert_allclose(vector(theirs, "dreizehnzig"), ours.subwords.vectors(["dreizehnzig"])[0][0], atol=1e-6)
    line = "vierzig dreizehnzig 水 vierzig"
    np.testing.assert_allclose(Vectors.open(path).sentence_vector(line, "unit"), theirs.get_sentence_vector(line), atol=1e-6)
    near = theirs.get_nearest_neighbors("dreizig", k=5)
    assert [word for word, _ in nn(trained[loss], ["dreizig"], 5)["dreizig"]] == [word for _, word in near]
    args = theirs.f.getArgs()
    assert (args.ws, args.epoch, args.bucket, args.minn, args.maxn, args.loss.name) == (3, 2, 400, 2, 4, loss)
    again = import_vectors(path, tmp_path / "again.h5")
    assert not again.provenance["left_out"] and again.family == "fasttext" and again.names == ours.names
    assert all(np.array_equal(again.array(name), ours.array(name)) for name in ours.names if name != "words")
    np.testing.assert_allclose(again.matrix, ours.matrix, atol=1e-6)
    assert export_vectors(tmp_path / "again.h5", tmp_path / "twice.bin").words == done.words
    assert (tmp_path / "twice.bin").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("architecture", "loss"), [("skipgram", "ns"), ("cbow", "hs")])
def test_what_they_trained_is_the_same_here_and_back(tmp_path, text, package, architecture, loss):
    sizes = {"dim": 5, "epoch": 1, "bucket": 300, "minCount": 1, "minn": 1, "maxn": 3, "lrUpdateRate": 50}
    theirs = package.train_unsupervised(str(text), model=architecture, loss=loss, thread=1, verbose=0, **sizes)
    path = tmp_path / "m.bin"
    theirs.save_model(str(path))
    model = import_vectors(path, tmp_path / "m.h5")
    assert model.vocabulary.words == theirs.words
    np.testing.assert_allclose(model.matrix, [vector(theirs, word) for word in theirs.words], atol=1e-6)
    np.testing.assert_allclose(model.subwords.vectors(["unseen"])[0][0], vector(theirs, "unseen"), atol=1e-6)
    export_vectors(tmp_path / "m.h5", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == path.read_bytes()
    found = read_vectors(path)
    assert np.array_equal(found.vectors, model.matrix) and found.vocabulary.counts.tolist() == model.vocabulary.counts.tolist()
    opened = Vectors.open(path)
    assert "unseen" not in opened
    np.testing.assert_allclose(opened["unseen"], vector(theirs, "unseen"), atol=1e-6)
    assert opened.get_subwords("unseen")[0] == theirs.get_subwords("unseen")[0]
    near = opened.neighbours(["vierzig"], 4)["vierzig"]
    assert [word for word, _ in near] == [word for _, word in theirs.get_nearest_neighbors("vierzig", k=4)]


@pytest.mark.parametrize("qnorm", [False, True])
def test_vectors_of_quantised_files_are_theirs(tmp_path, package, qnorm):
    chance, path = Random(9), tmp_path / "text.txt"
    path.write_text(
        "".join(f"__label__{n % 2} " + " ".join(f"{chance.randrange(600):04}" for _ in range(9)) + "\n" for n in range(300))
    )
    theirs = package.train_supervised(str(path), dim=5, epoch=1, bucket=300, minn=2, maxn=3, thread=1, verbose=0)
    theirs.quantize(cutoff=500, qnorm=qnorm)
    theirs.save_model(str(tmp_path / "m.ftz"))
    found = read_vectors(tmp_path / "m.ftz")
    assert found.vocabulary.words == theirs.words and len(theirs.words) < 600
    model = import_vectors(tmp_path / "m.ftz", tmp_path / "m.h5")
    for vectors in (Vectors.open(tmp_path / "m.ftz"), Vectors.open(model)):
        np.testing.assert_allclose(vectors.vectors, [vector(theirs, word) for word in theirs.words], atol=1e-6)
        np.testing.assert_allclose(vectors.get_word_vector("0042never"), vector(theirs, "0042never"), atol=1e-6)
        ngrams, rows = vectors.get_subwords(theirs.words[1])
        everything, kept = theirs.get_subwords(theirs.words[1])
        assert len(ngrams) == len(rows) == len(kept) < len(everything), "of the n-grams some were left out"
    with pytest.raises(UsageError, match="gensim has a row for every bucket"):
        Vectors.open(model).to_gensim()


def test_other_models_are_exported_as_words_alone(tmp_path, package):
    save_model(tmp_path / "m.h5", make_data(30, 6))
    export_vectors(tmp_path / "m.h5", tmp_path / "m.bin", "fasttext")
    ours, theirs = open_model(tmp_path / "m.h5"), package.load_model(str(tmp_path / "m.bin"))
    assert np.array_equal(theirs.get_input_matrix(), ours.matrix)
    assert not theirs.get_output_matrix().any() and theirs.get_subwords("wört1")[0] == ["wört1"]
    again = import_vectors(tmp_path / "m.bin", tmp_path / "again.h5")
    assert np.array_equal(again.matrix, ours.matrix) and again.vocabulary.counts.tolist() == ours.vocabulary.counts.tolist()
    assert again.subwords is None


def test_ngrams_that_the_program_cannot_read_are_not_lost_in_silence(tmp_path, trained, text):
    quantize(trained["ns"], tmp_path / "small.h5")
    floret = FasttextOptions(**SIZES, mode="floret", hashes=2)
    train("fasttext", text, tmp_path / "floret.h5", floret, encode=EncodeOptions(min_count=1), threads=1)
    wrong = {"small": "words and n-grams are not quantised together", "floret": r"hashes .* as floret does.*FILE\.floret"}
    for (name, why), suffix in itertools.product(wrong.items(), (".bin", ".ftz")):
        with pytest.raises(UsageError, match=f"{name}.h5: {why}.*, or words alone with format='word2vec-bin'"):
            export_vectors(tmp_path / f"{name}.h5", tmp_path / f"m{suffix}")
        done = export_vectors(tmp_path / f"{name}.h5", tmp_path / "m.bin", "word2vec-bin", force=True)
        assert np.array_equal(read_vectors(done.files[0]).vectors, open_model(tmp_path / f"{name}.h5").matrix)


def test_the_command_line(tmp_path, trained, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(trained["ns"]), "m.bin"]) == 0
    assert main(["import", "m.bin", "m.h5"]) == 0
    assert main(["nn", "m.bin", "vierzig", "--topn", "2"]) == 0
    assert main(["export", "m.bin", "m.vec"]) == 0
    assert "20 vectors of size 6" in capsys.readouterr().out
    assert main(["export", str(trained["ns"]), "n.bin", "--restrict", "3"]) == 2
    assert "--restrict 3: --format fasttext holds the whole model" in capsys.readouterr().err


def test_a_file_without_ngrams_is_a_start(tmp_path, text):
    sizes = {"vector_size": 6, "epochs": 1, "max_n": 0}
    how = {"encode": EncodeOptions(min_count=1), "threads": 1}
    first = train("fasttext", text, tmp_path / "m.h5", FasttextOptions(**sizes), **how)
    export_vectors(first.path, tmp_path / "m.bin")
    import_vectors(tmp_path / "m.bin", tmp_path / "again.h5")
    started = FasttextOptions(**sizes, lr=1e-12, init=str(tmp_path / "again.h5"))
    model = train("fasttext", text, tmp_path / "next.h5", started, **how)
    np.testing.assert_allclose(model.array("own"), first.array("own"), atol=1e-6)


def test_what_a_file_cannot_say_is_refused(tmp_path, trained):
    export_vectors(trained["ns"], tmp_path / "m.bin")
    with pytest.raises(UsageError, match=r"vocab .*records how often words occur"):
        import_vectors(tmp_path / "m.bin", tmp_path / "n.h5", vocab=tmp_path / "vocab.txt")
    model = open_model(trained["ns"])
    config = {**model.config, "train": {**model.config["train"], "epochs": 2**40}}
    save_model(tmp_path / "n.h5", replace(model.data(), config=config))
    with pytest.raises(UsageError, match="too large for a file of fastText"):
        export_vectors(tmp_path / "n.h5", tmp_path / "n.bin")
    assert not (tmp_path / "n.bin").exists()


def test_numbers_that_are_not_finite_are_refused(tmp_path, trained):
    export_vectors(trained["ns"], tmp_path / "m.bin")
    whole = read_fasttext(tmp_path / "m.bin")
    inputs = whole.inputs[:]
    inputs[100] = np.inf
    with (tmp_path / "n.bin").open("wb") as file:
        write_fasttext(file, replace(whole, inputs=inputs))
    with pytest.raises(InputError, match="the input matrix holds a number that is not finite"):
        import_vectors(tmp_path / "n.bin", tmp_path / "n.h5")
    assert not (tmp_path / "n.h5").exists()
    with pytest.raises(UsageError, match="errors is 'x'"):
        import_vectors(tmp_path / "m.bin", tmp_path / "n.h5", errors="x")


# -------------------------------------------------------------------------------------------------------- classifiers


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    path, chance = tmp_path_factory.mktemp("labelled") / "text.txt", Random(3)
    lines = [f"__label__{kind} " + " ".join(f"{kind}{chance.randint(0, 120)}" for _ in range(9)) for kind in "abc" * 130]
    path.write_text("\n".join(lines) + "\n")
    return path


LINES = ["a1 a2 b3 a119", "b5 never c3 b6", "", "c1", "never a7 words"]


def assert_equal_answers(ours: Classifier, theirs, within: float = 2e-6) -> None:
    for line in LINES:
        np.testing.assert_allclose(ours.get_sentence_vector(line), theirs.get_sentence_vector(line), atol=1e-6)
        labels, shares = ours.predict(line, k=-1)
        wanted_labels, wanted = theirs.predict(line, k=-1)
        np.testing.assert_allclose(shares, wanted, rtol=0, atol=within)
        assert sorted(labels) == sorted(wanted_labels)


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova", "ns"])
def test_classifiers_answer_the_same_in_both_programs(tmp_path, labelled, package, loss):
    options = {"loss": loss, "vector_size": 5, "word_ngrams": 2, "max_n": 3, "min_n": 2, "buckets": 200, "lr": 0.5, "epochs": 3}
    train("supervised", labelled, tmp_path / "ours.h5", SupervisedOptions(**options), threads=1)
    export_vectors(tmp_path / "ours.h5", tmp_path / "m.bin")
    theirs = package.load_model(str(tmp_path / "m.bin"))
    within = 0.008 if loss in ("ova", "ns") else 2e-6  # for these the program takes σ from a table, in steps of 1/32
    assert_equal_answers(Classifier.open(tmp_path / "ours.h5"), theirs, within)
    assert theirs.test(str(labelled))[1] > 0.9
    again = import_vectors(tmp_path / "m.bin", tmp_path / "again.h5")
    assert again.labels.words == theirs.labels
    assert_equal_answers(Classifier.open(tmp_path / "again.h5"), theirs, within)
    export_vectors(tmp_path / "again.h5", tmp_path / "twice.bin")
    assert (tmp_path / "twice.bin").read_bytes() == (tmp_path / "m.bin").read_bytes()


def test_a_classifier_of_theirs_is_the_same_file_again(tmp_path, labelled, package):
    """Also where it has options that its loss does not use."""
    theirs = package.train_supervised(str(labelled), dim=5, epoch=1, neg=9, lrUpdateRate=50, minn=3, thread=1, verbose=0)
    theirs.save_model(str(tmp_path / "m.bin"))
    import_vectors(tmp_path / "m.bin", tmp_path / "m.h5")
    export_vectors(tmp_path / "m.h5", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == (tmp_path / "m.bin").read_bytes()


def test_the_packages_methods_as_the_guide_has_them(tmp_path, labelled, package):
    theirs = package.train_supervised(
        str(labelled), dim=5, epoch=1, wordNgrams=2, minn=2, maxn=3, bucket=200, thread=1, verbose=0
    )
    theirs.save_model(str(tmp_path / "m.bin"))
    kv, model = Vectors.open(tmp_path / "m.bin"), import_vectors(tmp_path / "m.bin", tmp_path / "m.h5")
    classifier, word, lines = Classifier.open(tmp_path / "m.bin"), theirs.words[3], labelled.read_text().splitlines()
    assert [(w, round(s, 4)) for s, w in theirs.get_nearest_neighbors(word, 3)] == [
        (near, round(score, 4)) for near, score in kv.most_similar(word, topn=3)
    ]
    a, b, c = theirs.words[1:4]
    assert [near for _, near in theirs.get_analogies(a, b, c, 3)] == [near for near, _ in kv.analogy(b, a, c, topn=3)]
    assert theirs.get_words(include_freq=True)[1].tolist() == kv.vocabulary.counts.tolist()
    assert theirs.get_labels(include_freq=True)[1].tolist() == model.labels.counts.tolist()
    assert (theirs.get_word_id(word), theirs.get_label_id("__label__b")) == (
        kv.key_to_index[word],
        model.labels.ids["__label__b"],
    )
    assert theirs.get_subword_id("a1") == dict(zip(*kv.get_subwords("ba12"), strict=True))["a1"]
    assert (theirs.get_dimension(), theirs.is_quantized()) == (kv.vector_size, bool(model.codes))
    assert np.array_equal(theirs.get_input_matrix(), np.concatenate([model.array("words"), model.array("ngrams")]))
    assert np.array_equal(theirs.get_output_matrix(), model.array("labels"))
    assert theirs.get_line("a1 b2")[0] == [*kv.words_of("a1 b2"), "</s>"]
    scores = classifier.test(labelled)
    assert theirs.test(str(labelled)) == pytest.approx((scores.lines, scores.precision, scores.recall))
    ours, wanted = scores.of_labels(), theirs.test_label(str(labelled))
    assert {label: pytest.approx(row) for label, row in wanted.items()} == ours
    answers = [dict(zip(*both, strict=True)) for both in zip(*classifier.predict(lines, k=-1), strict=True)]
    order = np.argsort([-some["__label__b"] for some in answers], kind="stable")
    hits = np.cumsum(np.array([line.startswith("__label__b") for line in lines])[order])
    found = np.array([hits / np.arange(1, len(lines) + 1), hits / hits[-1]])
    wanted = np.array(theirs.get_meter(str(labelled)).precision_recall_curve("__label__b"))[:, :-1]
    missing = {*zip(*wanted.round(6).tolist(), strict=True)} - {*zip(*found.round(6).tolist(), strict=True)}
    assert len(missing) < wanted.shape[1] / 50, "equal probabilities may differ in their last bits"


@pytest.mark.parametrize("qout", [False, True])
@pytest.mark.parametrize("sizes", [{"wordNgrams": 2}, {"minn": 2, "maxn": 3, "wordNgrams": 3}, {}], ids=str)
def test_quantised_classifiers_of_theirs_answer_the_same_here_and_back(tmp_path, labelled, package, sizes, qout):
    if qout:  # a matrix of fewer than 256 rows is not quantised by the program
        labelled = tmp_path / "many.txt"
        labelled.write_text("".join(f"__label__{n % 300} w{n % 300} w{n % 7} a1 b5\n" for n in range(900)))
    theirs = package.train_supervised(str(labelled), dim=5, epoch=3, bucket=600, loss="softmax", thread=1, verbose=0, **sizes)
    theirs.quantize(input=str(labelled), cutoff=280, retrain=True, qnorm=True, qout=qout, epoch=1, thread=1, verbose=0)
    theirs.save_model(str(tmp_path / "m.ftz"))
    model = import_vectors(tmp_path / "m.ftz", tmp_path / "m.h5")
    assert sum(model.shapes[name][0] for name in ("words", "ngrams") if name in model.names) == 280
    assert set(model.codes) == {*({"words", "ngrams"} & {*model.names}), *(["labels"] if qout else [])}
    assert_equal_answers(Classifier.open(tmp_path / "m.h5"), theirs)
    export_vectors(tmp_path / "m.h5", tmp_path / "back.ftz", "fasttext")
    assert_equal_answers(Classifier.open(tmp_path / "m.h5"), package.load_model(str(tmp_path / "back.ftz")))


@pytest.mark.parametrize(
    "sizes", [{"minn": 2, "maxn": 3}, {"minn": 5, "maxn": 3}, {"minn": 4, "maxn": 3, "wordNgrams": 2}], ids=str
)
def test_character_ngrams_of_classifiers_are_theirs(tmp_path, labelled, package, sizes):
    """In the vectors of words too; where the shortest is longer than the longest there are none."""
    theirs = package.train_supervised(str(labelled), dim=5, epoch=2, bucket=200, lr=0.5, thread=1, verbose=0, **sizes)
    theirs.save_model(str(tmp_path / "m.bin"))
    kv = Vectors.open(import_vectors(tmp_path / "m.bin", tmp_path / "m.h5"))
    for word in (*theirs.words[:9], "a7new"):
        wanted = vector(theirs, word) if len(theirs.get_subwords(word)[1]) else np.zeros(5)
        np.testing.assert_allclose(kv.get_word_vector(word), wanted, atol=1e-6)
    export_vectors(tmp_path / "m.h5", tmp_path / "m.vec")
    np.testing.assert_allclose(read_vectors(tmp_path / "m.vec").vectors, kv.vectors, atol=1e-6)
    assert_equal_answers(Classifier.open(tmp_path / "m.h5"), theirs)


def test_a_classifier_of_theirs_is_quantised_as_it_is(tmp_path, labelled, package):
    theirs = package.train_supervised(str(labelled), dim=5, epoch=2, bucket=200, wordNgrams=2, thread=1, verbose=0)
    theirs.save_model(str(tmp_path / "m.bin"))
    done = quantize(tmp_path / "m.bin", tmp_path / "q.h5", QuantizeOptions(cutoff=300, retrain=str(labelled)), threads=1)
    assert done.bytes_before == (tmp_path / "m.bin").stat().st_size
    export_vectors(tmp_path / "q.h5", tmp_path / "q.ftz")
    assert_equal_answers(Classifier.open(tmp_path / "q.h5"), package.load_model(str(tmp_path / "q.ftz")))


def test_sentence_vectors_of_a_classifier_are_printed_as_theirs(tmp_path, labelled, package, capsys, monkeypatch):
    options = SupervisedOptions(vector_size=5, word_ngrams=2, buckets=50, epochs=2)
    train("supervised", labelled, tmp_path / "ours.h5", options, threads=1)
    export_vectors(tmp_path / "ours.h5", tmp_path / "m.bin")
    theirs = package.load_model(str(tmp_path / "m.bin"))
    for path in ("ours.h5", "m.bin"):
        assert main(["sentence-vector", str(tmp_path / path), LINES[0], "--how", "line"]) == 0
        found = [float(number) for number in capsys.readouterr().out.split()]
        np.testing.assert_allclose(found, theirs.get_sentence_vector(LINES[0]), atol=1e-6)
    with pytest.raises(InputError, match="text 0 has a line end"):
        Classifier.open(tmp_path / "ours.h5").get_sentence_vector("a\nb")


def test_a_classifier_of_theirs_is_asked_as_it_is(tmp_path, labelled, package, capsys):
    theirs = package.train_supervised(str(labelled), dim=5, epoch=2, bucket=200, wordNgrams=2, thread=1, verbose=0)
    theirs.quantize(cutoff=300)
    theirs.save_model(str(tmp_path / "m.ftz"))
    assert_equal_answers(Classifier.open(tmp_path / "m.ftz"), theirs)
    assert main(["test", str(tmp_path / "m.ftz"), str(labelled)]) == 0
    assert capsys.readouterr().out.startswith("N\t390\n")
    with pytest.raises(InputError, match=r"m\.txt: "):
        (tmp_path / "m.txt").write_bytes((tmp_path / "m.ftz").read_bytes()[:90])
        Classifier.open(tmp_path / "m.txt")
    import_vectors(tmp_path / "m.ftz", tmp_path / "m.h5")
    export_vectors(tmp_path / "m.h5", tmp_path / "back.ftz")  # by its suffix
    assert_equal_answers(Classifier.open(tmp_path / "back.ftz"), package.load_model(str(tmp_path / "back.ftz")))
