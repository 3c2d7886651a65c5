"""Versions of the software that a result depends on, for its provenance."""

from __future__ import annotations

import platform
from importlib.metadata import version

from cooc_engine._version import __version__

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Return the versions of this program, Python and the numerical libraries."""
    libraries = {name: version(name) for name in ("numpy", "numba", "scipy", "h5py")}
    return {"cooc_engine": __version__, "python": platform.python_version(), **libraries}
