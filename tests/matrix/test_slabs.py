"""GloVe and simpler-GloVe by workers that share the training: the bits of one machine, whoever is lost on the way."""

from __future__ import annotations

import copy
import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from support import tasks
from support.matrices import cut_into, interrupt_at, make_cooc, never, same_bits

from cooc_engine import train
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import DivergenceError, FormatError, InterruptedRun, ResourceError, UsageError
from cooc_engine.matrix import glove, slabs
from cooc_engine.matrix.glove import train_glove, train_simpler_glove
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
from cooc_engine.runtime import processes
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.processes import Processes
from cooc_engine.runtime.workers import Here

GLOVE = GloveOptions(vector_size=12, epochs=2, x_max=10, seed=4)
TIED, FREE = (SimplerGloveOptions(vector_size=7, epochs=2, tying=tying) for tying in ("tied", "free"))
KINDS = [
    (train_glove, GLOVE, (12, 3)),  # the trainer, its options, blocks and groups of the grid
    (train_glove, dataclasses.replace(GLOVE, accumulators="row", held_out=0.2), (10, 1)),
    (train_simpler_glove, TIED, (8, 1)),
    (train_simpler_glove, dataclasses.replace(TIED, held_out=0.2), (9, 1)),
    (train_simpler_glove, FREE, (5, 1)),
]


@pytest.fixture(scope="module")
def cooc(tmp_path_factory) -> Cooc:
    return make_cooc(tmp_path_factory.mktemp("slabs"), CountOptions(window=5))


@pytest.fixture(scope="module", params=["processes", "one process", pytest.param("dask", marks=pytest.mark.cluster)])
def workers(request):
    """Workers who outlive a training, and count as those of other machines, so that a training is shared."""
    if request.param == "dask":
        from cooc_engine.runtime.cluster import OnDask

        made = OnDask(request.getfixturevalue("client"), 1, 1 << 30)
        yield made
        return
    made = Processes(1 if request.param == "one process" else 2, 1, 1 << 30)
    with made.at(Path()):
        lasting = copy.copy(made)
        lasting.at, lasting.local = lambda directory: nullcontext(), False
        yield lasting


@contextmanager
def sharing(workers) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "shared", lambda run: nullcontext(workers))
        yield


@contextmanager
def two_processes() -> Iterator[Processes]:
    """Share trainings among two processes that a test may break."""
    made = Processes(2, 1, 1 << 30)
    made.local = False
    with sharing(made):
        yield made


def losses(model) -> list[dict[str, float]]:
    return [{name: value for name, value in record.items() if "loss" in name} for record in model.history]


@pytest.mark.parametrize(("trainer", "options", "grid"), KINDS)
def test_workers_train_the_bits_of_one_machine(cooc, workers, tmp_path, monkeypatch, trainer, options, grid):
    cut_into(monkeypatch, *grid)
    whole = trainer(cooc, tmp_path / "whole.h5", options)
    with sharing(workers):
        made = trainer(cooc, tmp_path / "made.h5", options)
    assert same_bits(whole, made)
    assert losses(whole) == losses(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.h5", "whole.h5"]


@pytest.mark.parametrize("first", ["workers", "one machine"])
@pytest.mark.parametrize("kind", [0, 2], ids=["glove", "tied"])
def test_either_goes_on_where_the_other_stopped(cooc, workers, tmp_path, monkeypatch, kind, first):
    trainer, options, grid = KINDS[kind]
    cut_into(monkeypatch, *grid)
    whole, output = trainer(cooc, tmp_path / "whole.h5", options), tmp_path / "made.h5"
    shared, alone = sharing(workers), nullcontext()
    monkeypatch.setattr(slabs, "TASK", 0.0)  # a single worker, too, stops after each stratum
    interrupt_at(monkeypatch, 3)
    with shared if first == "workers" else alone, pytest.raises(InterruptedRun, match="resume=True"):
        trainer(cooc, output, options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.h5.checkpoint", "whole.h5"]
    monkeypatch.setattr(glove, "deferred_interrupt", never)
    with alone if first == "workers" else shared:
        made = trainer(cooc, output, options, resume=True)
    assert same_bits(whole, made)
    assert losses(whole) == losses(made)


@pytest.mark.parametrize(("seconds", "expected"), [(20.0, [12, 12]), (0.0, [1] * 24)])
def test_a_single_worker_reads_the_parameters_for_as_many_strata_as_it_has_time(cooc, tmp_path, monkeypatch, seconds, expected):
    cut_into(monkeypatch, 12)
    made, tasks, original = Processes(1, 1, 1 << 30), [], slabs.OnWorkers.train

    def train(self, *given) -> slabs.Done:
        tasks.append(original(self, *given).strata)
        return slabs.Done(tasks[-1], 0.0)

    monkeypatch.setattr(slabs, "TASK", seconds)
    monkeypatch.setattr(slabs.OnWorkers, "train", train)
    made.local = False
    with sharing(made):
        train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert tasks == expected


def test_workers_that_are_killed_cost_no_bit(cooc, tmp_path, monkeypatch):
    """One while tiles are dealt, and one in the middle of an epoch."""
    cut_into(monkeypatch, 12)
    whole = train_glove(cooc, tmp_path / "whole.h5", GLOVE)
    heard, original = [], Processes._hear

    def hear(self, worker, *rest) -> None:
        heard.append(worker.process.pid)
        if len(heard) in (5, 30):
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
        original(self, worker, *rest)

    monkeypatch.setattr(Processes, "_hear", hear)
    with two_processes():
        made = train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert len(set(heard)) == 4, "two took the places of those that were killed"
    assert same_bits(whole, made)
    assert losses(whole) == losses(made)


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_a_damaged_slab_of_parameters_is_never_used(cooc, tmp_path, monkeypatch, damage):
    cut_into(monkeypatch, 4)
    original = slabs.OnWorkers.train

    def train(self, *given) -> slabs.Done:
        done = original(self, *given)
        path = self._stored[1].path
        content = bytearray(path.read_bytes())
        content[self._stored[1].number * len(content) // 2 + 9] ^= 1
        path.write_bytes(content if damage == "flipped" else content[:9])
        return done

    monkeypatch.setattr(slabs.OnWorkers, "train", train)
    with two_processes(), pytest.raises(FormatError, match=r"rows-0-0-.*\.bin: damaged .*; continue with resume=True"):
        train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert not list(tmp_path.iterdir())


def test_a_task_that_is_always_lost_ends_the_training(cooc, tmp_path, monkeypatch):
    monkeypatch.setattr(slabs, "visit", tasks.perish)
    monkeypatch.setattr(processes, "LOSSES", 1)
    with two_processes(), pytest.raises(ResourceError, match=r"a task was lost with .* workers") as caught:
        train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def test_divergence_is_that_of_one_machine(cooc, workers, tmp_path, monkeypatch):
    cut_into(monkeypatch, 4)
    with sharing(workers), pytest.raises(DivergenceError, match="not finite in epoch 1; lower lr") as caught:
        train_glove(cooc, tmp_path / "made.h5", dataclasses.replace(GLOVE, lr=1e30))
    assert caught.value.exit_code == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("short", ["worker", "one that divides"])
def test_a_budget_that_is_too_small_is_refused(cooc, tmp_path, short):
    """Of a worker, or of this process, which has all parameters."""
    with two_processes() as workers, pytest.raises(UsageError, match=r"memory=.* is too little to train glove") as caught:
        if short == "worker":
            workers.memory = 1 << 10
        else:
            workers.here = Here(1, 1 << 10)
        train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert ("with others" in str(caught.value)) == (short != "worker")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_goes(cooc, tmp_path, monkeypatch):
    left = tmp_path / "made.h5.slabs"
    left.mkdir()
    for name in ("lock", "rows-0-1-000.bin"):
        (left / name).touch()
    train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert [path.name for path in tmp_path.iterdir()] == ["made.h5"]


def test_a_directory_of_somebody_else_stays(cooc, tmp_path):
    (tmp_path / "made.h5.slabs").mkdir()
    (tmp_path / "made.h5.slabs" / "mine").touch()
    with two_processes(), pytest.raises(UsageError, match=r"made\.h5\.slabs: is in the way; remove it"):
        train_glove(cooc, tmp_path / "made.h5", GLOVE)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["made.h5.slabs", "made.h5.slabs/mine"]


def test_processes_of_one_machine_are_its_threads(cooc, tmp_path):
    """They have the same bits, and nothing to move."""
    whole, made = (
        train("glove", cooc, tmp_path / f"{name}.h5", GLOVE, **how)
        for name, how in (("whole", {"threads": 1}), ("made", {"processes": 2, "threads": 1}))
    )
    assert all((whole.array(name) == made.array(name)).all() for name in whole.names)
    assert made.provenance["threads"] == 2


@pytest.mark.cluster
def test_a_cluster_is_named(cooc, client, tmp_path, monkeypatch):
    """By its client here; a directory that its workers do not see is refused before anything is dealt."""
    made = train("glove", cooc, tmp_path / "made.h5", GLOVE, cluster=client, threads=1)
    assert made.provenance["threads"] == 2
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"a worker on .* does not see it"):
        train("glove", cooc, Path("/proc/self/cwd/other.h5"), GLOVE, cluster=client)
    assert [path.name for path in tmp_path.iterdir()] == ["made.h5"]
