"""Answers of a classifier: from Python, from files and from the command line; each line has one."""

from __future__ import annotations

import dataclasses
import gzip
import io
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.standard_input import given_stdin
from twins.lines import Lines, Network, sigma, softmax

from cooc_engine.cli import classifier as classifier_verbs
from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.models.file import save_model
from cooc_engine.models.sampled_options import SkipgramOptions
from cooc_engine.models.supervised_options import AllWordsOptions, SupervisedOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled.lines import check_kept
from cooc_engine.vectors import line_reader
from cooc_engine.vectors.classifier import Classifier

LOSSES = ("softmax", "hs", "ova", "ns")
TEXTS = ["a1 a2 b3", "", "never seen", "b1 __label__b", "__label__a __label__none", "a1 never a1 c2", "c1\tc2  "]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    rng = np.random.default_rng(2)
    lines = [
        f"__label__{kind} __label__{'abcde'[rng.integers(5)]} " + " ".join(f"{kind}{k}" for k in rng.integers(9, size=6))
        for kind in "aaabbcde" * 10
    ]
    return encode_documents(lines, tmp_path_factory.mktemp("lines") / "corpus", AllWordsOptions())


@pytest.fixture(scope="module")
def models(corpus):
    sizes = {"vector_size": 6, "lr": 0.4, "epochs": 5, "deterministic": True, "word_ngrams": 2, "max_n": 2, "buckets": 70}
    return {
        loss: train("supervised", corpus, corpus.path.with_name(f"{loss}.h5"), SupervisedOptions(loss=loss, **sizes))
        for loss in LOSSES
    }


def twin(model) -> tuple[Lines, Network]:
    labels = {label: row for row, label in enumerate(model.labels.words)}
    lines = Lines(dict(model.vocabulary.ids), labels, ngrams=2, max_n=2, buckets=70)
    inputs = np.concatenate([model.array("words"), model.array("ngrams")]).astype(float)
    return lines, Network(inputs, model.array("labels").astype(float))


def tree(counts: np.ndarray) -> tuple[dict[int, tuple[int, int]], int]:
    """Children of the inner nodes of a Huffman tree: nodes are joined two and two, an inner one before a leaf of its count."""
    sums, waiting, children = list(counts), list(range(len(counts))), {}
    for node in range(len(counts), 2 * len(counts) - 1):
        order = sorted(waiting, key=lambda n: (sums[n], n < len(counts), n if n >= len(counts) else -n))
        children[node] = order[0], order[1]
        sums.append(sums[order[0]] + sums[order[1]])
        waiting = [n for n in waiting if n not in order[:2]] + [node]
    return children, 2 * len(counts) - 2


def leaves(counts: np.ndarray, network: Network, h: np.ndarray) -> dict[int, float]:
    """The score of each label: the sum of log(p + 1e-5) over its path."""
    children, root = tree(counts)
    scores, waiting = {}, [(root, 0.0)]
    while waiting:
        node, score = waiting.pop()
        if node < len(counts):
            scores[node] = score
            continue
        share = 1 / (1 + math.exp(-(network.outputs[node - len(counts)] @ h)))
        left, right = children[node]
        waiting += [(left, score + math.log(1 - share + 1e-5)), (right, score + math.log(share + 1e-5))]
    return scores


@pytest.mark.parametrize("loss", LOSSES)
def test_answers_are_the_twins(models, loss):
    model = models[loss]
    lines, network = twin(model)
    for text, labels, shares in zip(TEXTS, *Classifier(model).predict(TEXTS, k=-1), strict=True):
        h = network.hidden(lines.of(text)[0])
        if loss == "hs":
            wanted = leaves(model.labels.counts, network, h)
        else:
            found = (
                softmax(network.outputs @ h)
                if loss == "softmax"
                else [sigma(math.floor(32 * (z + 8)) / 32 - 8) for z in network.outputs @ h]
            )
            wanted = {label: math.log(share + 1e-5) for label, share in enumerate(found)}
        assert sorted(labels) == sorted(model.labels.words)
        for label, share in zip(labels, shares.tolist(), strict=True):
            assert share == pytest.approx(math.exp(wanted[lines.labels[label]]), rel=1e-4)
        assert shares.tolist() == sorted(shares.tolist(), reverse=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_fewer_answers_are_the_first_of_all(models, loss):
    classifier = Classifier(models[loss])
    everything = classifier.predict(TEXTS, k=-1)
    for k, threshold in itertools.product((1, 2, 4, 9), (0.0, 0.1, 0.6)):
        for labels, shares, *whole in zip(*classifier.predict(TEXTS, k, threshold), *everything, strict=True):
            every = dict(zip(*whole, strict=True))
            assert shares.tolist() == [share for share in every.values() if share >= threshold][:k]
            assert [every[label] for label in labels] == shares.tolist(), "equal ones in whatever order"


def test_one_text_is_as_several(models):
    classifier = Classifier(models["softmax"])
    labels, shares = classifier.predict(TEXTS, k=2)
    for text, one, some in zip(TEXTS, labels, shares, strict=True):
        found, probabilities = classifier.predict(text, k=2)
        assert found == one
        assert np.array_equal(probabilities, some)
    assert classifier.predict([]) == ([], [])
    assert classifier.get_labels() == models["softmax"].labels.words


@pytest.mark.parametrize("end", ["", "\n"])
def test_each_line_of_a_file_has_an_answer(models, tmp_path, end):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS) + end)
    classifier = Classifier(models["softmax"])
    for threads in (1, 3):
        found = [pair for answers in classifier.predict_file(path, 2, threads=threads) for pair in classifier.named(answers)]
        assert [labels for labels, _ in found] == classifier.predict(TEXTS, k=2)[0]


def test_scores_are_those_of_single_answers(models, tmp_path, monkeypatch):
    monkeypatch.setattr("cooc_engine.text.readers.PIECE_BYTES", 50)
    rng = np.random.default_rng(3)
    texts = [f"__label__{'abcdef'[rng.integers(6)]} x{k} a{k % 9} __label__{'ab'[rng.integers(2)]}" for k in range(60)] + TEXTS
    path = tmp_path / "text.txt"
    path.write_text("\n".join(texts))
    classifier = Classifier(models["softmax"])
    scores = classifier.test(path, k=2, threshold=0.1, threads=2)
    lines = gold = predicted = hits = 0
    for text, labels in zip(texts, classifier.predict(texts, 2, 0.1)[0], strict=True):
        own = [word for word in text.split() if word in classifier.labels]
        if own:
            lines, gold, predicted = lines + 1, gold + len(own), predicted + len(labels)
            hits += len([label for label in labels if label in own])
    assert scores.lines == lines
    assert scores.precision == pytest.approx(hits / predicted)
    assert scores.recall == pytest.approx(hits / gold)
    assert scores.f1 == pytest.approx(2 * hits / (gold + predicted))
    recalls = [row["recall"] for row in scores.of_labels().values()]
    assert sum(recall * n for recall, n in zip(recalls, scores.gold, strict=True) if n) == pytest.approx(hits)


def test_new_words_are_forgotten_and_answers_stay(models, tmp_path, monkeypatch):
    texts = [f"never{k} a1 never{k + 1}" for k in range(300)]
    classifier = Classifier(models["softmax"])
    wanted = classifier.predict(texts, k=-1)[1]
    monkeypatch.setattr(line_reader, "NEW_WORDS", 5)
    monkeypatch.setattr("cooc_engine.text.readers.PIECE_BYTES", 200)
    path = tmp_path / "text.txt"
    path.write_text("\n".join(texts))
    found = [shares for answers in classifier.predict_file(path, -1, threads=2) for _, shares in classifier.named(answers)]
    assert np.array_equal(np.array(found), np.array(wanted))


@given(st.lists(st.sampled_from([0.25, 0.5, 0.125, 0.0625]), min_size=1, max_size=9), st.integers(1, 10))
@settings(max_examples=50, deadline=None)
def test_equal_scores_are_ordered_as_by_the_heap_of_libstdcxx(shares, k):
    from support.heaps import best, kernel_best

    assert kernel_best(shares, k) == best(shares, k)


def test_what_is_no_classifier_is_refused(corpus, tmp_path, models):
    other = train("skipgram", corpus, tmp_path / "m.h5", SkipgramOptions(vector_size=3, epochs=1, subsample=0))
    with pytest.raises(UsageError, match="is not a classifier, but a model of family skipgram"):
        Classifier.open(other.path)
    classifier = Classifier(models["softmax"])
    with pytest.raises(UsageError, match="k is 0"):
        classifier.predict("a", k=0)
    for threshold in (math.nan, -0.1, 1.5):
        with pytest.raises(UsageError, match=r"threshold is .*; it must be (from 0 to 1|a finite number)"):
            classifier.predict("a", threshold=threshold)
    with pytest.raises(InputError, match="text 1 has a line end"):
        classifier.predict(["a", "b\nc"])
    with pytest.raises(
        InputError, match=r"bad.txt: byte 0xff is not UTF-8 \(at byte 3\); name the text's encoding, or pass errors='replace'"
    ):
        (tmp_path / "bad.txt").write_bytes(b"ok \xff")
        list(classifier.predict_file(tmp_path / "bad.txt"))


def test_many_labels_are_answered_for_few_lines_at_a_time(models, tmp_path, monkeypatch):
    path, classifier = tmp_path / "text.txt", Classifier(models["softmax"])
    path.write_text("\n".join(TEXTS))
    wanted = classifier.predict(TEXTS, k=-1)
    monkeypatch.setattr("cooc_engine.vectors.classifier.ANSWERS", 2 * len(classifier.labels))
    parts = list(classifier.predict_file(path, -1))
    assert [len(answers.numbers) for answers in parts] == [2, 2, 2, 1]
    found = [pair for answers in parts for pair in classifier.named(answers)]
    assert [labels for labels, _ in found] == wanted[0]
    path.write_bytes(b"a1\nb1\nc1\n\xff\n")
    with pytest.raises(InputError, match=r"byte 0xff is not UTF-8 \(at byte 9\)"):
        list(classifier.predict_file(path, -1))


def test_labels_that_cannot_be_told_are_refused(models, tmp_path):
    """A forger's: the rows of labels would be looked for where there are none."""
    data = models["softmax"].data()
    word, others = data.vocabulary.word(0), data.labels.words[1:]
    twice = Vocabulary.from_words([word, *others], [1] * (1 + len(others)))
    save_model(tmp_path / "twice.h5", dataclasses.replace(data, labels=twice))
    with pytest.raises(FormatError, match="contains a word twice, or a word that is also a label"):
        Classifier.open(tmp_path / "twice.h5")
    none = {**data.arrays, "labels": np.empty((0, 6), np.float32)}
    save_model(tmp_path / "none.h5", dataclasses.replace(data, labels=Vocabulary.from_words([], []), arrays=none))
    with pytest.raises(FormatError, match="without labels"):
        Classifier.open(tmp_path / "none.h5")


def test_lines_are_cut_by_the_models_tokenizer(tmp_path):
    lines = ["__label__a Gut,besser", "__label__b SCHLECHT!"] * 20
    options = AllWordsOptions(tokenizer="regex", lowercase=True)
    corpus = encode_documents(lines, tmp_path / "corpus", options)
    model = train("supervised", corpus, tmp_path / "m.h5", SupervisedOptions(vector_size=4, lr=0.5, epochs=9))
    assert Classifier(model).predict(["GUT!", "schlecht", ""])[0][:2] == [("__label__a",), ("__label__b",)]
    assert EncodeOptions(**model.config["encode"]).lowercase


def asked_of(classifier, threads=None) -> classifier_verbs.Question:
    """A question about the lines of the standard input."""
    return classifier_verbs.Question(classifier, "-", 1, 0.0, threads, json=False)


def test_lines_of_stdin_are_answered_as_they_come(models, monkeypatch):
    classifier = Classifier(models["softmax"])
    stream = given_stdin(monkeypatch, b"\xef\xbb\xbfa1 a2\nb", b"1 b3\n", b"c1")
    answers = asked_of(classifier, threads=3).answers()
    found = [classifier.named(next(answers))]
    assert stream.taken == 1, "nothing is read before that is answered"
    found += map(classifier.named, answers)
    wanted = [(labels, shares.tolist()) for labels, shares in zip(*classifier.predict(["a1 a2", "b1 b3", "c1"]), strict=True)]
    assert [(labels, shares.tolist()) for some in found for labels, shares in some] == wanted


def test_lines_of_stdin_are_decoded_as_they_come(models, monkeypatch):
    classifier = Classifier(models["softmax"], encoding="utf-16", errors="replace")
    stream = given_stdin(monkeypatch, "a1 a2\nb".encode("utf-16"), "1 \0 b3\n".encode("utf-16-le"), b"\xd8")
    answers = asked_of(classifier).answers()
    found = [next(answers).labels[0]]
    assert stream.taken == 1, "nothing is read before that is answered"
    found += [labels for some in answers for labels in some.labels]
    assert [classifier.labels[label] for (label,) in found] == [
        label for (label,) in classifier.predict(["a1 a2", "b1 \ufffd b3", "\ufffd"])[0]
    ]


def test_a_compressed_stream_is_unpacked(models, monkeypatch):
    data, classifier = gzip.compress(b"a1 a2\nb1\n"), Classifier(models["softmax"])
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))
    found = [labels for answers in asked_of(classifier).answers() for labels, _ in classifier.named(answers)]
    assert found == classifier.predict(["a1 a2", "b1"])[0]


def test_texts_are_read_in_the_encoding_and_with_the_errors_that_are_given(models, tmp_path, capsys):
    def run_main(*arguments: object) -> tuple[int, str, str]:
        return main([str(argument) for argument in arguments]), *capsys.readouterr()

    model, path = models["softmax"].path, tmp_path / "text.txt"
    path.write_bytes("__label__a a1 caf\xe9\n__label__b b1\n".encode("latin-1"))
    for verb in ("predict", "predict-prob", "test", "test-label"):
        code, _, said = run_main(verb, model, path)
        assert code == 1 and "byte 0xe9 is not UTF-8 (at byte 17); name the text's --encoding, or pass --errors replace" in said
        for how in (["--encoding", "latin-1"], ["--errors", "replace"], ["--errors", "skip"]):
            code, found, said = run_main(verb, model, path, *how)
            assert (code, said) == (0, "") and found
    words = {"replace": "a1 caf\ufffd", "skip": "a1 caf"}
    for errors, text in words.items():
        classifier = Classifier.open(model, errors=errors)
        (answers,) = classifier.predict_file(path, -1)
        assert np.array_equal(answers.probabilities[0], Classifier.open(model).predict(f"__label__a {text}", k=-1)[1])
        assert classifier.predict("a1 caf\udce9", -1)[0] == Classifier.open(model).predict(text, -1)[0], "strings too"
    assert run_main("test", model, path, "--encoding", "nosuch")[0] == 2
    with pytest.raises(UsageError, match="errors is 'x'; it must be one of strict, replace, skip"):
        Classifier.open(model, errors="x")


def test_a_line_of_stdin_without_an_end_is_refused(models, monkeypatch):
    monkeypatch.setattr("cooc_engine.vectors.classifier.LONGEST_LINE", 99)
    given_stdin(monkeypatch, b"a1\n", *[b"x" * 40] * 9)
    with pytest.raises(InputError, match=r"^-:2: has more than 99 bytes"):
        list(asked_of(Classifier(models["softmax"])).answers())


def test_the_command_line_prints_what_the_program_prints(models, tmp_path, capsys):
    def run_main(*arguments: object) -> list[str]:
        assert main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out.splitlines()

    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS))
    model = models["softmax"]
    labels, shares = Classifier(model).predict(TEXTS, k=2)
    assert run_main("predict", model.path, path, "2") == [" ".join(some) for some in labels]
    texts = [" ".join(f"{a} {b:.6g}" for a, b in zip(*pair, strict=True)) for pair in zip(labels, shares, strict=True)]
    assert run_main("predict-prob", model.path, path, "2") == texts
    assert run_main("test", model.path, path)[0] == "N\t2"
    assert [line.partition("\t")[0] for line in run_main("test", model.path, path, "3")] == ["N", "P@3", "R@3"]
    found = run_main("test-label", model.path, path)
    assert found[0].startswith("F1-Score : ") and found[-2] == f"P@1\t{Classifier(model).test(path).precision:.3f}"
    for wrong, says in ((["1.5"], "the number is 1.5; it must be a whole number"), (["--threads", "-1"], "--threads is -1")):
        assert main(["predict", str(model.path), str(path), *wrong]) == 2
        assert says in capsys.readouterr().err


def test_n_grams_of_no_bucket_are_refused(tmp_path):
    check_kept(tmp_path, np.array([0, 69]), 70)
    with pytest.raises(FormatError, match="keeps the n-grams of bucket 70, but has 70 buckets; train again"):
        check_kept(tmp_path, np.array([0, 70]), 70)
