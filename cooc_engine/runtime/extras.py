"""Optional libraries: the error for a missing one names the extra that installs it."""

from __future__ import annotations

import importlib

from cooc_engine.errors import UsageError

__all__ = ["require"]

DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # where the distribution's name is not that of the module


def require(purpose: str, extra: str, *modules: str) -> None:
    """Import modules of optional libraries; raises `UsageError`, naming the library and the extra, if one is missing."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            top = module.partition(".")[0]
            name = DISTRIBUTIONS.get(top, top)
            raise UsageError(f'{purpose} needs {name}: python -m pip install "cooc_engine[{extra}]"') from None
