"""Entries in coordinates become rows: kernels against their twin."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import coo as naive_entries

from cooc_engine._kernels import coo
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts import directory, from_coo
from cooc_engine.formats.scipy_counts import import_matrix


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(lambda n, d: n / d, st.integers(0, 10**6), st.sampled_from([1, 2, 3, 2520])),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=5,
    ),
    st.sampled_from([1, 2, 2520, 219060189739591200]),
)
def test_counts_become_integers_as_those_of_the_twin(counts, denominator):
    values = np.full(len(counts), -1)
    at = coo.round_counts(np.array(counts, float), float(denominator), 1e-9, values)
    expected = [naive_entries.whole(count, denominator, 1e-9) for count in counts]
    assert at == (expected.index(None) if None in expected else len(counts))
    assert values[:at].tolist() == expected[:at]
    assert set(values[at:].tolist()) <= {-1}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 5), st.integers(-2, 6), st.sampled_from([0, 1, 5, 2**62, 2**63 - 1])), max_size=30))
def test_entries_are_tallied_and_dealt_as_by_the_twin(found):
    rows, columns, values = (np.array([e[i] for e in found], t) for i, t in ((0, np.int32), (1, np.int32), (2, np.int64)))
    lengths, sums, marks = np.zeros(4, np.int64), np.zeros(4, np.int64), np.zeros(2, np.uint64)
    at = coo.tally(rows, columns, values, 5, coo.RowTally(lengths, sums, marks))
    totals = [0] * 4
    stop = len(found)
    for i, (row, column, value) in enumerate(found):
        if not (0 <= row < 4 and 0 <= column < 5) or totals[row] + value >= 2**63:
            stop = i
            break
        totals[row] += value
    good = found[:stop]
    assert at == stop
    assert sums.tolist() == totals
    assert lengths.tolist() == [sum(r == row and v > 0 for r, _, v in good) for row in range(4)]
    turned = [(column, row, value) for row, column, value in good]
    assert marks.tolist() == [naive_entries.fingerprint(good), naive_entries.fingerprint(turned)]

    starts = np.concatenate([[0], np.cumsum(lengths)])
    fill, dealt, sizes = starts[:-1].copy(), np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)
    coo.deal(rows[:stop], columns[:stop], values[:stop], fill, dealt, sizes)
    assert fill.tolist() == starts[1:].tolist()
    listed = [(r, c, v) for row in range(4) for r, c, v in good if r == row and v]
    assert list(zip(np.repeat(range(4), lengths).tolist(), dealt.tolist(), sizes.tolist(), strict=True)) == listed


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.data())
def test_rows_of_a_stretch_of_csr(lengths, data):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    begin = data.draw(st.integers(0, offsets[-1]))
    end = data.draw(st.integers(begin, offsets[-1]))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    assert from_coo.rows_of(offsets, begin, end).tolist() == rows[begin:end].tolist()


def test_word_counts_of_no_text_do_not_make_blocks(tmp_path, monkeypatch):
    """Each of these words could fill its row."""
    matrix, words = scipy.sparse.eye(300, format="csr"), [f"w{i:03d}" for i in range(300)]
    monkeypatch.setattr(directory, "BLOCK_ENTRIES", 2**15)
    for most, blocks in ((4, 3), (1 / 1024, 1)):
        monkeypatch.setattr(from_coo, "MOST_BLOCKS", most)
        vocabulary = Vocabulary.from_words(words, [10**6] * 300)
        cooc = import_matrix(matrix, vocabulary, tmp_path / f"cooc{blocks}")
        assert (len(cooc.blocks), cooc.entries) == (blocks, 300)
