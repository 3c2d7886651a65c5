"""Counts as sparse matrices of SciPy, whole and by rows, and sparse matrices as counts."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from support.counts import SLOW, bodies, counted, integers, options_of, texts_of
from twins import counting as naive

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.counts import directory
from cooc_engine.counts.directory import Cooc, index_type
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, UsageError
from cooc_engine.formats.scipy_counts import import_matrix
from cooc_engine.matrix.glove import train_glove
from cooc_engine.models.matrix_options import GloveOptions
from cooc_engine.runtime.threads import cut_by_cost


@SLOW
@given(texts_of, options_of, st.booleans(), st.sampled_from([1, 4, 1 << 20]))
def test_csr_whole_and_by_rows(texts, options, positional, most):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "BLOCK_ENTRIES", 20)
        options = CountOptions(**options.record() | {"positional": positional})
        cooc = counted(texts, Path(name), options)
        words = cooc.vocabulary.words
        expected = np.zeros((len(words), cooc.columns))
        where = options.window, options.window_weight, options.context_side, positional
        for place, value in naive.cooccurrences(texts, words, *where).items():
            expected[place] = float(value)
        whole = cooc.csr()
        assert whole.has_canonical_format and whole.nnz == cooc.entries
        np.testing.assert_array_equal(whole.toarray(), expected)
        parts = list(cooc.row_blocks(most))
        assert [first for first, _ in parts] == [0, *itertools.accumulate(part.shape[0] for _, part in parts)][:-1]
        assert all(part.nnz <= most or part.shape[0] == 1 for _, part in parts)
        np.testing.assert_array_equal(scipy.sparse.vstack([part for _, part in parts]).toarray(), expected)


def test_a_matrix_that_does_not_fit_is_refused_with_its_size(tmp_path, large):
    cooc = Cooc(large / "whole")
    with pytest.raises(UsageError, match=r"entries take .*M as one matrix, more than 1.0M; .* row_blocks"):
        cooc.csr(memory="1M")
    assert cooc.csr(cooc.blocks[0], memory="1M").nnz <= cooc.entries


def test_indices_of_64_bits_where_32_do_not_do():
    assert index_type(2**31 - 1, 2**31 - 1) == np.int32
    assert index_type(2**31, 5) == index_type(5, 2**31) == np.int64


def test_blocks_are_cut_by_rows(tmp_path, large):
    cooc = Cooc(large / "whole")
    lengths = np.diff(cooc.row_offsets)
    assert [first for first, _ in cooc.row_blocks(5000)] == [first for first, _ in cut_by_cost(lengths, 5000)]


@SLOW
@given(texts_of, options_of, st.sampled_from(["csr", "csc", "coo", "lil"]), st.integers(0, 99), st.sampled_from("df"))
def test_a_matrix_comes_back_whatever_its_form(texts, options, form, seed, kind):
    with tempfile.TemporaryDirectory() as name:
        cooc = counted(texts, Path(name), options)
        order = np.random.default_rng(seed).permutation(len(cooc.vocabulary))
        matrix = cooc.csr().astype(kind)[order][:, order].asformat(form)
        words = Vocabulary.from_words([cooc.vocabulary.words[i] for i in order], cooc.vocabulary.counts[order].tolist())
        back = import_matrix(matrix, words, Path(name) / "back", options)
        assert bodies(back.path) == bodies(cooc.path)


def test_counts_of_a_term_document_matrix(tmp_path):
    """As scikit-learn makes them: documents by words in alphabetical order; zeros are stored, and no word has a count."""
    documents = scipy.sparse.csr_matrix([[1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1]])
    matrix = documents.T @ documents
    matrix.setdiag(0)
    assert (matrix.data == 0).any()
    words = np.array(["ant", "bee", "cow", "dog"], object)
    cooc = import_matrix(matrix, words, tmp_path / "cooc")
    assert cooc.vocabulary.words == ["cow", "dog", "ant", "bee"]
    assert cooc.vocabulary.counts.tolist() == [4, 3, 2, 1]
    assert (cooc.denominator, cooc.options.window_weight) == (1, "uniform")
    ids = [cooc.vocabulary.ids[word] for word in words]
    np.testing.assert_array_equal(cooc.csr().toarray()[np.ix_(ids, ids)], matrix.toarray())
    train_glove(cooc, tmp_path / "model.h5", GloveOptions(vector_size=4, epochs=1))
    small = import_matrix(matrix.astype(np.int8).tocoo(), list(words), tmp_path / "small", CountOptions(window=10))
    assert integers(small) == {place: 2520 * value for place, value in integers(cooc).items()}
    binary = import_matrix((matrix > 0).tocsc(), list(words), tmp_path / "binary")
    assert set(integers(binary).values()) == {1} and binary.entries == cooc.entries
    empty = import_matrix(scipy.sparse.csr_array((2, 2)), ["a", "b"], tmp_path / "empty")
    assert empty.entries == 0 and empty.csr().shape == (2, 2)


@pytest.mark.parametrize(
    ("matrix", "words", "message"),
    [
        (np.eye(2), ["a", "b"], "a ndarray is not a SciPy sparse matrix"),
        (scipy.sparse.eye(3), ["a", "b"], "2 words need a matrix of as many rows and columns, not 3 x 3"),
        (scipy.sparse.eye(2, dtype=complex), ["a", "b"], "holds complex128"),
        (scipy.sparse.eye(2), {"a": 1, "b": 0}, "words is {'a': 1, 'b': 0}; it must be a list, each item a string"),
        (scipy.sparse.eye(2), ["a", 5], "must be a string"),
        (scipy.sparse.eye(2), ["a", "a"], "contains the word 'a' twice"),
        (scipy.sparse.eye(2), ["a", ""], "a word is empty"),
        (scipy.sparse.eye(2), ["a", "new york"], "word 2 has white space in it; join its parts with _"),
        (scipy.sparse.eye(2) / 2, ["a", "b"], "entry 1, 0.5, is not a multiple of 1/1"),
        (scipy.sparse.eye(2) * np.nan, ["a", "b"], "entry 1 is nan"),
        (scipy.sparse.eye(2, dtype=np.int64) * -3, ["a", "b"], "entry 1 is -3, which is not a count"),
        (scipy.sparse.eye(2, dtype=np.uint64) * np.uint64(2**63), ["a", "b"], "overflows 64 bits"),
        (scipy.sparse.csr_array(([1], ([0], [1])), (2, 2)), ["a", "b"], "context_side"),
    ],
)
def test_a_matrix_that_is_none_of_counts_is_refused(tmp_path, matrix, words, message):
    with pytest.raises(CoocError, match=message):
        import_matrix(matrix, words, tmp_path / "out")
    assert not list(tmp_path.iterdir())
