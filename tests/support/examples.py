"""The tiny text of the examples in docstrings, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cooc_engine

DRINKS = "we drink hot {} with milk and sugar in the morning"
RIVERS = "the {} carries cold water from the mountains to the sea"
TEXT = [*map(DRINKS.format, ("tea", "coffee")), *map(RIVERS.format, ("river", "stream"))]


def make_examples(home: Path) -> dict[str, Any]:
    """Write text.txt, pairs.tsv, orders.tsv and model.h5 into the working directory; return what examples may use by name."""
    (home / "text.txt").write_text("\n".join(TEXT * 10) + "\n")
    (home / "pairs.tsv").write_text("tea\tcoffee\t9\ntea\triver\t1\nriver\tstream\t8\n")
    (home / "orders.tsv").write_text("ann\ttea\t3\nbob\tgreen tea\t1\nann\tgreen tea\t1\ncat\tcoffee\t2\n")
    names = {name: getattr(cooc_engine, name) for name in cooc_engine.__all__}
    (home / "made").mkdir()
    corpus = cooc_engine.encode("text.txt", home / "made" / "corpus")
    cooc = cooc_engine.count(corpus, home / "made" / "cooc")
    model = cooc_engine.train("glove", cooc, "model.h5", vector_size=10, x_max=10)
    return {**names, "corpus": corpus, "cooc": cooc, "model": model, "kv": model.vectors}
