"""Peak memory as a control group has it, and above the start."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from cooc_engine.runtime.measure import Measure, Memory

SIZE = 48 << 20
CHILD = f"import sys; held = bytearray({SIZE}); print(flush=True); sys.stdin.read()"


ALLOCATION = f"""
import time, numpy as np
from cooc_engine.runtime.measure import Measure, Memory
with Measure() as measure:
    held = np.ones({SIZE}, np.uint8)
    time.sleep(0.5)
    del held
print(measure.peak_anonymous_bytes_above_start, measure.peak_memory_bytes, Memory.of().resident)
"""


def test_what_is_allocated_is_above_the_start():
    # in an interpreter of its own: this one may return memory of earlier tests meanwhile
    child = subprocess.run([sys.executable, "-c", ALLOCATION], capture_output=True, text=True, check=True)
    above, peak, resident = map(int, child.stdout.split())
    assert SIZE <= above < 2 * SIZE
    assert peak >= max(above, resident)


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


def test_work_is_measured_where_no_file_can_be_opened():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # as many as are open anyway
    try:
        with Measure() as measured:
            time.sleep(0.1)  # a few samples, of which the first looks for processes
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert measured.seconds > 0.09  # an error in the thread that samples would be a warning, which fails
