"""`OUTPUT.work`: the directory in which a command makes what its output is made of; it is deleted with all that it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

from cooc_engine.errors import UsageError
from cooc_engine.storage.outputs import beside, refuse_links

__all__ = ["discard_work", "refuse_foreign_work", "work_of"]

MEMBERS = frozenset(("corpus", "cooc", "best", "trial", "small", "retrain"))
"""Names of what is made there, to which suffixes are added."""


def work_of(output: Path) -> Path:
    """Return the directory of an output."""
    return beside(output, ".work")


def refuse_foreign_work(output: Path) -> None:
    """Raise `UsageError` if the directory holds what no command made there, which would be deleted, or is a link."""
    work = work_of(output)
    refuse_links(work)
    foreign = (
        sorted(path.name for path in work.iterdir() if path.name.partition(".")[0] not in MEMBERS) if work.is_dir() else []
    )
    if foreign:
        raise UsageError(f"{work}: holds {foreign[0]}, which is none of this command's; move it or choose another --output")


def discard_work(output: Path) -> None:
    """Delete the directory, if it is there; raises as `refuse_foreign_work` does."""
    refuse_foreign_work(output)
    shutil.rmtree(work_of(output), ignore_errors=True)
