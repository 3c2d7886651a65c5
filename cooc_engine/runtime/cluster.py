"""Workers on other machines: a Dask cluster, which any batch system can start (https://distributed.dask.org).

Only this module knows Dask. The workers receive tasks and paths, and return small results; what a task reads and writes is on
a disk that all machines share. Workers that do not meet the requirements are refused before any work is done. A worker that
joins later is checked with its first task of each stage.
"""

from __future__ import annotations

import functools
import itertools
import json
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
from distributed import CancelledError, Client, Future
from distributed.comm.registry import get_backend
from distributed.protocol.pickle import dumps, loads

from cooc_engine.errors import InputError, ResourceError, UsageError
from cooc_engine.runtime.machine import default_memory, usable_cores
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.requirements import Check, Facts, check_numpy, check_processor, check_worker, own_facts
from cooc_engine.runtime.workers import Here, Reported, lost

__all__ = ["OnDask", "connected"]

T = TypeVar("T")
PATIENCE = 60  # seconds to wait for a scheduler, and for a first worker
LONGEST = 1 << 24  # bytes of a scheduler file, which may describe thousands of workers
TRIES = 10  # readings of a scheduler file, which may not be complete yet, and the seconds between them
PAUSE = 0.1
SETTLED = 10  # seconds after the start of a worker during which other workers of the same batch job may follow
LOOKS = 5  # seconds between checks for workers while no task ends
ABANDONED = 600  # seconds without any worker after which the run ends
GRACE = 30  # seconds that running tasks have to finish after an error
MEMORY_RULES = ("memory_target_fraction", "memory_spill_fraction", "memory_pause_fraction")

_at_work = threading.Event()  # set while a task is running in this worker, which runs one at a time


@contextmanager
def connected(cluster: Any, threads: int | None, memory: int | None) -> Iterator[OnDask]:
    """Connect to a cluster while the block lasts; a client of the caller stays connected.

    cluster   the address of a scheduler, the file that it wrote, a cluster object of Dask, or a client

    Raises `UsageError` if there is no such cluster, or if its workers do not meet the requirements.
    """
    if isinstance(cluster, Client):
        yield OnDask(cluster, threads, memory)
        return
    with _client(cluster) as client:
        yield OnDask(client, threads, memory, settled=SETTLED)


def _client(cluster: Any) -> Client:
    try:
        return Client(_address(cluster), timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--cluster={cluster}: no scheduler answers there ({error})") from None


def _address(cluster: Any) -> Any:
    """Return the address of a scheduler, or the cluster object that knows it; raises `ValueError` for an unknown protocol."""
    if hasattr(cluster, "scheduler_address"):
        return cluster
    scheme, separator, _ = str(cluster).partition("://")
    if separator:
        get_backend(scheme)
        return cluster
    path = Path(cluster)
    if not path.is_file():
        raise UsageError(f"--cluster={cluster}: no such file; pass tcp://HOST:PORT, or the file that dask scheduler wrote")
    return _address_in(path)


def _address_in(path: Path) -> str:
    """Return the address in a scheduler file, which the scheduler may still be writing: for a file without one, Dask hangs."""
    for _ in range(TRIES):
        with path.open("rb") as file, suppress(ValueError, RecursionError):
            found = json.loads(file.read(LONGEST))
            if isinstance(found, dict) and isinstance(address := found.get("address"), str):
                return address
        time.sleep(PAUSE)
    raise UsageError(f"--cluster={path}: holds no address of a scheduler; pass the file that dask scheduler wrote")


def _facts(dask_worker: Any) -> Facts:
    """Return the facts of a worker; the limits are the rules by which Dask would stop it for the files that it maps."""
    manager = dask_worker.memory_manager
    limits = tuple(rule for rule in MEMORY_RULES if manager.memory_limit and getattr(manager, rule))
    return own_facts(dask_worker.state.nthreads, limits)


@dataclass(frozen=True)
class _Order:
    """What every task of a stage is sent with.

    ours, checks  the facts of the process that divides the work, and the checks of a worker against them
    here          the directory that relative names start from
    directory     the directory of the stage, which the worker must see
    topic         the topic under which progress is reported
    """

    ours: Facts
    checks: tuple[Check, ...]
    here: Path
    directory: Path
    topic: str

    def check(self, theirs: Facts) -> None:
        """Raise `UsageError` unless the worker that this process is meets the requirements."""
        for check in self.checks:
            check(theirs, self.ours)
        if not self.directory.is_dir():
            raise _unseen(self.directory, theirs.host)


class OnDask:
    """The workers that a cluster has when a stage begins; raises `UsageError`, which says what to do, if they are unsuitable.

    By default, each has its share of the threads and of the memory of its machine.
    """

    local = False

    def __init__(self, client: Client, threads: int | None, memory: int | None, settled: float = 0.0) -> None:
        """Wait until the youngest worker is `settled` seconds old, since those of a batch job come one by one; check all."""
        _refuse_unusable(client)
        facts = _facts_of_all(client)
        while (wait := settled - min(one.age for one in facts.values())) > 0:
            time.sleep(wait)
            facts = _facts_of_all(client)
        self._client, self._facts, self._ours = client, list(facts.values()), own_facts()
        self._checks: tuple[Check, ...] = ()
        self._check(check_worker)
        self._names, self.count = sorted(facts), len(facts)
        on = Counter(one.host for one in self._facts)
        self.threads = threads or max(1, min(one.cores // on[one.host] for one in self._facts))
        self.memory = memory or min(one.memory // on[one.host] for one in self._facts)
        self.here = Here(usable_cores(), memory or default_memory())
        self._order: _Order | None = None
        self._progress = _Progress()

    def _check(self, *checks: Check) -> None:
        """Check the workers now, and those that join later with their first task."""
        self._checks += checks
        for one, check in itertools.product(self._facts, checks):
            check(one, self._ours)

    def check_processors(self, *, numpy: bool = False) -> None:
        """Raise `UsageError` if a worker's processor is of another kind than that of this process, which computes sums, too."""
        self._check(check_processor, *([check_numpy] if numpy else []))

    @contextmanager
    def at(self, directory: Path) -> Iterator[None]:
        """Check that all workers see the directory; if the block ends with an error, wait for the tasks that are running."""
        _check_shared(self._client, directory.absolute())
        before = self._order
        order = _Order(self._ours, self._checks, Path.cwd(), directory.absolute(), f"cooc-{uuid.uuid4().hex}")
        self._client.subscribe_topic(order.topic, self._progress.take)
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
        """Wait up to `GRACE` seconds for running tasks; those that take longer write files that nobody reads."""
        end = time.monotonic() + GRACE
        with suppress(Exception):  # the scheduler may be what was lost
            while self._client.status == "running" and any(self._client.run(_is_running).values()) and time.monotonic() < end:
                time.sleep(0.1)

    def each(
        self, task: Callable[..., T], items: Iterable[tuple[Any, ...]], stage: Stage, *, stay: bool = False
    ) -> Iterator[T]:
        """Yield task(*item, stage) for each item, in order; each worker has one task running and the next one waiting."""
        numbered, results, turn = enumerate(items), dict[int, T](), 0
        flying: dict[Future, int] = {}
        with self._progress.of(stage) as call:
            try:
                while True:
                    for number, item in itertools.islice(numbered, 2 * self.count - len(flying)):
                        assert self._order, "only in a block of `at`"
                        given = self._order, dumps((task, item)), call, number
                        # Other workers are allowed, since a worker that is started again has another address.
                        pin = {"workers": self._names[number % self.count], "allow_other_workers": True} if stay else {}
                        flying[self._client.submit(_carry_out, *given, pure=False, retries=0, **pin)] = number
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
        """Wait for at least one of the futures; returns those that are finished.

        If all workers are lost, others may be started. Raises `ResourceError` if none are, or if the scheduler is lost.
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
    """Raise `UsageError` for a client that is not connected, or that is asynchronous."""
    state = "asynchronous" if client.asynchronous else client.status
    if state != "running":
        raise UsageError(f"--cluster: the client is {state}; pass one that is connected, without asynchronous=True")


def _facts_of_all(client: Client) -> dict[str, Facts]:
    """Return the facts of each worker, by its address; raises `UsageError` if there is none, or if one cannot tell."""
    found: dict[str, Facts] = {}
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
    """Return what a function returns in each worker, by its address; workers that are lost meanwhile are left out.

    Raises `UsageError` for a worker that lacks the function: it has another version.
    """
    answers = client.run(function, *given, on_error="return")
    found = {address: answer for address, answer in answers.items() if not isinstance(answer, OSError)}
    for address, answer in found.items():
        if isinstance(answer, Exception):
            hint = "install one version of it on all machines"
            raise UsageError(f"--cluster: the worker {address} has another version of cooc-engine, or none ({answer}); {hint}")
    return found


def _check_shared(client: Client, directory: Path) -> None:
    """Raise `UsageError` if a worker does not see a file that this process writes into a directory."""
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
    """Return the name of this host, and the content of a file, or None if it is not there."""
    try:
        return socket.gethostname(), path.read_text()
    except OSError:
        return socket.gethostname(), None


class _Progress:
    """The progress that tasks report under the topic of a stage, for each call of `each`."""

    def __init__(self) -> None:
        self._stages, self._numbers = dict[int, tuple[Stage, Counter[int]]](), itertools.count()

    @contextmanager
    def of(self, stage: Stage) -> Iterator[int]:
        """Yield the number of a call, with which its tasks report to a stage while the block lasts."""
        call = next(self._numbers)
        self._stages[call] = stage, Counter()
        try:
            yield call
        finally:
            del self._stages[call]

    def take(self, event: tuple[float, tuple[int, int, float]]) -> None:
        """Take a report of how much a task has done so far; a task that begins again begins at 0."""
        call, number, amount = event[1]
        if call in self._stages:
            stage, done = self._stages[call]
            stage.advance(amount - done[number])
            done[number] = amount  # type: ignore[assignment]


def _carry_out(order: _Order, work: bytes, call: int, number: int) -> Any:
    """Carry out a task, in a worker; relative names are those of the process that divides the work.

    The task comes as bytes, because directories among its arguments are opened when they are decoded: the scheduler need not
    see them, and a worker that does not see them is reported.
    """
    worker = distributed.get_worker()
    stage = Reported(lambda amount: worker.log_event(order.topic, (call, number, stage.done)))
    _at_work.set()
    try:
        _refuse_late(order)
        with suppress(OSError):
            os.chdir(order.here)
        task, item = loads(work)
        return task(*item, stage)
    except InputError as error:
        raise type(error)(f"{error.text} (found by a worker on {socket.gethostname()})") from error
    finally:
        _at_work.clear()
        stage.report()


@functools.lru_cache(maxsize=1)  # once per stage: finding the facts takes longer than a short task
def _refuse_late(order: _Order) -> None:
    """Raise `ResourceError`, so that finished work is kept, in a worker that would have been refused at the beginning."""
    try:
        order.check(_facts(distributed.get_worker()))
    except UsageError as error:
        hint = "it joined when the work had begun: end it, and continue with --resume"
        raise ResourceError(f"{error.text}; {hint}") from None


def _is_running() -> bool:
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
