"""The verbs for getting started: a demonstration, and the compilation of all kernels in advance."""

from __future__ import annotations

from pathlib import Path

from cooc_engine.cli.console import print_result
from cooc_engine.cli.parameters import Directory, Json, ProgressKind
from cooc_engine.runtime.progress import open_progress

__all__ = ["demo", "warm"]


def demo(*, output: Directory = Path("cooc-demo"), progress: ProgressKind = "auto", json: Json = False) -> None:
    """Run the whole pipeline on the documentation of this Python installation.

    For example:

        cooc-engine demo --output cooc-demo
    """
    from cooc_engine.pipeline.demo import demo

    lines = demo(output, open_progress(progress))
    print_result(json, {"output": str(output)}, lines)


def warm(*, progress: ProgressKind = "auto", json: Json = False) -> None:
    """Compile all kernels in advance, once for this machine; otherwise each is compiled when it is first needed.

    For example:

        cooc-engine warm
        NUMBA_CACHE_DIR=/opt/cache cooc-engine warm --progress lines
    """
    from cooc_engine.runtime import warming

    found = warming.warm(open_progress(progress))
    print_result(json, found._asdict(), [f"{found.directory}: has all kernels, {found.compiled} of them compiled now"])
