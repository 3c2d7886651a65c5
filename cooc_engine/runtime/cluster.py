"""Workers on other machines: a cluster of Dask, which any batch system can start (https://distributed.dask.org).

Only this module knows Dask. Its workers get tasks and paths, and send back small results; what a task reads and writes lies on
a disk that all machines share. Before anything is done, they are asked whether they fit: those that do not are an error.
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
from distributed import Client, Future

from cooc_engine._version import __version__
from cooc_engine.errors import ResourceError, UsageError
from cooc_engine.runtime.machine import default_memory, usable_cores
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.versions import numpy_code, processor
from cooc_engine.runtime.workers import Here, Reported, lost

__all__ = ["OnDask", "connected"]

T = TypeVar("T")
PATIENCE = 60  # seconds to wait for a first worker
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
    where: dict[str, Any] = {"address": cluster} if "://" in str(cluster) else {"scheduler_file": str(cluster)}
    if "scheduler_file" in where and not Path(cluster).is_file():
        raise UsageError(f"--cluster={cluster}: no such file; pass tcp://HOST:PORT, or the file that dask scheduler wrote")
    try:
        client = Client(**where, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--cluster={cluster}: no scheduler answers there ({error})") from None
    with client:
        yield OnDask(client, threads, memory)


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
    cpu: str
    cpu_features: str
    numpy: str


def _facts(dask_worker: Any) -> _Facts:
    manager = dask_worker.memory_manager
    limits = [rule for rule in RULES if manager.memory_limit and getattr(manager, rule)]
    host = socket.gethostname()
    machine: dict[str, Any] = {"cores": usable_cores(), "memory": default_memory(), **processor()}
    return _Facts(host, __version__, _code(), dask_worker.state.nthreads, limits, **machine, numpy=numpy_code())


class OnDask:
    """The workers that a cluster has when a stage begins; raises `UsageError`, saying what to do, if they do not fit.

    Threads and memory of each are by default its share of its machine.
    """

    local = False

    def __init__(self, client: Client, threads: int | None, memory: int | None) -> None:
        self._client = client
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UsageError(
                "--cluster: it has no workers; start some with dask worker --nthreads 1 --memory-limit 0"
            ) from None
        try:
            facts = client.run(_facts)
        except ModuleNotFoundError as error:
            raise UsageError(f"--cluster: its workers have no {error.name}; install cooc-engine on all machines") from None
        self._facts = list(facts.values())
        _check(self._facts)
        self._names, self.count = sorted(facts), len(facts)
        on = Counter(one.host for one in facts.values())
        self.threads = threads or max(1, min(one.cores // on[one.host] for one in facts.values()))
        self.memory = memory or min(one.memory // on[one.host] for one in facts.values())
        self.here = Here(usable_cores(), memory or default_memory())

    def check_processors(self, *, numpy: bool = False) -> None:
        """Raise `UsageError` if a worker has a processor of another kind than this process, which takes part in sums."""
        _check_processors(self._facts, **processor())
        if numpy:
            _check_numpy(self._facts, numpy_code())

    @contextmanager
    def at(self, directory: Path) -> Iterator[None]:
        """Check that all workers see the directory; wait for what they do in it when the block ends with an error."""
        _check_shared(self._client, directory.absolute())
        try:
            yield
        except BaseException:
            self._wait_until_idle()
            raise

    def _wait_until_idle(self) -> None:
        """Wait a while for tasks that have begun; those that go on write files which nobody reads."""
        end = time.monotonic() + GRACE
        with suppress(Exception):  # the scheduler may be what was lost
            while any(self._client.run(_running).values()) and time.monotonic() < end:
                time.sleep(0.1)

    def each(
        self, task: Callable[..., T], items: Iterable[tuple[Any, ...]], stage: Stage, *, stay: bool = False
    ) -> Iterator[T]:
        """Yield task(*item, stage) for each item, in their order; each worker has one task, and the next one waiting."""
        numbered, results, turn = enumerate(items), dict[int, T](), 0
        flying: dict[Future, int] = {}
        with _told(self._client, stage) as topic:
            try:
                while True:
                    for number, item in itertools.islice(numbered, 2 * self.count - len(flying)):
                        given = task, item, str(Path.cwd()), topic, number
                        # A pin is an address, and a worker that is started anew has another: other workers are allowed.
                        pin = {"workers": self._names[number % self.count], "allow_other_workers": True} if stay else {}
                        flying[self._client.submit(_carry_out, *given, pure=False, retries=0, **pin)] = number
                    if not flying:
                        return
                    for future in self._finished(flying):
                        results[flying.pop(future)] = _result(future)
                    while turn in results:
                        yield results.pop(turn)
                        turn += 1
            finally:
                self._client.cancel(list(flying))

    def _finished(self, flying: Iterable[Future]) -> Iterable[Future]:
        """Wait for one of the futures or more; returns those that are finished."""
        with self._client.as_current():
            done: Iterable[Future] = distributed.wait(list(flying), return_when="FIRST_COMPLETED").done
        return done


def _check(workers: list[_Facts]) -> None:
    """Raise `UsageError` if workers cannot work as they are."""
    for one in workers:
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
        for what, theirs, ours in (("version", one.version, __version__), ("code", one.code, _code())):
            if theirs != ours:
                raise UsageError(
                    f"--cluster: a worker on {one.host} has {what} {theirs[:12]}, this process has {ours[:12]}; "
                    f"install one version of cooc-engine on all machines"
                )


def _check_processors(workers: list[_Facts], cpu: str, cpu_features: str) -> None:
    """Raise `UsageError` if kernels of a worker are compiled for another kind of processor than this one."""
    ours = set(cpu_features.split(","))
    for one in workers:
        theirs = set(one.cpu_features.split(","))
        if (one.cpu, theirs) != (cpu, ours):
            only = [" ".join(sorted(mine - other)) or "no more" for mine, other in ((theirs, ours), (ours, theirs))]
            raise UsageError(
                f"--cluster: a worker on {one.host} has a processor of the kind {one.cpu}, this process {cpu} (only there: "
                f"{only[0]}; only here: {only[1]}), and vectors would have the bits of neither; take machines of one kind, or "
                f"set NUMBA_CPU_NAME and NUMBA_CPU_FEATURES to the same on all"
            )


def _check_numpy(workers: list[_Facts], ours: str) -> None:
    """Raise `UsageError` if NumPy runs other code in a worker than in this process."""
    for one in workers:
        if one.numpy != ours:
            raise UsageError(
                f"--cluster: NumPy on {one.host} has code for {one.numpy or 'no feature'}, here for {ours or 'no feature'}, "
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
        for host, seen in client.run(_read, str(mark)).values():
            if seen != text:
                raise UsageError(
                    f"{directory}: a worker on {host} does not see it; "
                    f"choose an --output on a disk that all machines have under the same name"
                )
    finally:
        mark.unlink()


def _read(path: str) -> tuple[str, str | None]:
    """Return this host, and what a file holds, if it is there."""
    try:
        return socket.gethostname(), Path(path).read_text()
    except OSError:
        return socket.gethostname(), None


@contextmanager
def _told(client: Client, stage: Stage) -> Iterator[str]:
    """Yield a topic under which tasks say how far they are: (number, amount); one that begins again begins at 0."""
    topic, done = f"cooc-engine-{uuid.uuid4().hex}", Counter[int]()

    def hear(event: tuple[float, tuple[int, float]]) -> None:
        number, amount = event[1]
        stage.advance(amount - done[number])
        done[number] = amount  # type: ignore[assignment]

    client.subscribe_topic(topic, hear)
    try:
        yield topic
    finally:
        client.unsubscribe_topic(topic)


def _carry_out(task: Callable[..., T], item: tuple[Any, ...], directory: str, topic: str, number: int) -> T:
    """In a worker: carry out a task; relative names are those of the process that divides the work."""
    worker = distributed.get_worker()
    stage = Reported(lambda amount: worker.log_event(topic, (number, stage.done)))
    with suppress(OSError):
        os.chdir(directory)
    _at_work.set()
    try:
        return task(*item, stage)
    finally:
        _at_work.clear()
        stage.report()


def _running() -> bool:
    return _at_work.is_set()


def _result(future: Future) -> Any:
    """Return what a task returned, or raise what it raised."""
    try:
        return future.result()
    except distributed.KilledWorker as error:
        raise lost(f"was {error.last_worker.address}") from None
    except distributed.client.FutureCancelledError:
        raise ResourceError("the scheduler of the cluster was lost; start it again, and continue with --resume") from None
