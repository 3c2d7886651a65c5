"""A mapped file that is truncated while it is used, by Python's own code, NumPy's, and a kernel in a thread of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES = {
    "python": "bytes(mapped)",
    "numpy": "values.sum()",
    "kernel": "pool.submit(counting.histogram, values, np.zeros(1, np.int64)).result()",
}
PROGRAM = """
import mmap, os, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from cooc_engine._kernels import counting
from cooc_engine.runtime.truncation import explain_truncation
explain_truncation()
with open("map ped", "wb") as file:
    file.write(bytes(1 << 20))
with open("map ped", "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
values, pool = np.frombuffer(mapped, np.int32), ThreadPoolExecutor(1)
{use}
os.truncate("map ped", 5000)
{use}
"""


@pytest.mark.parametrize("use", USES)
def test_it_ends_with_one_line_that_names_the_file(tmp_path, use):
    program = PROGRAM.format(use=USES[use])
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    named = f"cooc-engine: {tmp_path}/map ped: was truncated while it was in use; restore it, and run again\n"
    assert (done.returncode, done.stderr) == (1, named)
