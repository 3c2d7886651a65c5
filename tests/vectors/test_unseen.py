"""Words outside the vocabulary of a model with n-grams: each has a vector everywhere, and is still not in the vocabulary."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from support.topics import make_corpus, options_of, planted
from twins import subwords as naive

from cooc_engine.cli.app import main
from cooc_engine.errors import UnknownWordError
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.train import train
from cooc_engine.reports.page import compare
from cooc_engine.vectors.query import Vectors, nn

BUCKETS = 50


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    at = tmp_path_factory.mktemp("unseen")
    options = options_of("fasttext", buckets=BUCKETS, min_n=2, max_n=3, epochs=4)
    return train("fasttext", make_corpus(at / "corpus", planted()), at / "m.h5", options).path


@pytest.fixture
def kv(path) -> Vectors:
    return Vectors.open(path)


def rows_of(word: str) -> list[int]:
    return [naive.fnv(ngram) % BUCKETS for ngram in naive.ngrams(word.encode(), 2, 3)]


def test_the_vector_is_the_mean_of_ngrams(path, kv):
    matrix, wanted = open_model(path).array("subwords"), {word: rows_of(word) for word in ("a77", "中国", "aaaa")}
    for word, rows in wanted.items():
        np.testing.assert_allclose(kv[word], matrix[rows].mean(axis=0), atol=1e-6)
        assert np.array_equal(kv.vector(word), kv[word]) and np.array_equal(kv.get_word_vector(word), kv[word])
        assert word not in kv and word not in kv.key_to_index and not kv.vector(word, oov="zero").any()
        with pytest.raises(UnknownWordError, match=word):
            kv.vector(word, oov="raise")
    assert not kv.get_word_vector("</s>").any(), "a word without n-grams"
    with pytest.raises(UnknownWordError, match="'</s>' is not in the vocabulary"):
        kv["</s>"]
    assert np.array_equal(kv.some(np.array([1, 3]))["a77"], kv["a77"])


def test_subwords_have_the_rows_of_fasttexts_program(kv):
    own, row = kv.index_to_key[5], 5
    for word, rows in ((own, [row]), ("a77", [])):
        ngrams, found = kv.get_subwords(word)
        assert ngrams == [word] * len(rows) + [ngram.decode() for ngram in naive.ngrams(word.encode(), 2, 3)]
        assert found.tolist() == rows + [len(kv) + bucket for bucket in rows_of(word)]


def test_other_choices_of_vectors_have_no_subwords(path, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", planted())
    plain = train("skipgram", corpus, tmp_path / "s.h5", options_of("skipgram", epochs=1)).path
    outputs = options_of("fasttext", buckets=BUCKETS, epochs=1, vectors="c")
    for other in (plain, train("fasttext", corpus, tmp_path / "c.h5", outputs).path):
        with pytest.raises(UnknownWordError):
            Vectors.open(other)["a77"]
        assert Vectors.open(other).get_subwords("a1") == (["a1"], [Vectors.open(other).row("a1")])


def test_they_are_queried_judged_and_compared(path, kv, tmp_path):
    word = nn(path, ["a77"], topn=1)["a77"][0][0]
    assert word[0] == "a", "the topic that its first n-gram is of"
    assert kv.most_similar("a77", topn=1)[0][0] == word
    assert kv.similarity("a77", word) == pytest.approx(nn(path, ["a77"], topn=1)["a77"][0][1], abs=1e-6)
    (tmp_path / "pairs.tsv").write_text("a1\ta2\t9\na1\tb2\t2\na77\ta2\t7\nb99\ta1\t1\n")
    rows = evaluate([path], pairs=[tmp_path / "pairs.tsv"])
    assert [(row["covered"], row["total"], row["unseen"]) for row in rows] == [(4, 4, 2)] * 2
    other = shutil.copy(path, tmp_path / "other.h5")
    record = compare([path, other], tmp_path / "page.html", [tmp_path / "pairs.tsv"])
    assert [scores["covered"] for scores in record["sets"]] == [4]


def test_the_command_line(path, kv, capsys):
    def ask(*arguments):
        assert main([*map(str, arguments)]) == 0
        return capsys.readouterr().out

    assert json.loads(ask("nn", path, "a77", "--topn", 2, "--json"))["a77"][0][0] == kv.most_similar("a77", topn=1)[0][0]
    assert ask("get-subwords", path, "a77").splitlines()[0].split() == ["<a", str(len(kv) + rows_of("a77")[0])]
    assert set(ask("vector", path, "a77", "--oov", "zero").split()[1:]) == {"0"}
    assert ask("vector", path, "a77").split()[0] == "a77"
    assert ask("vector", path, "A1").split()[0] == "A1" not in kv, "it has n-grams, and is not taken for a1"
    assert main(["vector", str(path), "a77", "--oov", "raise"]) == UnknownWordError.exit_code
