"""Documents inferred side by side are the twin's, whatever is inferred with them."""

from __future__ import annotations

import numpy as np
import pytest
from support.steps import counts_of
from twins.inferring import inferred

from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.sampled.doc2vec import FROZEN, _predicting
from cooc_engine.sampled.lockstep import LockstepInference
from cooc_engine.sampled.model import FLOOR, SampledModel
from cooc_engine.sampled.word2vec import rule_and_tables

V, D = 30, 21
KINDS = {
    "dbow": {"words": "off"},
    "dbow, 1 noise word": {"words": "off", "negative": 1},
    "dbow, 7 noise words": {"words": "off", "negative": 7},
    "dbow, 12 noise words, thinned": {"words": "off", "negative": 12, "subsample": 0.05},
    "dbow, hs": {"words": "off", "loss": "hs"},
    "dm, mean": {"architecture": "dm"},
    "dm, sum": {"architecture": "dm", "combine": "sum"},
    "dm, hs": {"architecture": "dm", "loss": "hs"},
}


def texts(random: np.random.Generator) -> list[list[int]]:
    """Of all lengths: more than two groups of documents, and one without words."""
    return [random.integers(0, V, n).tolist() for n in (0, 1, 2, 40, 3, *random.integers(1, 25, 35).tolist())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 3])
def test_documents_are_the_twins(kind, threads):
    random = np.random.default_rng(7)
    documents = texts(random)
    options = Doc2vecOptions(**{"vector_size": D, "window": 3, "subsample": 0, **KINDS[kind]})
    rule, tables, _ = rule_and_tables(
        counts_of(documents, V), options, **_predicting(options, V) | {"shared": 0, "frozen": FROZEN}
    )
    model = SampledModel(rule, tables, 4, 0.1, 5, floor=FLOOR)
    W, C = (random.normal(0, 0.2, (V, D)).astype(np.float32) for _ in range(2))
    inference = LockstepInference(model, W, C, threads)
    found = inference.vectors(np.array(words, np.int32) for words in documents)
    wanted = [inferred(model, words, inference._start if words else np.zeros(D), W, C) for words in documents]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.array_equal(inference.vectors([np.array(documents[3], np.int32)])[0], found[3])
