"""Times queries to a model, by us or by gensim, alone in a process; prints one JSON object.

    python scripts/query_race.py MODEL.h5 WHO WHAT      WHO: ours, gensim; WHAT: most_similar, or a file of analogies

`most_similar` is a loop of 1,000 one-word queries. Both hold the same vectors; gensim's are in memory, with their norms.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from cooc_engine import Vectors, evaluate

QUESTIONS, FEW, RESTRICT = 1000, 20, 30_000


def as_gensim(vectors):
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(vectors.vector_size)
    theirs.add_vectors(vectors.index_to_key, vectors.vectors)
    theirs.fill_norms()
    return theirs


def ask(vectors, words) -> float:
    """Return the seconds of the loop of queries, after a few untimed ones."""
    for word in words[:FEW]:
        vectors.most_similar(word)
    begin = time.perf_counter()
    for word in words:
        vectors.most_similar(word)
    return time.perf_counter() - begin


def judge(vectors, path: Path) -> tuple[float, float]:
    """Return the seconds of all analogies, and the accuracy of 3CosAdd on them."""
    begin = time.perf_counter()
    if isinstance(vectors, Vectors):
        rows = evaluate({"ours": vectors}, analogies=[path], restrict=RESTRICT)
        value = next(row["value"] for row in rows if row["kind"] == "analogy-add")
    else:
        value = vectors.evaluate_word_analogies(str(path), restrict_vocab=RESTRICT)[0]
    return time.perf_counter() - begin, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("who", choices=["ours", "gensim"])
    parser.add_argument("what")
    given = parser.parse_args()
    ours = Vectors.open(given.model)
    words = [ours.vocabulary.word(row) for row in np.random.default_rng(0).choice(len(ours), QUESTIONS).tolist()]
    vectors = ours if given.who == "ours" else as_gensim(ours)
    if given.what == "most_similar":
        print(json.dumps({"seconds": ask(vectors, words), "figure": f"{QUESTIONS:,} questions"}))
        return
    seconds, value = judge(vectors, Path(given.what))
    print(json.dumps({"seconds": seconds, "figure": f"{100 * value:.1f} % right"}))


if __name__ == "__main__":
    main()
