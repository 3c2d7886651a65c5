"""The examples in the docstrings of what is public run, and show what they say."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from support.examples import make_examples

import cooc_engine

pytest.importorskip("sklearn")


def documented() -> Iterator[tuple[str, Any]]:
    """Yield what is public, and the public methods of classes, where there are examples in the docstring."""
    for name in cooc_engine.__all__:
        item = getattr(cooc_engine, name)
        methods = inspect.getmembers(item, inspect.isfunction) if inspect.isclass(item) else []
        for label, thing in [(name, item), *((f"{name}.{method}", function) for method, function in methods)]:
            if ">>>" in (inspect.getdoc(thing) or ""):
                yield label, thing


ITEMS = {thing: label for label, thing in documented()}  # a method once, though it is inherited


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> Iterator[dict[str, Any]]:
    """What examples may use by name; the working directory has the files that they read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home := tmp_path_factory.mktemp("examples"))
        yield make_examples(home)


@pytest.mark.parametrize("thing", ITEMS, ids=ITEMS.get)
def test_an_example_shows_what_it_says(thing, names):
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing), dict(names), ITEMS[thing], None, None)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert example.examples and not said, "".join(said)


def test_there_are_examples_of_every_stage():
    assert {"encode_documents", "Cooc", "train", "Model", "GloVe", "evaluate"} <= set(ITEMS.values())
