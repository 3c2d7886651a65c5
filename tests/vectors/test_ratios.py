"""Ratios of probabilities: the model's beside those that were counted, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
from support.matrices import make_cooc

from cooc_engine.cli.app import main
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.matrix.glove import train_glove, train_simpler_glove
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
from cooc_engine.vectors.ratios import ratio

WORDS = ["animal1", "metal2", "the3"]


@pytest.fixture(scope="module")
def cooc(tmp_path_factory):
    return make_cooc(tmp_path_factory.mktemp("ratios"), CountOptions(window=5))


@pytest.fixture(scope="module")
def model(cooc):
    return train_glove(cooc, cooc.path.with_name("model.h5"), GloveOptions(vector_size=20, epochs=60, x_max=10, lr=0.1))


def test_the_ratio_of_each_context_is_that_of_the_twin(cooc, model):
    w, c, ids = model.array("words").astype(float), model.array("contexts").astype(float), model.vocabulary.ids
    counts = {(i, j): x for i, columns, values in cooc.rows() for j, x in zip(columns.tolist(), values.tolist(), strict=True)}
    a, b = ids["animal0"], ids["metal0"]
    sums = [sum(x for (i, _), x in counts.items() if i == row) for row in (a, b)]
    for row in ratio(model.path, "animal0", "metal0", WORDS, cooc):
        k = ids[row["context"]]
        assert row["model"] == pytest.approx(math.exp((w[a] - w[b]) @ c[k]), rel=1e-6)
        assert row["counted"] == pytest.approx(counts[a, k] / sums[0] / (counts[b, k] / sums[1]))


def test_a_context_of_one_word_alone_stands_out(cooc, model):
    animals, metals, common = mean_ratios(model.path)
    assert animals > 1.5 * common > 1.5 * 1.5 * metals
    assert 1 / 2 < common < 2


def mean_ratios(path) -> list[float]:
    """Geometric means of the ratios of animal0 to metal0, over the animals, the metals and the common words."""
    groups = [[f"animal{k}" for k in range(1, 15)], [f"metal{k}" for k in range(1, 15)], [f"the{k}" for k in range(10)]]
    found = [[row["model"] for row in ratio(path, "animal0", "metal0", group)] for group in groups]
    return [math.exp(sum(map(math.log, group)) / len(group)) for group in found]


@pytest.mark.parametrize("tying", ["tied", "free"])
def test_simpler_glove_has_ratios_too(cooc, tmp_path, tying):
    options = SimplerGloveOptions(vector_size=20, epochs=60, x_max=10, tying=tying)
    path = train_simpler_glove(cooc, tmp_path / "model.h5", options).path
    animals, metals, common = mean_ratios(path)
    assert animals > 1.5 * common > 1.5 * 1.5 * metals


def test_words_that_never_met_have_no_counted_ratio(tmp_path):
    from cooc_engine.corpus.encode import encode_documents
    from cooc_engine.corpus.options import EncodeOptions
    from cooc_engine.counts.count import count

    cooc = count(encode_documents(["a b", "c d", "a d"], tmp_path / "corpus", EncodeOptions(min_count=1)), tmp_path / "cooc")
    path = train_glove(cooc, tmp_path / "model.h5", GloveOptions(vector_size=2, epochs=1)).path
    assert [row["counted"] for row in ratio(path, "a", "c", ["b", "d"], cooc.path)] == [None, pytest.approx(0.5)]


def test_unknown_words_and_families_are_named(cooc, model, tmp_path):
    assert ratio(model.path, "animal0", "metal0", "the3") == ratio(model.path, "animal0", "metal0", ["the3"])
    with pytest.raises(UsageError, match=r"^contexts is None; it must be a list"):
        ratio(model.path, "animal0", "metal0", None)
    with pytest.raises(UnknownWordError, match="'nothing' is not in the vocabulary"):
        ratio(model.path, "animal0", "metal0", ["nothing"])
    other = make_cooc(tmp_path, CountOptions(window=2, positional=True))
    with pytest.raises(UsageError, match="positional=True"):
        ratio(model.path, "animal0", "metal0", WORDS, other)


def test_from_the_command_line(cooc, model, capsys):
    assert main(["ratio", str(model.path), "animal0", "metal0", *WORDS, "--counts", str(cooc.path)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split(maxsplit=2) == ["model", "counted", "P(word | animal0) / P(word | metal0)"]
    assert [line.split()[-1] for line in lines] == WORDS
    assert all(len(line.split()) == 3 for line in lines)
    assert main(["ratio", str(model.path), "animal0", "metal0", *WORDS, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["context"] for row in rows] == WORDS
    assert main(["ratio", str(model.path), "animal0", "nothing", "the3"]) == 1
    assert "nothing" in capsys.readouterr().err
