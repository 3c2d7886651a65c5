"""The output of a training in progress: its lock, checkpoints beside it, and resuming from one."""

from __future__ import annotations

import hashlib
import json
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypedDict

import numpy.typing as npt

from cooc_engine.errors import CoocError, FormatError, InterruptedRun, UsageError
from cooc_engine.models.documents import Epoch
from cooc_engine.models.file import load_arrays, load_meta, open_model, save_arrays
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.numbers import show_duration
from cooc_engine.runtime.options import Options, changed_options
from cooc_engine.storage.locks import locked_beside, refuse_busy, refuse_links
from cooc_engine.storage.outputs import beside, discard, disk_errors, part_path, refuse_overwrite
from cooc_engine.storage.relations import check_array
from cooc_engine.storage.schema import Natural, fitted
from cooc_engine.storage.sizes import shown_size, tell_replaced

__all__ = [
    "Begun", "Between", "Checkpoint", "Resumable", "TrainingState", "checkpoint_path", "claimed", "discard_leftovers",
    "older_path", "slabs_path", "worth",
]  # fmt: skip

SAVING = 0.05  # checkpoints at the ends of epochs may take at most this share of the time
WRITING = 5e8  # bytes per second, until a checkpoint has been timed
Between = Callable[[str, bool], None]  # `Checkpoint.between`
Arrays = Mapping[str, npt.NDArray[Any]]


class _Known(TypedDict, total=False):
    """The key that checkpoints of earlier versions lack: the options of the training."""

    options: dict[str, Any]


class _Meta(_Known):
    """The record of every checkpoint: the digest of what is trained, and the state of the training."""

    plan: str
    state: dict[str, Any]


class Begun(NamedTuple):
    """The start of a training: a digest of everything that determines its result, and its options."""

    digest: str
    options: Options

    @classmethod
    def of(cls, options: Options, *data: Any) -> Begun:
        """Return what a training with these options is begun with, whose `data` are identified by what goes into JSON."""
        return cls(hashlib.sha256(json.dumps([*data, options.record()]).encode()).hexdigest(), options)

    def check(self, path: Path, *, resume: bool) -> None:
        """Raise `UsageError` if a training that is resumed has left a checkpoint of other options or data at `path`."""
        if resume and path.exists():
            self.fitting(load_meta(path), path)

    def fitting(self, content: Mapping[str, Any], path: Path) -> _Meta:
        """Return the record of a checkpoint; raises `UsageError`, naming what differs, if it is of another training."""
        meta = fitted(content, _Meta, f"{path}")
        if meta["plan"] != self.digest:
            had = meta.get("options")
            changed = "options or data" if had is None else changed_options(had, self.options.record())
            what = f"with different {changed}" if changed else "from other data"
            raise UsageError(f"{path}: was begun {what}; pass --force to start anew")
        return meta


class Resumable(Protocol):
    """The state of a training."""

    def arrays(self) -> Arrays:
        """Return the arrays of a checkpoint."""
        ...

    def meta(self) -> dict[str, Any]:
        """Return the rest of a checkpoint, JSON-serialisable."""
        ...

    def shape(self) -> Any:
        """Return the description of what `meta` gives, for `fitted`."""
        ...

    def load(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint, whose record fits; raises `ValueError` for arrays or numbers that do not."""
        ...


class TrainingState:
    """A state whose arrays are restored in place, and whose fields named in `KEPT` are the rest of a checkpoint."""

    KEPT: ClassVar[tuple[str, ...]]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a checkpoint, without copying."""
        raise NotImplementedError

    def meta(self) -> dict[str, Any]:
        """Return the fields that a checkpoint stores."""
        return {name: getattr(self, name) for name in self.KEPT}

    def shape(self) -> Any:
        """Return the types of these fields; numbers are never negative."""
        kinds = typing.get_type_hints(type(self), include_extras=True)
        known = {int: Natural, list[dict[str, float]]: list[Epoch]}
        make: Any = TypedDict
        return make("Kept", {name: known.get(kinds[name], kinds[name]) for name in self.KEPT})

    def load(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint; a deterministic training continues with the same bits.

        Raises `ValueError` if arrays do not fit, or the history does not have a record for each epoch.
        """
        own = self.arrays()
        for name, values in own.items():
            check_array(arrays, name, values.dtype, values.shape)
        if len(meta["history"]) != meta["epoch"]:
            raise ValueError(f"its history has {len(meta['history'])} records of {meta['epoch']} epochs")
        for name, values in own.items():
            values[:] = arrays[name]
        for name in self.KEPT:
            setattr(self, name, meta[name])


def checkpoint_path(output: Path) -> Path:
    """Return the path of the checkpoint of a model that is being trained."""
    return beside(output, ".checkpoint")


def slabs_path(output: Path) -> Path:
    """Return the path of the directory by which workers share the training of a model."""
    return beside(output, ".slabs")


def older_path(output: Path) -> Path:
    """Return the path of the directory in which a file of vectors becomes the model that a training starts from."""
    return beside(output, ".init")


def _discard_directories(output: Path) -> None:
    discard(slabs_path(output))
    discard(older_path(output))


def discard_leftovers(output: Path, *, take_over: bool = False) -> None:
    """Delete the lock and the checkpoint of a training that was killed after it had written `output`.

    A checkpoint that is newer than the output belongs to a training that will replace it. Raises what `refuse_busy` raises.
    """
    checkpoint, lock = checkpoint_path(output), beside(output, ".lock")
    refuse_busy(lock, take_over=take_over)
    _discard_directories(output)
    if checkpoint.exists() and checkpoint.stat().st_mtime_ns <= output.stat().st_mtime_ns:
        checkpoint.unlink()
    lock.unlink(missing_ok=True)


def worth(output: Path) -> str:
    """Return the size of a model and the time that its training took, for a message about what would be lost with it."""
    with suppress(CoocError, OSError):
        seconds = sum(epoch.get("seconds", 0) for epoch in open_model(output).history)
        return f"{shown_size(output)} that took {show_duration(seconds)} to train"
    return shown_size(output)


@contextmanager
def claimed(output: Path, run: Run) -> Iterator[Path]:
    """Lock `output` for one training; yields the path of its checkpoint, which is deleted when the training is done.

    Raises `UsageError` if the output exists and may not be replaced, or if another run is writing it.
    """
    checkpoint, lock, take_over = checkpoint_path(output), beside(output, ".lock"), run.take_over or run.force
    refuse_links(lock, part_path(output), part_path(checkpoint))
    refuse_busy(lock, take_over=take_over)
    if run.resume and not run.force and output.is_file():
        discard_leftovers(output, take_over=take_over)
    refuse_overwrite(output, checkpoint, force=run.force, resume=run.resume, worth=worth)
    if output.is_dir():
        raise UsageError(f"{output}: is a directory; choose another --output")
    if run.force:
        tell_replaced(output, checkpoint, run.shown.say, worth)
    with disk_errors(output, resumes=True), locked_beside(lock, take_over=take_over):
        refuse_overwrite(output, checkpoint, force=run.force, resume=True, worth=worth)  # another run may just have ended
        _discard_directories(output)
        part_path(checkpoint).unlink(missing_ok=True)  # of a run that was killed when it saved, as this one may never do
        yield checkpoint
        checkpoint.unlink(missing_ok=True)


@dataclass
class Checkpoint:
    """Called between the steps of a training: saves the state periodically, and stops on request.

    kind         the kind of training that may read the file
    plan         the start of the training, which a resumed one must have too
    minutes      time between checkpoints within an epoch
    interrupted  function that tells whether the user asked to stop
    """

    path: Path
    kind: str
    plan: Begun
    state: Resumable
    minutes: float
    interrupted: Callable[[], bool]
    last: float = field(default_factory=time.monotonic)
    cost: float = 0.0  # seconds that the last checkpoint took

    def __post_init__(self) -> None:
        self.cost = sum(array.nbytes for array in self.state.arrays().values()) / WRITING

    def between(self, step: str, whole: bool) -> None:
        """Save if it is due; `whole` marks the end of an epoch. If a stop was requested, save and raise `InterruptedRun`."""
        if self.interrupted():
            self.save()
            raise InterruptedRun(f"{self.path}: interrupted in {step}; continue with --resume")
        waited = time.monotonic() - self.last
        if waited >= 60 * self.minutes or (whole and self.cost <= SAVING * waited):
            self.save()

    def save(self) -> None:
        """Write a checkpoint from which training can continue."""
        begin = time.monotonic()
        begun = {"plan": self.plan.digest, "options": self.plan.options.record()}
        save_arrays(self.path, self.kind, self.state.arrays(), {**begun, "state": self.state.meta()})
        self.last = time.monotonic()
        self.cost = self.last - begin

    def load(self) -> None:
        """Restore the checkpoint; raises `UsageError` if the training was started with other options or data."""
        arrays, content = load_arrays(self.path, self.kind)
        state = fitted(self.plan.fitting(content, self.path)["state"], self.state.shape(), f"{self.path}: state")
        try:
            self.state.load(arrays, state)
        except CoocError:
            raise
        except ValueError as error:
            raise FormatError(f"{self.path}: {error}; pass --force to start anew") from None
