"""Directories for temporary files: what a killed process left of its own goes when the next one is made."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cooc_engine.errors import CoocError, UsageError
from cooc_engine.storage.locks import locked

__all__ = ["naming", "temporary_directory"]


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Have a directory of this user alone, until the block ends; it holds a file `lock`."""
    _remove_abandoned()
    home = Path(tempfile.mkdtemp(prefix=_prefix()))
    try:
        with locked(home / "new"):  # it is locked before it has the name by which it could be taken for abandoned
            (home / "new").rename(home / "lock")
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Have errors name `what` in place of paths in temporary directories, which are soon gone."""
    try:
        yield
    except CoocError as error:
        path = re.escape(str(Path(tempfile.gettempdir(), _prefix()))) + "[^/]*(/[\\w.-]+)*"
        error.args = (re.sub(path, what, error.text),)
        raise


def _prefix() -> str:
    return f"cooc-engine-{os.getuid()}-"


def _remove_abandoned() -> None:
    """Delete the directories of this user whose lock nobody holds."""
    for home in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        with suppress(OSError, UsageError):  # without a lock, or in use
            status = home.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                with locked(home / "lock", create=False):
                    shutil.rmtree(home, ignore_errors=True)
