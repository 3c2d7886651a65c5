"""`OUTPUT.work`: the directory in which a command makes what its output is made of; it is deleted with all that it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

from cooc_engine.errors import UsageError
from cooc_engine.storage.outputs import beside, refuse_links

__all__ = ["discard_work", "refuse_foreign_work", "work_of"]

MEMBERS = frozenset(("corpus", "cooc", "best", "trial", "small", "retrain"))
"""Names of the files and directories made there, without their suffixes."""


def work_of(output: Path) -> Path:
    """Return the path of the work directory of an output."""
    return beside(output, ".work")


def refuse_foreign_work(output: Path) -> None:
    """Raise `UsageError` if the work directory is a link, or holds anything that no command makes, which would be deleted."""
    work = work_of(output)
    refuse_links(work)
    foreign = (
        sorted(path.name for path in work.iterdir() if path.name.partition(".")[0] not in MEMBERS) if work.is_dir() else []
    )
    if foreign:
        raise UsageError(f"{work}: holds {foreign[0]}, which is none of this command's; move it or choose another --output")


def discard_work(output: Path) -> None:
    """Delete the work directory of an output, if there is one; raises as `refuse_foreign_work` does."""
    refuse_foreign_work(output)
    shutil.rmtree(work_of(output), ignore_errors=True)
