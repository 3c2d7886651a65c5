"""What a model records of the software and the machine."""

from __future__ import annotations

import numba

from cooc_engine.runtime.versions import processor


def test_the_kind_of_processor_is_that_of_the_kernels(monkeypatch):
    assert processor()["cpu"] and "," in processor()["cpu_features"]
    monkeypatch.setattr(numba.config, "CPU_NAME", "haswell")
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+sse2,-avx512f,+avx2")
    assert processor() == {"cpu": "haswell", "cpu_features": "avx2,sse2"}
