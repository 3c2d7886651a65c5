"""Peak memory as a control group has it, and above the start."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from cooc_engine.runtime.measure import Measure, Memory

SIZE = 48 << 20
CHILD = f"import sys; held = bytearray({SIZE}); print(flush=True); sys.stdin.read()"


def test_what_is_allocated_is_above_the_start():
    with Measure() as measure:
        held = np.ones(SIZE, np.uint8)
        time.sleep(0.5)
        del held
    assert SIZE <= measure.peak_anonymous_bytes_above_start < 2 * SIZE
    assert measure.peak_memory_bytes >= measure.peak_anonymous_bytes_above_start
    assert measure.peak_memory_bytes >= Memory.of().resident


def test_processes_that_it_started_are_counted():
    pipe = subprocess.PIPE
    with Measure() as measure, subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe) as child:
        child.stdout.readline()
        alone = Memory.of().resident
        time.sleep(0.5)
        child.communicate()
    assert measure.peak_memory_bytes >= alone + SIZE
    assert measure.peak_anonymous_bytes_above_start < SIZE


def test_a_process_that_has_ended_has_no_memory():
    assert Memory.of(2**22 + 1) == Memory(0, 0, 0)
