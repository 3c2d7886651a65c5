"""The output of a training while it is trained: who may write it, checkpoints beside it, and going on from one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy.typing as npt

from cooc_engine.errors import InterruptedRun, UsageError
from cooc_engine.models.file import load_arrays, save_arrays
from cooc_engine.runtime.keywords import Run
from cooc_engine.storage.outputs import beside, disk_errors, locked, refuse_busy, refuse_overwrite

__all__ = ["Between", "Checkpoint", "Resumable", "TrainingState", "checkpoint_path", "claimed"]

SAVING = 0.05  # where the state is small, at the end of an epoch, checkpoints may take this share of the time
WRITING = 5e8  # bytes per second, until a checkpoint has been timed
Between = Callable[[str, bool], None]  # `Checkpoint.between`
Arrays = Mapping[str, npt.NDArray[Any]]


class Resumable(Protocol):
    """The state of a training."""

    def arrays(self) -> Arrays:
        """Return the large part of what a checkpoint holds."""
        ...

    def meta(self) -> dict[str, Any]:
        """Return the rest, as JSON can hold it."""
        ...

    def load(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        ...


class TrainingState:
    """A state whose arrays are filled in place, and whose fields `KEPT` are the small part of a checkpoint."""

    KEPT: ClassVar[tuple[str, ...]]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the large part of a checkpoint, as it is in memory."""
        raise NotImplementedError

    def meta(self) -> dict[str, Any]:
        """Return the fields that a checkpoint keeps."""
        return {name: getattr(self, name) for name in self.KEPT}

    def load(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; a training that is deterministic goes on with the same bits."""
        for name, values in self.arrays().items():
            values[:] = arrays[name]
        for name, value in meta.items():
            setattr(self, name, value)


def checkpoint_path(output: Path) -> Path:
    """Return where a checkpoint of the model stands while it is trained."""
    return beside(output, ".checkpoint")


@contextmanager
def claimed(output: Path, run: Run) -> Iterator[Path]:
    """Hold `output` for one training; yields the path of its checkpoint, which is deleted when the training is done.

    Raises `UsageError` if something is there that may not be replaced, or another run is at work on it.
    """
    checkpoint, lock = checkpoint_path(output), beside(output, ".lock")
    refuse_busy(lock)
    refuse_overwrite(output, checkpoint, force=run.force, resume=run.resume)
    if output.is_dir():
        raise UsageError(f"{output}: is a directory; choose another --output")
    with disk_errors(output), locked(lock):
        try:
            yield checkpoint
            checkpoint.unlink(missing_ok=True)
        finally:
            lock.unlink(missing_ok=True)


@dataclass
class Checkpoint:
    """Between two steps of a training: save its state now and then, and stop when asked to.

    kind         says which trainings may read the file
    plan         a digest of everything that decides the result
    minutes      between checkpoints within an epoch
    interrupted  tells whether the user asked to stop
    """

    path: Path
    kind: str
    plan: str
    state: Resumable
    minutes: float
    interrupted: Callable[[], bool]
    last: float = field(default_factory=time.monotonic)
    cost: float = 0.0  # seconds that a checkpoint takes: that of the last one

    def __post_init__(self) -> None:
        self.cost = sum(array.nbytes for array in self.state.arrays().values()) / WRITING

    def between(self, step: str, whole: bool) -> None:
        """Save if it is time to; `whole` at the end of an epoch. Raises `InterruptedRun` after saving if it was asked for."""
        if self.interrupted():
            self.save()
            raise InterruptedRun(f"{self.path}: interrupted in {step}; continue with --resume")
        waited = time.monotonic() - self.last
        if waited >= 60 * self.minutes or (whole and self.cost <= SAVING * waited):
            self.save()

    def save(self) -> None:
        """Write a checkpoint from which training goes on."""
        begin = time.monotonic()
        save_arrays(self.path, self.kind, self.state.arrays(), {"plan": self.plan, "state": self.state.meta()})
        self.last = time.monotonic()
        self.cost = self.last - begin

    def load(self) -> None:
        """Go on from the checkpoint; raises `UsageError` if it was begun with other options or from other data."""
        arrays, meta = load_arrays(self.path, self.kind)
        if meta["plan"] != self.plan:
            raise UsageError(f"{self.path}: was begun with other options or from other data; pass --force to start anew")
        self.state.load(arrays, meta["state"])
