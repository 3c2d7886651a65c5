"""What a model records of the software and the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import numba

from cooc_engine.runtime.versions import numpy_code, processor


def test_the_kind_of_processor_is_that_of_the_kernels(monkeypatch):
    assert processor()["cpu"] and "," in processor()["cpu_features"]
    monkeypatch.setattr(numba.config, "CPU_NAME", "haswell")
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+sse2,-avx512f,+avx2")
    assert processor() == {"cpu": "haswell", "cpu_features": "avx2,sse2"}


def test_what_numpy_is_told_to_do_without_is_no_part_of_its_code():
    """In another process, since NumPy looks when it is loaded."""
    line = "from cooc_engine.runtime.versions import numpy_code; print(numpy_code())"
    without = {**os.environ, "NPY_DISABLE_CPU_FEATURES": numpy_code().replace(",", " ")}
    shown = subprocess.run([sys.executable, "-c", line], env=without, capture_output=True, text=True, check=True)
    assert shown.stdout == "\n"
