"""Families that the package does not have, as rows of the same step: subwords, and documents, whose inference freezes rows."""

from __future__ import annotations

import numpy as np
import pytest
from support.steps import counts_of, matrices, rule_of, run_kernel, tables_of, texts, twin_of
from support.topics import options_of

from cooc_engine._kernels import rules
from cooc_engine.sampled import sampler, trainer
from cooc_engine.sampled.model import FLOOR, SampledModel
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.trainer import State, run_epochs
from cooc_engine.sampled.word2vec import design_words

FASTTEXT = {"clamp": 8.0, "beyond": 1.0, "redraw": 1}
FAMILIES_TO_COME = {
    "fastText skip-gram": {"inputs": rules.CENTRE, "mean": 1, **FASTTEXT},
    "fastText CBOW": {"inputs": rules.CONTEXTS, "mean": 1, **FASTTEXT},
    "PV-DBOW": {"inputs": rules.DOCUMENT, "mean": 1, "document": 30},
    "PV-DM": {"inputs": rules.CONTEXTS, "mean": 1, "document": 30},
}


@pytest.mark.parametrize("name", FAMILIES_TO_COME)
@pytest.mark.parametrize("output", [rules.NOISE, rules.PATH], ids=["ns", "hs"])
def test_other_families_need_other_rows_alone(name, output):
    """Subwords are a table of rows a word, documents rows behind the words': the step and the walk stay as they are."""
    rule = rule_of(**FAMILIES_TO_COME[name], output=output)
    documents = texts()
    starts = np.arange(10, dtype=np.int64) * 3
    rows = np.array([[w, 9 + w % 4, 13 + w % 5] for w in range(9)], np.int32).reshape(-1)
    more = {"rows": (starts, rows)} if name.startswith("fastText") else {}
    tables = tables_of(counts_of(documents, 9), rule, **more)
    model = SampledModel(rule, tables, 2, 0.05, seed=6, floor=0.0 if name.startswith("fastText") else FLOOR)
    W, C = matrices(40, 9, 6, scale=1.5)
    exact_W, exact_C = W.astype(np.float64)[:, :6], C.astype(np.float64)[:, :6]
    before = W.copy()
    history = run_kernel(documents, model, W, C, epochs=2)
    args = [], tables.noise.tolist(), exact_W, exact_C
    wanted = twin_of(rule, tables).train(documents, *args, 0.05, model.floor, 6, 2)
    np.testing.assert_allclose(W[:, :6], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :6], exact_C, rtol=1e-4, atol=3e-5)
    assert history[1][0] == pytest.approx(wanted[1][0], rel=1e-5)
    moved = np.flatnonzero((before != W).any(axis=1)).tolist()
    assert (max(moved) >= 30) == name.startswith("PV")


FROZEN = {
    "PV-DBOW": {},
    "PV-DM": {},
    "PV-DM, rows apart": {"mean": 0},
    "PV-DM, own noise": {"mean": 0, "group": 1, "shared": 0},
}


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("output", [rules.NOISE, rules.PATH, rules.LIST], ids=["ns", "hs", "softmax"])
@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize("frozen", [0, rules.OUTPUT_ROWS, rules.WORD_ROWS, rules.OUTPUT_ROWS + rules.WORD_ROWS])
def test_rows_that_are_frozen_keep_their_bits(documents_of_topics, name, output, deterministic, frozen):
    """And the others learn: inference of documents."""
    corpus = documents_of_topics
    rule = rule_of(**{**FAMILIES_TO_COME[name.split(",")[0]], **FROZEN[name]}, output=output, frozen=frozen)
    rule = rule._replace(document=len(corpus.vocabulary))
    model = SampledModel(rule, tables_of(corpus.counts, rule), 2, 0.05, 6, deterministic, sampler.Uses(0.1, 1.0, 100))
    network = Network.random({"words": rule.document, "documents": corpus.documents}, {"outputs": rule.document}, 6, seed=2)
    network.outputs[:, :6] = np.random.default_rng(3).normal(size=(rule.document, 6))
    before = {name: array.copy() for name, array in network.arrays().items()}
    run_epochs(State(network), model, corpus, 2, trainer.Stage("train", None, "words"), lambda *_: None)
    moved = {name: not np.array_equal(before[name], array) for name, array in network.arrays().items()}
    assert moved == {
        "documents": True,
        "words": not frozen & rules.WORD_ROWS and name != "PV-DBOW",
        "outputs": not frozen & rules.OUTPUT_ROWS,
    }


@pytest.mark.parametrize("name", ["PV-DBOW", "PV-DM"])
@pytest.mark.parametrize("frozen", [rules.OUTPUT_ROWS, rules.WORD_ROWS, rules.OUTPUT_ROWS + rules.WORD_ROWS])
@pytest.mark.parametrize("more", [{}, {"mean": 0}, {"mean": 0, "group": 1, "shared": 0}], ids=str)
def test_steps_with_frozen_rows_are_the_twins(name, frozen, more):
    rule, documents = rule_of(**{**FAMILIES_TO_COME[name], **more}, frozen=frozen), texts()
    tables = tables_of(counts_of(documents, 9), rule)
    W, C = matrices(40, 9, 6)
    exact_W, exact_C = W.astype(np.float64)[:, :6], C.astype(np.float64)[:, :6]
    model = SampledModel(rule, tables, 2, 0.05, seed=6)
    run_kernel(documents, model, W, C, epochs=2)
    twin_of(rule, tables).train(documents, [], tables.noise.tolist(), exact_W, exact_C, 0.05, model.floor, 6, 2)
    np.testing.assert_allclose(W[:, :6], exact_W, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(C[:, :6], exact_C, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("name", ["PV-DBOW", "PV-DM"])
def test_deterministic_documents_learn_as_much(documents_of_topics, name):
    """A batch is no longer than what a document's row can learn of it: the row is used at each of its words."""
    corpus, losses, designs = documents_of_topics, [], []
    for deterministic in (True, False):
        options = options_of("cbow", epochs=4, lr=0.05, deterministic=deterministic)
        changes = {"inputs": FAMILIES_TO_COME[name]["inputs"], "mean": 1, "spread": 0, "document": len(corpus.vocabulary)}
        design = design_words(corpus, options, **changes)
        assert design.model.uses.longest == 400
        inputs = {**design.inputs, "documents": corpus.documents}
        state = State(Network.random(inputs, design.outputs, 10, seed=1))
        run_epochs(state, design.model, corpus, 1, trainer.Stage("train", None, "words"), lambda *_: None)
        losses.append(state.history[-1]["loss"])
        designs.append(design.model)
    assert designs[0].part * designs[0].batch <= max(designs[0].most_steps, 16)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_a_family_says_where_its_vectors_begin():
    for start in (0.5, 1.0):
        W = Network.random({"words": 200}, {"contexts": 3}, 10, seed=1, start=start).inputs[:, :10]
        assert 0.98 * start / 10 < np.abs(W).max() <= start / 10
