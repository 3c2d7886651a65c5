"""What a worker on another machine must have in common with the process that divides the work."""

from __future__ import annotations

import dataclasses
import re

import pytest

from cooc_engine.errors import UsageError
from cooc_engine.runtime.requirements import check_numpy, check_processor, check_worker, own_facts

FITS = dataclasses.replace(own_facts(), host="node1", age=9.0, cpu="znver4", cpu_features="avx2,avx512f,fma", numpy="X86_V3")


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"threads": 32}, "a worker on node1 has 32 threads, .* start workers with --nthreads 1"),
        ({"limits": ("memory_pause_fraction",)}, "counts mapped files as memory .* start workers with --memory-limit 0"),
        ({"version": "0.0.9"}, "a worker on node1 has version 0.0.9, this process has .* install one version"),
        ({"code": "f" * 64}, "has code ffffffffffff, this process has"),
    ],
    ids=lambda fact: str(*fact) if isinstance(fact, dict) else "",
)
def test_workers_that_do_not_fit_are_refused(fact, said):
    check_worker(FITS, FITS)
    with pytest.raises(UsageError) as caught:
        check_worker(dataclasses.replace(FITS, **fact), FITS)
    assert re.search(said, caught.value.flags) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"cpu": "haswell", "cpu_features": "avx2,fma"}, r"kind haswell, this process znver4 .*only there: no more.*avx512f\)"),
        ({"cpu_features": "amx,avx2,avx512f,fma"}, r"kind znver4, this process znver4 \(only there: amx; only here: no more\)"),
    ],
    ids=["another", "another of that name"],
)
def test_processors_of_two_kinds_are_refused_where_bits_depend_on_them(fact, said):
    check_processor(FITS, FITS)
    with pytest.raises(UsageError) as caught:
        check_processor(dataclasses.replace(FITS, **fact), FITS)
    assert re.search(said, caught.value.flags) and "NUMBA_CPU_NAME" in caught.value.flags and caught.value.exit_code == 2


def test_numpy_of_two_kinds_is_refused_where_its_bits_count():
    check_numpy(FITS, FITS)
    with pytest.raises(UsageError, match=r"node2 has code for X86_V3,X86_V4, here for X86_V3, .*NPY_DISABLE_CPU_FEATURES"):
        check_numpy(dataclasses.replace(FITS, host="node2", numpy="X86_V3,X86_V4"), FITS)
