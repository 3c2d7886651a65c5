"""Versions of the software, and the kind of processor, that a result depends on, for its provenance."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from cooc_engine._version import __version__

__all__ = ["numpy_code", "processor", "versions"]


def versions() -> dict[str, str]:
    """Return the versions of this program, Python and the numerical libraries."""
    libraries = {name: version(name) for name in ("numpy", "numba", "scipy", "h5py")}
    return {"cooc_engine": __version__, "python": platform.python_version(), **libraries}


def numpy_code() -> str:
    """Return the processor's features for which NumPy runs code of its own, whose powers and logs have other last bits.

    `NPY_DISABLE_CPU_FEATURES` takes some away.
    """
    import numpy as np

    shown: Any = np.show_config(mode="dicts")
    return ",".join(shown["SIMD Extensions"].get("found", []))


def processor() -> dict[str, str]:
    """Return the kind of processor that kernels are compiled for, and its features.

    Sums of floats are reordered to fill its vectors, so their last bits are those of machines of one kind. `NUMBA_CPU_NAME` and
    `NUMBA_CPU_FEATURES` choose another kind.
    """
    import numba
    from llvmlite import binding

    settings: Any = numba.config
    features = binding.get_host_cpu_features().flatten() if settings.CPU_FEATURES is None else settings.CPU_FEATURES
    present = sorted(one[1:] for one in features.split(",") if one.startswith("+"))
    return {"cpu": settings.CPU_NAME or binding.get_host_cpu_name(), "cpu_features": ",".join(present)}
