"""Counts and corpora in an interactive session: pairs, frames, AnnData, what they show, pickles."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UnknownWordError, UsageError

TEXT = ["the river and the water", "water of the river"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return encode_documents(TEXT, tmp_path_factory.mktemp("access") / "corpus", EncodeOptions(min_count=1))


@pytest.fixture(params=[{}, {"positional": True}, {"context_side": "left", "positional": True}], ids=str)
def cooc(request, corpus, tmp_path) -> Cooc:
    return count(corpus, tmp_path / "cooc", CountOptions(window=3, window_weight="uniform", **request.param))


def test_pairs(cooc):
    left = cooc.options.context_side == "left"
    assert (cooc["river", "the"], cooc["river", "of"], cooc["of", "and"]) == ((2, 1, 0) if left else (3, 1, 0))
    with pytest.raises(UnknownWordError, match="cooc: 'sea' is not in the vocabulary"):
        cooc["river", "sea"]
    with pytest.raises(UsageError, match=r"^counts are of pairs, a word and its context, .* not \('river', 5\)$"):
        cooc["river", 5]
    for bad in ("river", ("river", "the", "of"), 3):
        with pytest.raises(UsageError, match="counts are of pairs"):
            cooc[bad]


def test_frames(cooc):
    pytest.importorskip("pandas")
    frame = cooc.to_frame()
    assert len(frame) == cooc.entries and frame["count"].sum() == cooc.row_sums.sum()
    sums = frame.groupby(["word", "context"])["count"].sum()
    assert all(cooc[pair] == value for pair, value in sums.items())
    assert list(frame) == ["word", "context", *(["distance"] if cooc.positional else []), "count"]
    if cooc.positional:
        near = frame[(frame["word"] == "river") & (frame["context"] == "the")]
        assert set(near["distance"]) == ({-1} if cooc.options.context_side == "left" else {-1, 2})
    one = cooc.to_frame("river")
    wanted = frame[frame["word"] == "river"].reset_index(drop=True)
    assert one.equals(wanted.astype(one.dtypes.to_dict()))


@pytest.mark.filterwarnings("ignore")  # of anndata's own imports
def test_anndata(cooc):
    pytest.importorskip("anndata")
    data = cooc.to_anndata()
    assert data.shape == (len(cooc.vocabulary), cooc.columns)
    assert data.obs.loc["the", "count"] == 3 and data.obs_names.tolist() == cooc.vocabulary.words
    assert np.array_equal(data.X.toarray(), cooc.csr().toarray())
    at = "the-1" if cooc.positional else "the"
    assert data["river", at].X.toarray().item() == (2 if cooc.positional else 3)
    assert "n_obs" in repr(data)


def test_what_is_shown(corpus, cooc):
    assert repr(corpus) == f"<Corpus: tokens 9, documents 2, words 5, first the, river, water, and, of, path {corpus.path}>"
    side = cooc.options.context_side
    density = f"{cooc.entries / 5 / cooc.columns:.3%}"
    wanted = f"words 5, entries {cooc.entries}, density {density}, window 3, uniform, {side}, path {cooc.path}"
    assert repr(cooc) == f"<Cooc: {wanted}>"
    assert "<td" in cooc._repr_html_() and "<td" in corpus._repr_html_()


def test_pickles_are_paths(corpus, cooc, tmp_path, monkeypatch):
    assert cooc["river", "the"]  # which maps the files
    assert pickle.loads(pickle.dumps(cooc)).path == cooc.path and pickle.loads(pickle.dumps(corpus)).digest == corpus.digest
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickle.dumps(Cooc("cooc"))).path == tmp_path / "cooc"
