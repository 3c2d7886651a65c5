"""Deferring Ctrl-C to a moment at which the state can be saved."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["deferred_interrupt", "interrupts"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # signals that end a program unless it handles them
AGAIN = 0.02  # seconds


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

    with _handled(note):
        yield asked.is_set


@contextmanager
def interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at all signals to stop while the block runs, so that what is finished is kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, sys.unraisablehook = sys.unraisablehook, _come_again
    try:
        with _handled(stop):
            yield
    finally:
        sys.unraisablehook = before


def _come_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Have an interruption come again soon if it came within a finaliser, whose exceptions reach nobody and stop nothing."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(AGAIN, _signal_again).start()


def _signal_again() -> None:
    """Send the main thread a signal that it handles: unlike `_thread.interrupt_main`, this wakes it if it sleeps or waits."""
    number = next((number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN), None)
    if number is not None and (main := threading.main_thread().ident):
        signal.pthread_kill(main, number)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals while the block runs, but none that is ignored: `nohup` does that, and a shell for what it runs with &."""
    earlier = {number: signal.getsignal(number) for number in ENDING}
    handled = [number for number, before in earlier.items() if before != signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, handler)
        yield
    finally:
        for number in handled:
            signal.signal(number, earlier[number])
