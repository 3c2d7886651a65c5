"""`OUTPUT.work`: the directory in which a command makes what its output is made of; it is deleted with all that it holds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path

from cooc_engine.corpus.directory import MEMBERS as OF_CORPUS
from cooc_engine.counts.directory import MEMBERS as OF_COUNTS
from cooc_engine.errors import FormatError
from cooc_engine.storage.locks import locked_directory, refuse_links
from cooc_engine.storage.outputs import beside, discard, disk_errors
from cooc_engine.storage.ownership import refuse_strangers, strangers

__all__ = ["discard_work", "work_of", "workspace"]

LOCK = "lock"
MEMBERS = frozenset((LOCK, "corpus", "cooc", "best", "trial", "small"))
"""Names of the files and directories made there, without their suffixes."""
REMAKE = re.compile(r"(build it|make it|count) again$")


def work_of(output: Path) -> Path:
    """Return the path of the work directory of an output."""
    return beside(output, ".work")


@contextmanager
def workspace(output: Path, *, anew: bool, keeps: Callable[[BaseException], bool]) -> Iterator[Path]:
    """Lock and yield the directory, empty if `anew`; then delete it, unless it `keeps` something to resume after an error.

    Raises `UsageError` if another run is at work there, or if it holds what no command made, which would be deleted. A
    `FormatError` about what it holds says how to start anew: that was left by an interrupted run, and no one builds it by hand.
    """
    work = work_of(output)
    _refuse_foreign(work)
    with ExitStack() as held:
        with disk_errors(output):
            held.enter_context(locked_directory(work))
            if anew:
                _empty(work)
        try:
            yield work
        except BaseException as error:
            if isinstance(error, FormatError) and error.text.startswith(f"{work}/"):
                error.args = (REMAKE.sub("pass --force to start anew", error.text),)
            if not (_members(work) and keeps(error)):
                _delete(work)
            raise
        _delete(work)


def discard_work(output: Path) -> None:
    """Delete the work directory of an output, if there is one; raises as `workspace` does."""
    work = work_of(output)
    _refuse_foreign(work)
    if work.is_dir():
        with locked_directory(work):
            _delete(work)


def _delete(work: Path) -> None:
    """Delete the directory, its lock last: what a kill leaves is still known to be of a command."""
    with suppress(OSError):  # another run may be about to lock it
        if not _strangers(work):
            discard(work)


def _members(work: Path) -> list[Path]:
    return [path for path in work.iterdir() if path.name != LOCK] if work.is_dir() else []


def _empty(work: Path) -> None:
    for path in _members(work):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _refuse_foreign(work: Path) -> None:
    """Raise `UsageError` if the work directory is a link, or holds what no command made, which would be deleted."""
    refuse_links(work)
    refuse_strangers(_strangers(work))


def _strangers(work: Path) -> list[Path]:
    """Return what no command made in the work directory, and in those of its stages.

    A command that makes anything there has made the lock first.
    """
    ours = MEMBERS if (work / LOCK).is_file() else ()
    stages = {"corpus": OF_CORPUS, "cooc": OF_COUNTS}
    within = (strangers(path, stages[path.stem]) for path in _members(work) if path.is_dir() and path.stem in stages)
    return [*sorted(path for path in _members(work) if path.name.partition(".")[0] not in ours), *chain(*within)]
