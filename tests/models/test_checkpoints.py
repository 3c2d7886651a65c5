"""Checkpoints that are not what they claim to be, with checksums that fit, are refused before anything is restored."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.counts import TEXTS, counted

from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InterruptedRun
from cooc_engine.matrix.glove import train_glove
from cooc_engine.matrix.pmi_svd import train_pmi_svd
from cooc_engine.models.checkpoints import Checkpoint, discard_leftovers
from cooc_engine.models.file import load_arrays, save_arrays
from cooc_engine.models.matrix_options import GloveOptions, PmiSvdOptions


def glove(cooc: Cooc, output: Path, **how: Any):
    return train_glove(cooc, output, GloveOptions(vector_size=2, epochs=3), threads=1, **how)


def svd(cooc: Cooc, output: Path, **how: Any):
    return train_pmi_svd(cooc, output, PmiSvdOptions(vector_size=2, tol=1e-30), threads=1, **how)


TRAININGS = {"glove": glove, "pmi-svd": svd}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A directory with counts and the checkpoints of two trainings, each after its first epoch."""
    at = tmp_path_factory.mktemp("stopped")
    cooc = counted(TEXTS, at / "text", CountOptions(window=2))

    def stop(self: Checkpoint, step: str, whole: bool) -> None:
        if whole:
            self.save()
            raise InterruptedRun("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "between", stop)
        for kind, train in TRAININGS.items():
            with pytest.raises(InterruptedRun):
                train(cooc, at / f"{kind}.h5")
    return at


def forge(stopped: Path, kind: str, output: Path, change) -> None:
    arrays, meta = load_arrays(stopped / f"{kind}.h5.checkpoint", kind)
    changed = {name: values.copy() for name, values in arrays.items()}, json.loads(json.dumps(meta))
    change(*changed)
    save_arrays(output.with_name(f"{output.name}.checkpoint"), kind, *changed)


def put(*path: Any):
    """Return a change of the record: the last argument, at the place that the others lead to."""
    *inner, last, value = path

    def change(arrays: dict, meta: dict) -> None:
        for key in ("state", *inner):
            meta = meta[key]
        meta[last] = value

    return change


def array(name: str, change):
    return lambda arrays, meta: arrays.update({name: change(arrays[name])})


@pytest.mark.parametrize("kind", TRAININGS)
def test_what_was_not_changed_goes_on(stopped, tmp_path, kind):
    forge(stopped, kind, tmp_path / "m.h5", lambda arrays, meta: None)
    resumed = TRAININGS[kind](Cooc(stopped / "text" / "cooc"), tmp_path / "m.h5", resume=True)
    whole = TRAININGS[kind](Cooc(stopped / "text" / "cooc"), tmp_path / "whole.h5")
    np.testing.assert_array_equal(resumed.matrix, whole.matrix)


def test_half_of_a_checkpoint_does_not_stay(stopped, tmp_path):
    """A run that was killed when it saved leaves it, and the one that goes on may never save again."""
    (tmp_path / "m.h5.checkpoint.part").write_bytes(b"half")
    train_glove(
        Cooc(stopped / "text" / "cooc"), tmp_path / "m.h5", GloveOptions(vector_size=2, epochs=1), threads=1, resume=True
    )
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5"]


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("glove", lambda arrays, meta: meta.clear(), "the content has no plan"),
        ("glove", lambda arrays, meta: meta.update(state=[]), "state is a list of 0; it must be an object"),
        ("glove", put("epoch", -1), "state: epoch is -1; it must be at least 0"),
        ("glove", put("epoch", 2), "its history has 1 records of 2 epochs"),
        ("glove", put("strata", 10**6), "an epoch does not have 1000000 strata"),
        ("glove", put("seconds", "x"), 'state: seconds is "x"; it must be a number'),
        ("glove", put("history", 0, {}), r"state: history\[0\] has no epoch|state: history\[0\] has no loss"),
        ("glove", lambda arrays, meta: arrays.pop("words"), "its array words does not fit this training"),
        ("glove", array("costs", lambda a: a - 1), "a cost is negative or too large to be right"),
        ("glove", array("costs", lambda a: a + 1e308), "a cost is negative or too large to be right"),
        ("glove", array("costs", lambda a: a[:0]), "its array costs does not fit this training"),
        ("glove", array("words", lambda a: a.astype(np.float64)), "its array words does not fit this training"),
        ("pmi-svd", put("krylov", {}), "state: krylov has no dimension"),
        ("pmi-svd", put("krylov", "width", 10**9), "blocks of 1000000000 panels are never those of 2 components"),
        ("pmi-svd", put("krylov", "filled", 10**9), "a basis of 1000000000 panels"),
        ("pmi-svd", put("krylov", "passes", [[1, 0.5]]), r"krylov.passes\[0\] is a list of 2; it must be a list of 3"),
        ("pmi-svd", put("history", 0, {"epoch": 1, "loss": 1}), r"state: history\[0\] has no items"),
        ("pmi-svd", array("basis", lambda a: a[:, :1]), "its array basis does not fit this training"),
        ("pmi-svd", array("projected", lambda a: a[:1]), "its array projected does not fit this training"),
    ],
)
def test_what_does_not_fit_is_refused(stopped, tmp_path, kind, change, says):
    forge(stopped, kind, tmp_path / "m.h5", change)
    with pytest.raises(FormatError, match=f"m.h5.checkpoint.*({says})") as failure:
        TRAININGS[kind](Cooc(stopped / "text" / "cooc"), tmp_path / "m.h5", resume=True)
    assert len(str(failure.value).splitlines()) == 1
    assert not (tmp_path / "m.h5").exists()


@pytest.mark.parametrize("newer", [False, True])
def test_what_a_killed_training_left_goes_but_not_what_a_newer_one_did(tmp_path, newer):
    output, checkpoint, lock = (tmp_path / name for name in ("m.h5", "m.h5.checkpoint", "m.h5.lock"))
    for at, path in enumerate((output, checkpoint) if newer else (checkpoint, output)):
        path.touch()
        os.utime(path, (at, at))
    lock.touch()
    discard_leftovers(output)
    assert (output.exists(), checkpoint.exists(), lock.exists()) == (True, newer, False)
