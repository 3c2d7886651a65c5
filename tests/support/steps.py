"""The kernel of the sampled models run alone, beside its twin: rules, texts, tables, matrices."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from twins import combining
from twins import sgd as naive

from cooc_engine._kernels import rules, sgd
from cooc_engine._kernels.barrier import GATE, Team
from cooc_engine._kernels.rules import CONCAT, SUM, Clock, Rule, Tables
from cooc_engine._kernels.step import StepLog
from cooc_engine.sampled import sampler
from cooc_engine.sampled.model import SampledModel
from cooc_engine.sampled.workspace import Workspace
from cooc_engine.storage.scratch import aligned_zeros, padded

PLAIN = {
    "inputs": 0,
    "mean": 0,
    "spread": 0,
    "document": -1,
    "window": 3,
    "fixed": 0,
    "output": 0,
    "negative": 4,
    "group": 5,
    "shared": 8,
}


def rule_of(**changes) -> Rule:
    hs = changes.get("output") == rules.PATH
    if changes.get("output") == rules.LIST:
        changes = {"group": 1, **changes}
    return Rule(**{**PLAIN, "clamp": 6.0, "beyond": 0.0 if hs else 1.0, **changes})


def texts(words: int = 9, documents: int = 6, seed: int = 1) -> list[list[int]]:
    """Documents of word ids, some unknown (-1), one empty and one of a single word."""
    rng = np.random.default_rng(seed)
    drawn = [(rng.geometric(0.25, rng.integers(2, 30)) - 2).clip(-1, words - 1).tolist() for _ in range(documents)]
    return [*drawn, [], [0], list(range(words))]


def counts_of(documents, words: int) -> np.ndarray:
    return np.bincount([w for text in documents for w in text if w >= 0], minlength=words).astype(np.int64)


def paths_of(paths: sampler.Paths) -> dict[int, list[tuple[int, float]]]:
    pairs = list(zip(paths.nodes.tolist(), paths.labels.tolist(), strict=True))
    return {w: pairs[a:b] for w, (a, b) in enumerate(itertools.pairwise(paths.starts.tolist()))}


def twin_of(rule: Rule, tables: Tables) -> naive.Twin:
    """The twin of a rule: the same facts by other names."""
    paths = sampler.Paths(tables.path_starts, tables.path_nodes, tables.path_labels)
    rows = None
    if len(tables.row_starts):
        starts = tables.row_starts.tolist()
        rows = {w: tables.rows[a:b].tolist() for w, (a, b) in enumerate(itertools.pairwise(starts))}
    kind = {SUM: combining.Summed, CONCAT: combining.Joined}.get(rule.mean, naive.Twin)
    return kind(
        inputs=["contexts", "centre", "document"][rule.inputs],
        mean=bool(rule.mean),
        spread=bool(rule.spread),
        window=rule.window,
        fixed=bool(rule.fixed),
        negative=rule.negative,
        group=rule.group,
        shared=rule.shared,
        paths=paths_of(paths) if rule.output == rules.PATH else None,
        rows=rows,
        document=rule.document,
        clamp=rule.clamp,
        beyond=rule.beyond,
        redraw=bool(rule.redraw),
        frozen_outputs=bool(rule.frozen & rules.OUTPUT_ROWS),
        frozen_words=bool(rule.frozen & rules.WORD_ROWS),
    )


def tables_of(counts: np.ndarray, rule: Rule, subsample: float = 0.0, **more) -> Tables:
    hs = rule.output == rules.PATH
    paths = sampler.huffman(counts) if hs else None
    return sampler.tables(counts, subsample=subsample, noise_power=None if hs else 0.75, paths=paths, **more)


def matrices(rows: int, outputs: int, d: int, scale: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    both = []
    for n in (rows, outputs):
        matrix = aligned_zeros(n, padded(d))
        matrix[:, :d] = rng.normal(0, scale, (n, d))
        both.append(matrix)
    return both[0], both[1]


def shard_of(documents) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([w for text in documents for w in text], np.int32)
    return ids, np.cumsum([0, *map(len, documents)]).astype(np.int64)


def run_parts(ids, offsets, model: SampledModel, clock: Clock, W, C, log: StepLog, part: int) -> np.ndarray:
    """Train on all parts of a text as one batch; returns loss, examples and words of each part."""
    parts = -(-len(ids) // part)
    results, uses = np.zeros((1, parts, 3)), np.zeros((2, len(W) + len(C)), np.int32)
    batches, team = np.zeros((1, 2), np.int64), Team(0, 1, np.zeros(GATE, np.int64))
    scratch = Workspace(model, W.shape[1]).scratch()
    rest = team, model.rule, model.tables, clock, W, C, scratch, log, 1 << 30, uses, results
    sgd.train_batches(ids, offsets, batches, parts, part, *rest)
    return results[0]


def run_kernel(documents, model: SampledModel, W, C, *, log: StepLog | None = None, part: int = 1 << 14, epochs: int = 1):
    """Run all parts one after the other; returns loss and examples by epoch."""
    ids, offsets = shard_of(documents)
    nothing = StepLog(np.empty((0, 0), np.int32), np.empty((0, 0, W.shape[1]), np.float32), np.empty(0, np.int64))
    history = []
    for epoch in range(epochs):
        total = dataclasses.replace(model, epochs=epochs).horizon(len(ids))
        clock = Clock(model.seed, epoch, 0, 0, epoch * len(ids), total, model.lr)
        results = run_parts(ids, offsets, model, clock, W, C, nothing if log is None else log, part)
        history.append(tuple(results.sum(axis=0)[:2]))
    return history
