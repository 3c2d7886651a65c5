"""The public functions and methods refuse what their arguments cannot be, in one line that names them, and leave nothing."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.models import make_data

import cooc_engine as ce
from cooc_engine.errors import UsageError
from cooc_engine.models.file import save_model

FUNCTIONS = [name for name in ce.__all__ if inspect.isfunction(getattr(ce, name))]
ODD: dict[str, Any] = {
    "None": None, "number": 1.5, "huge": 10**400, "bytes": b"a", "list of None": [None], "bytes path": [b"a"],
    "NaN": np.float32("nan"), "no axes": np.array(3), "three axes": np.zeros((2, 2, 2)), "object": object(),
}  # fmt: skip


@pytest.fixture(scope="module")
def kv(tmp_path_factory) -> ce.Vectors:
    path = tmp_path_factory.mktemp("model") / "m.h5"
    save_model(path, make_data(9, 4))
    return ce.Vectors.open(path)


def first(function: Callable[..., Any]) -> str:
    return next(iter(inspect.signature(function).parameters))


def required(function: Callable[..., Any]) -> dict[str, Any]:
    """Values for all arguments that have no default: names of files that are not there."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: "gone" for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("encode_documents", "import_matrix", "fit_mix")])
def test_the_first_argument_of_every_function(name, odd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = getattr(ce, name)
    with pytest.raises(UsageError) as caught:
        function(**{**required(function), first(function): ODD[odd]})
    assert "\n" not in str(caught.value)
    named = {"open_progress": "progress"}.get(name, first(function))
    assert re.match(rf"{named}(\[0\])? is .*; it must be ", str(caught.value))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("says", "call"),
    [
        ("output is []; it must be a path", lambda kv: ce.plot("m.h5", [])),
        ("words is '3'; it must be of type int", lambda kv: ce.plot("m.h5", "o.svg", "3")),
        ("force is 'no'; it must be of type bool", lambda kv: ce.export_vectors("m.h5", "o", force="no")),
        ("coocs[1] is None; it must be a path", lambda kv: ce.merge(["a", None], "o")),
        ("texts[0] is 3; it must be a path", lambda kv: ce.encode([3], "o")),
        ("model is ['glove']; it must be of type str", lambda kv: ce.train(["glove"], "t", "o")),
        ("separator is 'x'; it must be one of tab, comma, space", lambda kv: ce.count_pairs("t", "o", separator="x")),
        ("bootstrap is 1e+09; it must be below 1e+06", lambda kv: ce.evaluate([], bootstrap=10**9)),
        ("processes is 1e+21; it must be below 10000", lambda kv: ce.encode("t", "o", processes=10**21)),
        ("scores is (); it must be one number for each layer", lambda kv: ce.LayerMix(1.0, ())),
        ("gamma is nan; it must be a finite number", lambda kv: ce.LayerMix(float("nan"), (0.0,))),
        ("matrix is 'x'; it must be an array of numbers", lambda kv: ce.Vectors(["a"], "x")),
        ("words[1] is 3; it must be a string", lambda kv: ce.Vectors(["a", 3], np.eye(2))),
        ("positive is 1.5; it must be a word, a vector, or a list of these", lambda kv: kv.most_similar(1.5)),
        ("a vector with infinity or NaN was given; vectors are finite", lambda kv: kv.most_similar(np.full(4, np.nan))),
        ("restrict_vocab is 'x'; it must be of type int", lambda kv: kv.similar_by_word("w1", restrict_vocab="x")),
        ("words1[0] is None; it must be a word, or the number of its row", lambda kv: kv.n_similarity([None], ["w1"])),
        ("word1 is True; it must be a word, or the number of its row", lambda kv: kv.similarity(True, "w1")),
        ("sentences is 'w1 w2'; it must be a list of texts", lambda kv: kv.sentence_vectors("w1 w2")),
        ("sentence[0] is 3; it must be a string", lambda kv: kv.words_of([3])),
        ("weights has 1 numbers for 2 words; pass a weight for each", lambda kv: kv.get_mean_vector(["w1", "w2"], [1.0])),
        ("words is a string", lambda kv: kv.vectors_for_all("w1")),
        ("words1 has 1 words, and words2 2; pass pairs", lambda kv: kv.cosines(["w1"], ["w1", "w2"])),
        ("there is no attribute array([], dtype=float64)", lambda kv: kv.get_vecattr("w1", np.array([]))),
        ("keys_list is empty; it must have at least one word", lambda kv: kv.most_similar_to_given("w1", [])),
        ("words is {'a': 1}; it must be a list, each item a string", lambda kv: kv.neighbours({"a": 1})),
        ("sentences is array(3); it must be a list of texts", lambda kv: kv.sentence_vectors(np.array(3))),
        ("rows is [-1]; it must be a list of row numbers from 0 to 8", lambda kv: kv.unit_rows([-1])),
        ("rows is [1.5]; it must be a list of row numbers from 0 to 8", lambda kv: kv.some([1.5])),
        ("rows is [9]; it must be a list of row numbers from 0 to 8", lambda kv: kv.some([9])),
        ("rows is [None]; it must be an array of numbers with 1 axes", lambda kv: kv.unit_rows([None])),
        ("exclude is [2**70]; it must be".replace("2**70", str(2**70)), lambda kv: kv.nearest(kv.vectors[:1], 1, [[2**70]])),
        ("exclude is [9]; it must be a list of row numbers from 0 to 8", lambda kv: kv.nearest(kv.vectors[:1], 1, [[9]])),
        ("exclude is [[1]]; it must be a list of rows for each of the 2", lambda kv: kv.nearest(kv.vectors[:2], 1, [[1]])),
        ("exclude is 3; it must be a list of rows for each of the 1", lambda kv: kv.nearest(kv.vectors[:1], 1, 3)),
        ("; it must be finite numbers, 4 for each query", lambda kv: kv.nearest(np.full((1, 4), np.nan), 1)),
        ("; it must be finite numbers, 4 for each query", lambda kv: kv.nearest(np.ones((1, 3)), 1)),
        ("the key is 1.5; it must be a word, the number of its row, or a list of these", lambda kv: kv[1.5]),
        (r"the text '\udcff' holds '\udcff', half of a surrogate pair", lambda kv: kv.sentence_vector("\udcff")),
    ],
)  # fmt: skip
def test_odd_arguments_are_named(kv, says, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ce.CoocError) as caught:
        call(kv)
    assert says.removeprefix("words is ") in str(caught.value) and "\n" not in str(caught.value)
    assert not any(Path().iterdir())


def test_documents_of_no_model_and_no_documents(tmp_path):
    (tmp_path / "labelled.txt").write_text("__label__x a\n__label__y b\n")
    with pytest.raises(UsageError, match=r"^models is \[\]; it must be one or more models$"):
        ce.cluster([], tmp_path / "labelled.txt")
    with pytest.raises(UsageError, match=r"^models has None as 'one'; it must be vectors"):
        ce.cluster({"one": None}, tmp_path / "labelled.txt")
    with pytest.raises(UsageError, match=r"^texts is \[\]; it must be one or more files$"):
        ce.cluster(["m.h5"], [])


def test_labels_that_no_mix_can_be_learned_from():
    layers = np.zeros((2, 3, 4))
    for says, given in (
        ("layers is None; it must be an array of numbers with 3 axes", (None, [0, 1, 0])),
        ("layers has infinity or NaN; it must be finite", (np.full((2, 3, 4), np.inf), [0, 1, 0])),
        ("labels is [0, None, 1]; it must be a list of values that can be sorted", (layers, [0, None, 1])),
    ):
        with pytest.raises(UsageError, match=re.escape(says)):
            ce.fit_mix(*given)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sentence_pair'"):
        ce.evaluate([], sentence_pair="s.tsv")
