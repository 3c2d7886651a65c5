"""Paths from outside: whatever cannot be one is refused in a line, by everything that is public."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cooc_engine
from cooc_engine.errors import CoocError, UsageError
from cooc_engine.runtime.paths import listed, path_of

LONG = "x" * 5000
WRONG = {
    "NUL": "a\0b",
    "long": LONG,
    "deep": "d/" * 3000,
    "half a character": "a\ud800b",
    "empty": "",
    "bytes": b"a",
    "None": None,
    "number": 5,
}

HOLD_PATHS = cooc_engine.ContextualTransformer, cooc_engine.StagePlan, CoocError  # and open them later, or never


def trial(call: Callable[..., Any], number: int) -> Callable[[Any], Any]:
    """Return a function that calls another with the same value for each argument that it needs."""
    return lambda wrong: call(*[wrong] * number)


def takes_paths() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield every public function, and way to open something, whose first argument is a path."""
    for name in cooc_engine.__all__:
        item = getattr(cooc_engine, name)
        call = getattr(item, "open", item)
        given = inspect.signature(call).parameters.values() if callable(call) and item not in HOLD_PATHS else []
        positional = [each for each in given if each.kind is each.POSITIONAL_OR_KEYWORD]
        needed = [str(each.annotation) for each in positional if each.default is each.empty]
        if needed and ("Path" in needed[0] or needed[0] == "Several"):
            yield name, trial(call, len(needed))


CALLS = {**dict(takes_paths()), "train": trial(functools.partial(cooc_engine.train, "glove"), 2)}


def test_all_that_takes_paths_is_tried():
    assert {"encode", "count", "merge", "train", "Corpus", "Cooc", "CountFile", "Vectors", "LayerMix", "run"} <= set(CALLS)
    assert len(CALLS) > 40


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_no_path_is_refused_in_a_short_line(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wrong in WRONG.values():
        with pytest.raises(CoocError) as caught:
            call(wrong)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "call",
    [
        lambda wrong: cooc_engine.encode("text", wrong),
        lambda wrong: cooc_engine.encode(["text", wrong], "corpus"),
        lambda wrong: cooc_engine.encode_documents(["a b"], wrong),
        lambda wrong: cooc_engine.LayerMix(1.0, (0.0,)).save(wrong),
    ],
    ids=["output", "one of several", "of documents", "mix"],
)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wherever_it_is_given(call, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("a b\n" * 20)
    with pytest.raises(UsageError, match=r"is not a path \(|was given where a path is expected|it must be a path"):
        call(wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize("length", [245, 251, 254])
def test_a_name_that_leaves_no_room_for_those_beside_it(length, tmp_path, monkeypatch):
    """`NAME.part` would be too long, but `NAME` is not."""
    monkeypatch.chdir(tmp_path)
    name = "x" * length
    with pytest.raises(CoocError, match=f"^{name}: no such corpus$|is not a path .File name too long.; choose another name"):
        cooc_engine.count(name, "cooc")
    Path("v").write_text("a 1 2\nb 3 4\n")
    if length > 250:
        with pytest.raises(UsageError, match=r"^x{80}\.\.\.: is not a path \(File name too long\)"):
            cooc_engine.import_vectors("v", name)
        assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_paths_that_are_taken(tmp_path):
    assert listed(["a", Path("b"), "-", "~/c", "d/", "é", "a\udcff", "a\nb"]) == [
        *map(Path, ["a", "b", "-", "~/c", "d", "é", "a\udcff", "a\nb"])
    ]
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    assert path_of(circle / "x") == circle / "x", "whoever opens it tells"
