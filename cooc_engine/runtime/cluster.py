"""Workers on other machines: a cluster of Dask, which any batch system can start (https://distributed.dask.org).

Only this module knows Dask. Its workers get tasks and paths, and send back small results; what a task reads and writes lies on
a disk that all machines share. Before anything is done, they are asked whether they fit: those that do not are an error. A
worker that joins later is asked with its first task.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import distributed
import psutil
from distributed import CancelledError, Client, Future
from distributed.comm.registry import get_backend
from distributed.protocol.pickle import dumps, loads

from cooc_engine._version import __version__
from cooc_engine.errors import InputError, ResourceError, UsageError
from cooc_engine.runtime.machine import default_memory, usable_cores
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.versions import numpy_code, processor
from cooc_engine.runtime.workers import Here, Reported, lost

__all__ = ["OnDask", "connected"]

T = TypeVar("T")
PATIENCE = 60  # seconds to wait for a first worker
SETTLED = 10  # seconds after the start of a worker, within which others of its job may follow
LOOKS = 5  # seconds from one look for workers to the next, while no task ends
ABANDONED = 600  # seconds without any worker, after which none is awaited
GRACE = 30  # seconds that tasks have to end after an error
RULES = ("memory_target_fraction", "memory_spill_fraction", "memory_pause_fraction")

_at_work = threading.Event()  # while a task is running in this worker, which has one at a time


@contextmanager
def connected(cluster: Any, threads: int | None, memory: int | None) -> Iterator[OnDask]:
    """Connect to a cluster, and leave it with the block: an address, a scheduler file, or a client, which stays connected.

    Raises `UsageError` if there is none, or if its workers do not fit.
    """
    if isinstance(cluster, Client):
        yield OnDask(cluster, threads, memory)
        return
    with _client(cluster) as client:
        yield OnDask(client, threads, memory, settled=SETTLED)


def _client(cluster: Any) -> Client:
    """Connect to the scheduler of a cluster that was started in Python, at an address, or that wrote a file."""
    where: dict[str, Any] = {"address": cluster}
    try:
        if not hasattr(cluster, "scheduler_address"):
            scheme, address, _ = str(cluster).partition("://")
            if address:
                get_backend(scheme)
            elif Path(cluster).is_file():
                where = {"scheduler_file": str(cluster)}
            else:
                hint = "pass tcp://HOST:PORT, or the file that dask scheduler wrote"
                raise UsageError(f"--cluster={cluster}: no such file; {hint}")
        return Client(**where, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"--cluster={cluster}: no scheduler answers there ({error})") from None


@dataclass(frozen=True)
class _Facts:
    """What a worker says of itself; `limits` are the rules by which Dask would stop it for what it maps."""

    host: str
    version: str
    code: str
    threads: int
    limits: list[str]
    cores: int
    memory: int
    age: float
    cpu: str
    cpu_features: str
    numpy: str


Check = Callable[[_Facts, _Facts], None]
"""Raises `UsageError` unless a worker, the first, fits to the process that divides the work."""


def _facts(dask_worker: Any) -> _Facts:
    manager = dask_worker.memory_manager
    limits = [rule for rule in RULES if manager.memory_limit and getattr(manager, rule)]
    return _own_facts(dask_worker.state.nthreads, limits)


def _own_facts(threads: int, limits: list[str]) -> _Facts:
    machine: dict[str, Any] = {"cores": usable_cores(), "memory": default_memory(), **processor()}
    age = time.time() - psutil.Process().create_time()
    return _Facts(socket.gethostname(), __version__, _code(), threads, limits, age=age, **machine, numpy=numpy_code())


@dataclass(frozen=True)
class _Order:
    """What the tasks of a stage are sent with.

    ours, checks  what a worker has to fit to, and how that is told: it may have joined when the stage had begun
    here          where relative names begin
    directory     of the stage, which a worker has to see
    topic         under which progress is reported
    """

    ours: _Facts
    checks: tuple[Check, ...]
    here: Path
    directory: Path
    topic: str

    def refuse_misfit(self, theirs: _Facts) -> None:
        """Raise `UsageError` unless a worker, which is this process, fits."""
        for check in self.checks:
            check(theirs, self.ours)
        if not self.directory.is_dir():
            raise _unseen(self.directory, theirs.host)


class OnDask:
    """The workers that a cluster has when a stage begins; raises `UsageError`, saying what to do, if they do not fit.

    Threads and memory of each are by default its share of its machine.
    """

    local = False

    def __init__(self, client: Client, threads: int | None, memory: int | None, settled: float = 0.0) -> None:
        """Ask the workers, when the youngest has been there for so many seconds: those of a batch job come one by one."""
        _refuse_unusable(client)
        facts = _asked(client)
        while (wait := settled - min(one.age for one in facts.values())) > 0:
            time.sleep(wait)
            facts = _asked(client)
        self._client, self._facts, self._ours = client, list(facts.values()), _own_facts(1, [])
        self._checks: tuple[Check, ...] = ()
        self._check(_check)
        self._names, self.count = sorted(facts), len(facts)
        on = Counter(one.host for one in self._facts)
        self.threads = threads or max(1, min(one.cores // on[one.host] for one in self._facts))
        self.memory = memory or min(one.memory // on[one.host] for one in self._facts)
        self.here = Here(usable_cores(), memory or default_memory())
        self._order: _Order | None = None
        self._heard = _Heard()

    def _check(self, *checks: Check) -> None:
        """Check the workers, and those that join later when they do."""
        self._checks += checks
        for one, check in itertools.product(self._facts, checks):
            check(one, self._ours)

    def check_processors(self, *, numpy: bool = False) -> None:
        """Raise `UsageError` if a worker has a processor of another kind than this process, which takes part in sums."""
        self._check(_check_processor, *([_check_numpy] if numpy else []))

    @contextmanager
    def at(self, directory: Path) -> Iterator[None]:
        """Check that all workers see the directory; wait for what they do in it when the block ends with an error."""
        _check_shared(self._client, directory.absolute())
        order, before = (
            _Order(self._ours, self._checks, Path.cwd(), directory.absolute(), f"cooc-{uuid.uuid4().hex}"),
            self._order,
        )
        self._client.subscribe_topic(order.topic, self._heard.take)
        self._order = order
        try:
            yield
        except BaseException:
            self._wait_until_idle()
            raise
        finally:
            self._order = before
            self._client.unsubscribe_topic(order.topic)

    def _wait_until_idle(self) -> None:
        """Wait a while for tasks that have begun; those that go on write files which nobody reads."""
        end = time.monotonic() + GRACE
        with suppress(Exception):  # the scheduler may be what was lost
            while self._client.status == "running" and any(self._client.run(_running).values()) and time.monotonic() < end:
                time.sleep(0.1)

    def each(
        self, task: Callable[..., T], items: Iterable[tuple[Any, ...]], stage: Stage, *, stay: bool = False
    ) -> Iterator[T]:
        """Yield task(*item, stage) for each item, in their order; each worker has one task, and the next one waiting."""
        numbered, results, turn = enumerate(items), dict[int, T](), 0
        flying: dict[Future, int] = {}
        with self._heard.by(stage) as ear:
            try:
                while True:
                    for number, item in itertools.islice(numbered, 2 * self.count - len(flying)):
                        assert self._order, "only in a block of `at`"
                        call = self._order, dumps((task, item)), ear, number
                        # A pin is an address, and a worker that is started anew has another: other workers are allowed.
                        pin = {"workers": self._names[number % self.count], "allow_other_workers": True} if stay else {}
                        flying[self._client.submit(_carry_out, *call, pure=False, retries=0, **pin)] = number
                    if not flying:
                        return
                    for future in self._finished(flying, stage):
                        results[flying.pop(future)] = _result(future)
                    while turn in results:
                        yield results.pop(turn)
                        turn += 1
            finally:
                if self._client.status == "running":
                    self._client.cancel(list(flying))

    def _finished(self, flying: Iterable[Future], stage: Stage) -> Iterable[Future]:
        """Wait for one of the futures or more; returns those that are finished.

        Workers may all be lost, and others be started. Raises `ResourceError` if none are, or if the scheduler is lost.
        """
        alone, note = 0, stage.note
        while alone < ABANDONED:
            try:
                with self._client.as_current():
                    found: Iterable[Future] = distributed.wait(list(flying), LOOKS, "FIRST_COMPLETED").done
                stage.advance(0, note if alone else None)
                return found
            except TimeoutError:
                alone = 0 if self._has_workers() else alone + LOOKS
                if alone:
                    stage.advance(0, "there is no worker; waiting for one")
            except CancelledError:
                raise _no_scheduler() from None
        raise ResourceError(f"the cluster had no worker for {ABANDONED} seconds; start some, and continue with --resume")

    def _has_workers(self) -> bool:
        try:
            return bool(self._client.nthreads())
        except OSError:
            raise _no_scheduler() from None


def _refuse_unusable(client: Client) -> None:
    """Raise `UsageError` for a client that is not connected, or that does not wait for what it asks."""
    state = "asynchronous" if client.asynchronous else client.status
    if state != "running":
        raise UsageError(f"--cluster: the client is {state}; pass one that is connected, without asynchronous=True")


def _asked(client: Client) -> dict[str, _Facts]:
    """Return what each worker says of itself, by its address; raises `UsageError` if there is none, or if one cannot tell."""
    found: dict[str, _Facts] = {}
    while not found:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UsageError(
                "--cluster: it has no workers; start some with dask worker --nthreads 1 --memory-limit 0"
            ) from None
        found = _answers(client, _facts)
    return found


def _answers(client: Client, function: Callable[..., T], *given: Any) -> dict[str, T]:
    """Return what a function returns in each worker, by its address; those that are lost meanwhile are left out.

    Raises `UsageError` if one does not have it, since it has another version.
    """
    answers = client.run(function, *given, on_error="return")
    found = {address: answer for address, answer in answers.items() if not isinstance(answer, OSError)}
    for address, answer in found.items():
        if isinstance(answer, Exception):
            hint = "install one version of it on all machines"
            raise UsageError(f"--cluster: the worker {address} has another version of cooc-engine, or none ({answer}); {hint}")
    return found


def _check(one: _Facts, ours: _Facts) -> None:
    """Raise `UsageError` if a worker cannot work as it is."""
    for what, theirs, own in (("version", one.version, ours.version), ("code", one.code, ours.code)):
        if theirs != own:
            raise UsageError(
                f"--cluster: a worker on {one.host} has {what} {theirs[:12]}, this process has {own[:12]}; "
                f"install one version of cooc-engine on all machines"
            )
    if one.threads != 1:
        raise UsageError(
            f"--cluster: a worker on {one.host} has {one.threads} threads, and would be given as many tasks at a time; "
            f"start workers with --nthreads 1: each task has threads of its own"
        )
    if one.limits:
        raise UsageError(
            f"--cluster: a worker on {one.host} counts mapped files as memory and would be stopped for them "
            f"({', '.join(one.limits)}); start workers with --memory-limit 0: --memory is the budget of each"
        )


def _check_processor(one: _Facts, ours: _Facts) -> None:
    """Raise `UsageError` if kernels of a worker are compiled for another kind of processor."""
    theirs, own = ({*facts.cpu_features.split(",")} for facts in (one, ours))
    if (one.cpu, theirs) != (ours.cpu, own):
        only = [" ".join(sorted(mine - other)) or "no more" for mine, other in ((theirs, own), (own, theirs))]
        raise UsageError(
            f"--cluster: a worker on {one.host} has a processor of the kind {one.cpu}, this process {ours.cpu} (only there: "
            f"{only[0]}; only here: {only[1]}), and vectors would have the bits of neither; take machines of one kind, or "
            f"set NUMBA_CPU_NAME and NUMBA_CPU_FEATURES to the same on all"
        )


def _check_numpy(one: _Facts, ours: _Facts) -> None:
    """Raise `UsageError` if NumPy runs other code in a worker."""
    if one.numpy != ours.numpy:
        raise UsageError(
            f"--cluster: NumPy on {one.host} has code for {one.numpy or 'no feature'}, here for {ours.numpy or 'no feature'}, "
            f"and vectors would have the bits of neither; take machines of one kind, or take features away by "
            f"NPY_DISABLE_CPU_FEATURES"
        )


@functools.cache
def _code() -> str:
    """Return a digest of the source of the package, its kernels among it."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _check_shared(client: Client, directory: Path) -> None:
    """Raise `UsageError` if a worker does not see what this process writes into a directory."""
    mark, text = directory / f"seen-{uuid.uuid4().hex}.part", uuid.uuid4().hex
    mark.write_text(text)
    try:
        for host, seen in _answers(client, _read, mark).values():
            if seen != text:
                raise _unseen(directory, host)
    finally:
        mark.unlink()


def _unseen(directory: Path, host: str) -> UsageError:
    hint = "choose an --output on a disk that all machines have under the same name"
    return UsageError(f"{directory}: a worker on {host} does not see it; {hint}")


def _read(path: Path) -> tuple[str, str | None]:
    """Return this host, and what a file holds, if it is there."""
    try:
        return socket.gethostname(), path.read_text()
    except OSError:
        return socket.gethostname(), None


class _Heard:
    """What tasks report under the topic of a stage: how far those of each call of `each` are."""

    def __init__(self) -> None:
        self._ears, self._numbers = dict[int, tuple[Stage, Counter[int]]](), itertools.count()

    @contextmanager
    def by(self, stage: Stage) -> Iterator[int]:
        """Yield a number with which tasks report to a stage while the block lasts."""
        ear = next(self._numbers)
        self._ears[ear] = stage, Counter()
        try:
            yield ear
        finally:
            del self._ears[ear]

    def take(self, event: tuple[float, tuple[int, int, float]]) -> None:
        """Take a report: how much a task has done in all; one that begins again begins at 0."""
        ear, number, amount = event[1]
        if ear in self._ears:
            stage, done = self._ears[ear]
            stage.advance(amount - done[number])
            done[number] = amount  # type: ignore[assignment]


def _carry_out(order: _Order, work: bytes, ear: int, number: int) -> Any:
    """In a worker: carry out a task; relative names are those of the process that divides the work.

    The task comes as bytes, since directories among its arguments are opened when they are decoded: a scheduler need not see
    them, and a worker that does not is told of.
    """
    worker = distributed.get_worker()
    stage = Reported(lambda amount: worker.log_event(order.topic, (ear, number, stage.done)))
    _at_work.set()
    try:
        _refuse_late(order, worker)
        with suppress(OSError):
            os.chdir(order.here)
        task, item = loads(work)
        return task(*item, stage)
    except InputError as error:
        raise type(error)(f"{error.text} (found by a worker on {socket.gethostname()})") from error
    finally:
        _at_work.clear()
        stage.report()


def _refuse_late(order: _Order, worker: Any) -> None:
    """Raise `ResourceError`, so that finished work is kept, in a worker that would have been refused at the beginning."""
    try:
        order.refuse_misfit(_facts(worker))
    except UsageError as error:
        hint = "it joined when the work had begun: end it, and continue with --resume"
        raise ResourceError(f"{error.text}; {hint}") from None


def _running() -> bool:
    return _at_work.is_set()


def _result(future: Future) -> Any:
    """Return what a task returned, or raise what it raised."""
    try:
        return future.result()
    except distributed.KilledWorker as error:
        raise lost(f"was {error.last_worker.address}") from None
    except CancelledError:
        raise _no_scheduler() from None


def _no_scheduler() -> ResourceError:
    return ResourceError("the scheduler of the cluster was lost; start it again, and continue with --resume")
