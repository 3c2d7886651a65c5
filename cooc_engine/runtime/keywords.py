"""The keyword arguments of all stages: they decide speed, memory and what may be overwritten, but never the result."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar, get_type_hints

from cooc_engine.errors import UsageError
from cooc_engine.runtime.budget import memory_budget
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.machine import usable_cores
from cooc_engine.runtime.options import AtLeast, Below, Options, checked, checked_kind
from cooc_engine.runtime.progress import Progress, Shown, progress_of
from cooc_engine.runtime.workers import Here, Workers

__all__ = [
    "FreshKeywords", "PlanKeywords", "Run", "RunKeywords", "SharedFreshKeywords", "SharedKeywords", "SharedPlanKeywords",
    "SharedTrainKeywords", "TrainKeywords", "chosen", "divided",
]  # fmt: skip

O = TypeVar("O", bound=Options)  # noqa: E741


class PlanKeywords(TypedDict, total=False):
    """Keywords of a plan, see `Run`; by default all cores and half of the memory."""

    threads: int | None
    memory: str | int | None


class _Sharing(TypedDict, total=False):
    processes: int | None
    cluster: Any


class SharedPlanKeywords(PlanKeywords, _Sharing, total=False):
    """Keywords of the plan of a stage that several processes or machines can share."""


class FreshKeywords(PlanKeywords, total=False):
    """Keywords of a stage that cannot be resumed."""

    force: bool
    progress: Shown


class RunKeywords(FreshKeywords, total=False):
    """Keywords of a stage that can be resumed."""

    resume: bool
    take_over: bool


class SharedKeywords(RunKeywords, _Sharing, total=False):
    """Keywords of a stage that several processes or machines can share."""


class SharedFreshKeywords(FreshKeywords, _Sharing, total=False):
    """Keywords of several stages, one after the other, some of which several processes or machines can share."""

    take_over: bool


class Claim(TypedDict):
    """How a run treats an output that exists, or that another run has left unfinished."""

    force: bool
    resume: bool
    take_over: bool
    say: Callable[[str], object]


class TrainKeywords(RunKeywords, total=False):
    """Keywords of a function that trains a model."""

    checkpoint_every: float


class SharedTrainKeywords(TrainKeywords, _Sharing, total=False):
    """Keywords of a training that several processes or machines can share."""


@dataclass(frozen=True)
class Run:
    """Keywords of a stage with their defaults filled in.

    threads           the maximum number of threads; by default all cores
    memory            the budget: bytes, or a size such as 512M; by default half of the machine's memory
    force, resume     replace an existing output; continue an interrupted run
    progress          receives the progress of the stage, or selects how it is shown: auto, bar, lines, json; silent by default
    checkpoint_every  minutes between checkpoints within an epoch
    processes         number of worker processes that share the work; threads and memory apply to each, by default equal shares
    cluster           machines that share the work: the address of a Dask scheduler, its file, or a client of `distributed`
    take_over         with resume: continue a run that has ended on another machine

    Derived from these: `workers` (threads), `budget` (bytes) and `shown` (a `Progress`).
    """

    threads: Annotated[int | None, AtLeast(1)] = None
    memory: Annotated[str | int | None, AtLeast(1)] = None
    force: bool = False
    resume: bool = False
    progress: Shown = None
    checkpoint_every: Annotated[float, AtLeast(0)] = 10.0
    processes: Annotated[int | None, AtLeast(1), Below(10_000)] = None
    cluster: Any = None
    take_over: bool = False
    workers: int = field(init=False)
    budget: int = field(init=False)
    shown: Progress = field(init=False)

    def __post_init__(self) -> None:
        for name, annotation in _plain_keywords().items():
            object.__setattr__(self, name, checked(name, getattr(self, name), annotation))
        if self.processes and self.cluster is not None:
            raise UsageError("--processes and --cluster cannot be combined; a cluster may have several workers on a machine")
        share = self.processes or 1
        object.__setattr__(self, "workers", self.threads or max(1, usable_cores() // share))
        object.__setattr__(self, "budget", memory_budget(self.memory) // (1 if self.memory else share))
        object.__setattr__(self, "shown", progress_of(self.progress))

    def shared(self) -> AbstractContextManager[Workers]:
        """Return the workers for the tasks of the stage, as a context manager."""
        if self.cluster is not None:
            require("--cluster", "cluster", "distributed")
            from cooc_engine.runtime.cluster import connected

            return connected(self.cluster, self.threads, self.budget if self.memory else None)
        if self.processes is None:
            return nullcontext(Here(self.workers, self.budget))
        from cooc_engine.runtime.processes import Processes

        return nullcontext(Processes(self.processes, self.workers, self.budget))

    @property
    def claim(self) -> Claim:
        """The keywords of `storage.outputs.building`."""
        return {"force": self.force, "resume": self.resume, "take_over": self.take_over, "say": self.shown.say}

    def keeps(self, output: Path) -> bool:
        """Tell whether an output that a resumed run finds is finished already."""
        return self.resume and not self.force and output.exists() and not output.is_symlink()

    def tell_kept(self, output: Path) -> None:
        """Say that a finished output is the one wanted, and kept."""
        self.shown.say(f"{output}: is finished, and kept")

    @classmethod
    def of(cls, function: str, given: Mapping[str, Any], accepted: type[PlanKeywords] = RunKeywords) -> Run:
        """Return the run that the keywords of `function` describe; raises `TypeError` for one that it does not accept."""
        known = accepted.__annotations__
        for name in given:
            if name not in known:
                raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; it takes {', '.join(known)}")
        made = cls(**given)
        if made.take_over and "resume" in known and not (made.resume or made.force):
            raise UsageError("--take-over continues what another run has left; pass --resume too")
        return made


@functools.cache
def _plain_keywords() -> dict[str, Any]:
    """Return the annotations of those keywords of `Run` that are numbers, strings or switches."""
    hints = get_type_hints(Run, include_extras=True)
    return {each.name: hints[each.name] for each in fields(Run) if each.init and each.name not in ("progress", "cluster")}


def divided(
    function: str, kind: type[O], options: O | None, keywords: Mapping[str, Any], accepted: type[PlanKeywords]
) -> tuple[O | None, dict[str, Any]]:
    """Return the options of a function, which may be given by name, and the keywords of its run.

    Raises what `chosen` raises.
    """
    run = {name: value for name, value in keywords.items() if name in accepted.__annotations__}
    given = {name: value for name, value in keywords.items() if name not in run}

    def hint(name: str) -> str:
        known = [*kind.names(), *accepted.__annotations__]
        near = difflib.get_close_matches(name, known, 1)
        return f"; did you mean {near[0]}?" if near else f"; it takes {', '.join(known)}"

    return chosen(function, function, kind, options, given, hint), run


def chosen(
    function: str, what: str, kind: type[O], options: O | None, given: Mapping[str, Any], hint: Callable[[str], str]
) -> O | None:
    """Return the options of `what`, as they are or made of what is `given` by name; None if there are neither.

    Raises `UsageError` for options of another kind, or given twice; `TypeError`, with a hint, for a name that is no option.
    """
    if options is not None:
        checked_kind(what, kind, options)
    if options is not None and given:
        raise UsageError(f"options were given, and {', '.join(given)} too; pass all in {kind.__name__}, or all as keywords")
    for name in given:
        if name not in kind.names():
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint(name)}")
    return kind(**given) if given else options
