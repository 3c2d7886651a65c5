"""What sampled models draw follows its distribution; Huffman trees are optimal."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.steps import rule_of, run_parts, twin_of

from cooc_engine._kernels import rules, sgd
from cooc_engine._kernels.rules import Clock, Rule
from cooc_engine._kernels.sampling import lay_out
from cooc_engine._kernels.step import StepLog
from cooc_engine.sampled import sampler
from cooc_engine.sampled.model import SampledModel
from cooc_engine.storage.scratch import aligned_zeros

COUNTS = np.array([900, 400, 200, 90, 40, 12, 5, 1], np.int64)
ENOUGH = 1e-3  # a fixed seed either passes or does not


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60), st.floats(0, 2))
@settings(deadline=None)
def test_an_alias_table_holds_its_distribution(counts, power):
    """Each entry gives its own chance to itself and the rest to its alias: together the weights, exactly."""
    counts = np.array([*counts, 3], np.int64)
    weights = np.where(counts > 0, counts.astype(float) ** power, 0)
    table = sampler.alias_table(counts, power)
    own = (table >> np.uint64(32)).astype(float) / (2**32 - 1)
    found = np.bincount((table & np.uint64(2**32 - 1)).astype(np.int64), 1 - own, len(counts)) + own
    np.testing.assert_allclose(found / len(counts), weights / weights.sum(), atol=1e-8)
    assert not found[counts == 0].any()


def listed(ids: np.ndarray, tables, **changes) -> list[tuple[list[int], list[int]]]:
    """Inputs and target of every example of one long document."""
    rule = Rule(
        **{"inputs": 0, "mean": 0, "spread": 0, "document": -1, "window": 5, "fixed": 0, "output": rules.LIST}
        | {"negative": 0, "group": 1, "shared": 0, "clamp": 6.0, "beyond": 1.0}
        | changes
    )
    model = SampledModel(rule, tables, 1, 0.1, seed=7)
    log = StepLog(np.zeros((1, 14 * len(ids)), np.int32), np.zeros((0, 0, 16), np.float32), np.zeros(1, np.int64))
    W, C = aligned_zeros(99, 16), aligned_zeros(99, 16)
    offsets, clock = np.array([0, len(ids)]), Clock(7, 0, 0, 0, 0, math.inf, 0.1)
    run_parts(ids, offsets, model, clock, W, C, log, len(ids))
    rows, place, found = log.rows[0].tolist(), 0, []
    while place < log.used[0]:
        n, m = rows[place : place + 2]
        found.append((rows[place + 2 : place + 2 + n], rows[place + 2 + n : place + 2 + n + m]))
        place += 2 + n + m
    return found


def test_radii_are_uniform():
    ids = np.zeros(30_000, np.int32)
    examples = listed(ids, sampler.tables(np.array([5]), subsample=0))[5:-5]
    seen = np.bincount([len(inputs) // 2 for inputs, _ in examples], minlength=6)
    assert not seen[0]
    assert stats.chisquare(seen[1:]).pvalue > ENOUGH
    fixed = listed(ids, sampler.tables(np.array([5]), subsample=0), fixed=1)
    assert {len(inputs) for inputs, _ in fixed[5:-5]} == {10}


@pytest.mark.parametrize("subsample", [0.01, 0.1])
def test_words_are_kept_with_their_probability(subsample):
    """min(1, (√(f/t) + 1)·t/f)."""
    rng = np.random.default_rng(3)
    ids = rng.choice(len(COUNTS), 60_000, p=COUNTS / COUNTS.sum()).astype(np.int32)
    counts = np.bincount(ids)
    f = counts / counts.sum()
    keep = np.minimum(1, (np.sqrt(f / subsample) + 1) * subsample / f)
    found = np.bincount([t for _, (t,) in listed(ids, sampler.tables(counts, subsample=subsample))], minlength=len(COUNTS))
    assert (found[keep == 1] == counts[keep == 1]).all()
    thinned = keep < 1
    assert thinned.any()
    z = (found - counts * keep)[thinned] / np.sqrt(counts * keep * (1 - keep))[thinned]
    assert stats.chi2.sf((z**2).sum(), thinned.sum()) > ENOUGH


@pytest.mark.parametrize("power", [0.75, 0, 1])
def test_noise_follows_its_power(power):
    """Noise of a text whose words are never noise themselves: nothing is left out."""
    counts = np.r_[0, COUNTS]
    tables = sampler.tables(counts, noise_power=power)
    rule = Rule(rules.CENTRE, 0, 0, -1, 1, 0, rules.NOISE, 9, 1, 0, 6.0, 1.0)
    model = SampledModel(rule, tables, 1, 0.1, seed=7, deterministic=True)
    ids = np.zeros(3000, np.int32)
    log = StepLog(np.zeros((1, 90_000), np.int32), np.zeros((1, 90_000, 16), np.float32), np.zeros(1, np.int64))
    W, C = aligned_zeros(9, 16), aligned_zeros(9, 16)
    clock = Clock(7, 0, 0, 0, 0, math.inf, 0.1)
    results = run_parts(ids, np.array([0, len(ids)]), model, clock, W, C, log, len(ids))
    rows = log.rows[0, : log.used[0]]
    found = np.bincount(-1 - rows[rows < -1], minlength=9)[1:]
    assert found.sum() == 9 * results[0, sgd.EXAMPLES] > 40_000
    assert stats.chisquare(found, COUNTS**power / (COUNTS**power).sum() * found.sum()).pvalue > ENOUGH


def test_noise_of_any_power():
    """The power of a count would overflow; that of its share of the greatest does not."""
    for power in (0, 0.75, 200, 1e6):
        table = sampler.alias_table(COUNTS, power)
        own = (table >> np.uint64(32)).astype(float) / (2**32 - 1)
        chances = np.bincount((table & np.uint64(2**32 - 1)).astype(np.int64), 1 - own, len(COUNTS)) + own
        wanted = (COUNTS / 900) ** power
        np.testing.assert_allclose(chances / len(COUNTS), wanted / wanted.sum(), atol=1e-8)


def test_thinning_by_shares_of_all_tokens():
    """Words that never occur are kept; f is a share of the vocabulary's tokens, or of as many as are said."""
    counts = np.array([600, 400, 0], np.int64)
    for total in (None, 5000):
        f = counts[:2] / (total or 1000)
        keep = np.ldexp(sampler.tables(counts, subsample=0.01, total=total).keep.astype(float), -64)
        np.testing.assert_allclose(keep, [*np.sqrt(0.01 / f) + 0.01 / f, 1], rtol=1e-12)


USES = {
    "skip-gram": {},
    "fixed": {"fixed": 1},
    "own": {"shared": 0},
    "contexts": {"inputs": rules.CENTRE},
    "cbow": {"mean": 1},
    "cbow, own": {"mean": 1, "shared": 0},
    "PV-DBOW": {"inputs": rules.DOCUMENT, "mean": 1, "document": 8},
    "PV-DBOW, own": {"inputs": rules.DOCUMENT, "shared": 0, "document": 8},
    "PV-DM": {"mean": 1, "document": 8},
    "PV-DM, rows apart": {"document": 8},
    "PV-DM, own": {"shared": 0, "document": 8},
}


@pytest.mark.parametrize("negative", [1, 7])
@pytest.mark.parametrize("name", USES)
def test_rows_are_used_as_often_as_is_said(name, negative):
    """Examples of each row, window by window, over the tokens; a document's row is used at each word that is kept."""
    rule = rule_of(**{"negative": negative, "group": 1, "shared": negative, **USES[name]})
    ids = np.random.default_rng(3).choice(len(COUNTS), 4000, p=COUNTS / COUNTS.sum()).astype(np.int32)
    counts = np.bincount(ids, minlength=len(COUNTS))
    tables = sampler.tables(counts, subsample=0.2, noise_power=0.75)
    inputs, outputs = Counter(), Counter()
    for _, example in twin_of(rule, tables).examples([ids.tolist()], tables.keep.tolist(), tables.noise.tolist(), 7):
        inputs.update(row for lane in {lane for _, lane, _, _ in example.outputs} for row in example.lanes[lane])
        alone = bool(rule.shared == 0 and not rule.mean)
        targets = Counter(o for o, _, _, p in example.outputs if p) if alone else {o for o, _, _, p in example.outputs if p}
        outputs.update(targets if rule.inputs != rules.CENTRE else [o for o, _, _, p in example.outputs if p])
        noise = [(o, lane) for o, lane, _, p in example.outputs if not p]
        lanes = {lane for _, lane in noise}
        outputs.update(o for o, lane in noise if rule.shared == 0 or rule.inputs == rules.CENTRE or lane == min(lanes))
    words = {row: n for row, n in inputs.items() if row < len(COUNTS)}
    uses = sampler.expected_uses(counts, tables, rule, len(ids))
    assert uses.word == pytest.approx(max([*words.values(), *outputs.values()]) / len(ids), rel=0.06)
    assert uses.document == pytest.approx(inputs[8] / len(ids) if rule.document >= 0 else 0, rel=0.06)
    assert uses.longest == (len(ids) if rule.document >= 0 else 0)


def test_no_row_is_used_more_often_than_a_batch_is_made_for():
    """Words are used all over the text; a document's row at all of its words, unless the document is short."""
    assert sampler.Uses(0.5).stretch(16) == 32
    assert sampler.Uses(0.5, 0.8, 1000).stretch(16) == 20
    assert sampler.Uses(0.5, 0.8, 20).stretch(16) == 32
    assert sampler.Uses().stretch(16) > 1e9


def test_the_most_frequent_words_may_be_used_more_often():
    """But only if they are few: no batch is made for a word that most of the text is."""
    assert sampler.Uses(0.5, frequent=0.25).stretch(16) == 64
    assert sampler.Uses(0.5, frequent=0.01).stretch(16) == 4 * 32
    rule = rule_of(group=1, shared=4, fixed=1)
    even, steep = (np.array(counts, np.int64) for counts in ([100] * 50, [1000, *[10] * 500]))
    for counts, wanted in ((even, 1.0), (steep, 4.0)):
        uses = sampler.expected_uses(counts, sampler.tables(counts, subsample=0.003, noise_power=0.75), rule)
        assert uses.stretch(16) * uses.word == pytest.approx(16 * wanted, rel=0.05)


class Read(list):
    """A text that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, place):
        self.looks += 1
        return super().__getitem__(place)


def test_a_text_of_unknown_words_is_not_read_around():
    ids, words = Read([-1] * 5000 + [3] + [-1] * 5000), np.zeros(100, np.int32)
    rest = 0, len(ids), np.empty(0, np.uint64), np.uint64(1), 0, 5, words
    assert lay_out.py_func(ids, 100, 108, *rest) == (5, 5, 5, 0)
    assert ids.looks == 8
    assert lay_out.py_func(ids, 5000, 5001, *rest) == (5, 6, 6, 1)
    assert words[5] == 3


# ------------------------------------------------------------------------------------------------------------- Huffman


def least_cost(counts) -> int:
    """Σ count · length of an optimal code, by a heap."""
    heap, cost = list(map(int, counts)), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    return cost


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=80))
@settings(deadline=None)
def test_huffman_paths_are_an_optimal_code(counts):
    """As short as an independent construction, prefix-free, each inner node with two children; counts in any order."""
    counts = np.array(counts, np.int64)
    paths = sampler.huffman(counts)
    lengths = np.diff(paths.starts)
    assert int(lengths @ counts) == least_cost(counts)
    if counts.sum():
        assert paths.expected(counts) == pytest.approx(least_cost(counts) / counts.sum())
    codes, children = set(), set()
    for a, b in itertools.pairwise(paths.starts.tolist()):
        nodes, labels = paths.nodes[a:b].tolist(), paths.labels[a:b].tolist()
        assert set(labels) <= {1.0, -1.0}
        if nodes:
            assert nodes[0] == len(counts) - 2, "the root is the last"
        codes.add(tuple(labels))
        children |= {(n, y) for n, y in zip(nodes, labels, strict=True)}
    assert len(codes) == len(counts)
    assert sum(2.0 ** -len(code) for code in codes) == 1
    assert len(children) == 2 * (len(counts) - 1)


def test_a_path_is_word2vecs():
    """Codes as its program prints them for counts 5 2 1 1: the greater child is 1, of equal ones the leaf."""
    paths = sampler.huffman(np.array([5, 2, 1, 1], np.int64))
    found = [(paths.nodes[a:b].tolist(), paths.labels[a:b].tolist()) for a, b in itertools.pairwise(paths.starts.tolist())]
    assert found == [([2], [-1]), ([2, 1], [1, -1]), ([2, 1, 0], [1, 1, -1]), ([2, 1, 0], [1, 1, 1])]


@given(st.lists(st.integers(1, 50), min_size=2, max_size=30))
@settings(deadline=None)
def test_probabilities_of_a_tree_sum_to_1(counts):
    paths = sampler.huffman(np.array(counts, np.int64))
    z = np.random.default_rng(len(counts)).normal(0, 2, len(counts) - 1)
    chances = [np.prod(1 / (1 + np.exp(-paths.labels[a:b] * z[paths.nodes[a:b]]))) for a, b in itertools.pairwise(paths.starts)]
    assert sum(chances) == pytest.approx(1, abs=1e-12)
