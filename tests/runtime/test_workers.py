"""Those who carry out tasks: order, progress, errors, and workers that are lost."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

import pytest
from support import tasks

from cooc_engine.errors import DivergenceError, FormatError, InputError, ResourceError, UnknownWordError, UsageError
from cooc_engine.runtime.processes import Processes
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.workers import EVERY, LOSSES, Here, Reported


@pytest.fixture(scope="module")
def processes():
    """Two processes for all tests that do not break them."""
    made = Processes(2, 1, 1 << 30)
    with made.at(None):
        yield made


def stage() -> Stage:
    return Stage("test", None, "items")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_results_come_in_the_order_of_the_items(processes, count):
    for workers in (Here(1, 1), processes):
        shown = stage()
        assert list(workers.each(tasks.double, ((n,) for n in range(count)), shown)) == [2 * n for n in range(count)]
        assert shown.done == sum(range(count))


@pytest.mark.parametrize(
    "error",
    [
        InputError("a.txt: empty"), FormatError("x: damaged"), UnknownWordError("no such word"), UsageError("--a is b"),
        DivergenceError("loss"), ResourceError("disk"), OSError(errno.ENOSPC, "No space left on device", "x"), MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_travel(error):
    """Their type, their line and so their exit code are those of one process."""
    workers = Processes(1, 1, 1)
    with workers.at(None), pytest.raises(type(error)) as caught:
        list(workers.each(tasks.fail, [(error,)], stage()))
    assert (str(caught.value), getattr(caught.value, "exit_code", None)) == (str(error), getattr(error, "exit_code", None))
    assert "in fail" in str(caught.value.__cause__), "where it was raised is said too"


def test_the_task_of_a_lost_worker_is_carried_out_again(tmp_path):
    shown, workers = stage(), Processes(2, 1, 1)
    with workers.at(None):
        found = list(workers.each(tasks.die_once, ((tmp_path / "mark", n) for n in range(5)), shown))
    assert found == [0, 1, 2, 3, 4]
    assert shown.done == 10, "what it had reported before counts once"


def test_a_task_that_is_always_lost_is_given_up():
    workers = Processes(1, 1, 1)
    with workers.at(None), pytest.raises(ResourceError) as caught:
        list(workers.each(tasks.die, [()], stage()))
    assert f"lost with {LOSSES} workers, of which the last was killed by SIGKILL; out of memory?" in str(caught.value)
    assert caught.value.exit_code == 4


def test_no_process_outlives_its_block(tmp_path):
    mark, workers = tmp_path / "mark", Processes(1, 1, 1)

    def interrupt():
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt), workers.at(None):
        list(workers.each(tasks.sleep, [(mark,)], stage()))
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_progress_is_reported_now_and_then_and_all_of_it():
    said = []
    shown = Reported(said.append)
    for _ in range(1000):
        shown.advance(1)
    shown.report()
    shown.report()
    assert sum(said) == 1000 and len(said) <= 2 + shown.seconds / EVERY
