"""Wall time and peak memory of a piece of work."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Measure", "anonymous_bytes"]

INTERVAL = 0.02


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process in bytes: without mapped files, which the kernel can drop; 0 if unknown."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


class Measure:
    """A context manager that measures wall time, `seconds`, and the peak increase of anonymous memory, `peak_memory_bytes`."""

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._base = self._peak = anonymous_bytes()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self._begin = time.perf_counter()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._peak = max(self._peak, anonymous_bytes())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._begin
        self._stop.set()
        self._sampler.join()
        self.peak_memory_bytes = max(self._peak, anonymous_bytes()) - self._base
