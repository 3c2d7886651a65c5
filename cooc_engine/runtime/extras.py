"""Libraries that only some uses need: a missing one is named with the extra that installs it."""

from __future__ import annotations

import importlib

from cooc_engine.errors import UsageError

__all__ = ["require"]

DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # where they are not named as what is imported


def require(purpose: str, extra: str, *modules: str) -> None:
    """Import modules of optional libraries; raises `UsageError` that says which of them `purpose` needs and lacks."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            top = module.partition(".")[0]
            name = DISTRIBUTIONS.get(top, top)
            raise UsageError(f'{purpose} needs {name}: python -m pip install "cooc_engine[{extra}]"') from None
