"""What sampled models plan is what they take, and matrices that the budget cannot hold are mapped."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.topics import make_corpus, options_of, stop_after

from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import InterruptedRun, UsageError
from cooc_engine.models.sampled_options import SkipgramOptions
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import training, workspace
from cooc_engine.sampled.model import Design
from cooc_engine.sampled.word2vec import design_skipgram


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_window_that_no_memory_holds_is_refused(corpus, tmp_path, loss, deterministic):
    """By the plan: nothing is allocated to find out."""
    options = options_of("skipgram", window=2**33, loss=loss, deterministic=deterministic)
    with pytest.raises(UsageError, match="is too little to train skipgram"):
        train("skipgram", corpus, tmp_path / "m.h5", options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes", [{"loss": "softmax"}, {"extend": True}, {"deterministic": True}, {"loss": "hs"}, {}, {"init": "old"}], ids=str
)
def test_the_plan_holds_what_is_taken(tmp_path, monkeypatch, changes):
    """All that Python and NumPy allocate at the peak; the text is mapped."""
    rng = np.random.default_rng(1)
    old, new = (make_corpus(tmp_path / name, [[f"{name}{k}" for k in range(4000)] + ["both"]]) for name in ("old", "new"))
    options = SkipgramOptions(vector_size=64, epochs=1, window=2, subsample=0, seed=int(rng.integers(9)))
    if {"extend", "init"} & {*changes}:
        changes = {**changes, "init": str(train("skipgram", old, tmp_path / "old.h5", options).path)}
    train("skipgram", new, tmp_path / "loaded.h5", dataclasses.replace(options, **changes))  # kernels are loaded once
    plans = []
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[0])
    tracemalloc.start()
    try:
        train("skipgram", new, tmp_path / "new.h5", dataclasses.replace(options, **changes), threads=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < plans[0][0].least + (1 << 20)
    assert plans[0][0].least < 2 * peak, "and not much more"


def test_a_budget_that_cannot_hold_is_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match=r"memory='16\.0K' is too little to train skipgram"):
        train("skipgram", corpus, tmp_path / "m.h5", options_of("skipgram"), memory="16K")
    assert not list(tmp_path.iterdir())


def design_documents(corpus: Corpus, options) -> Design:
    """Skip-gram with input rows that no text uses."""
    design = design_skipgram(corpus, options)
    return dataclasses.replace(design, inputs={**design.inputs, "documents": 60_000})


def trained_documents(corpus: Corpus, output: Path, options, monkeypatch, **how) -> dict[str, np.ndarray]:
    """The arrays that would be saved."""
    saved: list = []
    monkeypatch.setattr(training, "save_model", lambda path, data, **how: saved.append(dict(data.arrays)))
    monkeypatch.setattr(training, "open_model", lambda path: None)
    training.train_sampled("skipgram", design_documents, corpus, output, options, **how)
    return saved[0]


def test_rows_that_the_budget_cannot_hold_are_mapped(corpus, tmp_path, small_parts, monkeypatch):
    """The same bits as in memory, also after an interruption; anonymous memory stays within the budget; no file is left."""
    options = options_of("skipgram", deterministic=True, epochs=2, vector_size=30)
    wanted = trained_documents(corpus, tmp_path / "m.h5", options, monkeypatch)
    assert {name: len(rows) for name, rows in wanted.items()} == {"words": 18, "documents": 60_000, "contexts": 18}
    plans = []
    monkeypatch.setattr(training, "memory_plan", lambda *args: plans.append(workspace.memory_plan(*args)) or plans[-1])
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(InterruptedRun):
            trained_documents(corpus, tmp_path / "m.h5", options, patch, memory="4M")
    tracemalloc.start()
    try:
        found = trained_documents(corpus, tmp_path / "m.h5", options, monkeypatch, memory="4M", resume=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [list(mapped) for _, mapped in plans] == [["inputs"]] * 2
    assert peak < 4 << 20
    assert plans[0][0].least < 4 << 20 < 60_000 * 32 * 4
    assert plans[0][0].disk.temporary > 2 * 60_000 * 32 * 4, "the matrix, and a checkpoint of it"
    assert {name: rows.tobytes() for name, rows in found.items()} == {name: rows.tobytes() for name, rows in wanted.items()}
    assert not list(tmp_path.iterdir())
