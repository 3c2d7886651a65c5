"""Deferring Ctrl-C to a moment at which the state can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

__all__ = ["deferred_interrupt", "interrupts"]

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # signals that end a program which does not handle them


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a signal to stop has arrived; the same one again raises `KeyboardInterrupt` at once.

    These are SIGINT and SIGTERM, SIGHUP of a terminal that is closed, and SIGUSR1, which batch systems send before time is up.

    Outside the main thread, where Python cannot handle signals, it always returns False.
    """
    asked, seen = threading.Event(), set[int]()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number in seen:
            raise KeyboardInterrupt
        seen.add(number)
        asked.set()

    with _handled((signal.SIGINT, *ENDING), note):
        yield asked.is_set


@contextmanager
def interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at SIGTERM, SIGHUP and SIGUSR1 too while the block runs, so that what is finished is kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(ENDING, stop):
        yield


@contextmanager
def _handled(numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals while the block runs, but SIGHUP not if it is ignored: `nohup` does that."""
    wanted = [number for number in numbers if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    earlier = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
