"""Locks that keep runs apart which would write the same output, and the refusal to write through a link.

Locks use `flock`, on a file beside the output or in the directory that it is built in. Some network file systems provide it
within one machine only: there, what `holders` writes keeps runs on different machines apart.

A lock file may be renamed or deleted by the run that holds it: who locks it then holds nothing, and is refused as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cooc_engine.errors import UsageError
from cooc_engine.storage.holders import held, output_of, refuse_others

__all__ = ["locked", "locked_beside", "locked_directory", "refuse_busy", "refuse_links"]

UNLOCKABLE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def refuse_links(*works: Path, output: Path | None = None) -> None:
    """Raise `UsageError` where writing would change what lies elsewhere: at a link, a second name of a file, a device, a pipe.

    An `output` is renamed into place, which does not change the file that had its name: it may have a second one.
    """
    for path in (*works, *([output] if output else [])):
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; choose another --output") from None
        if stat.S_ISLNK(status.st_mode):
            what = "is a link"
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            what = "is a device or a pipe"
        elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and path != output:
            what = "is one of several names of a file"
        else:
            continue
        raise UsageError(f"{path}: {what}, and nothing is written through it; remove it or choose another --output")


@contextmanager
def locked(path: Path, *, create: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file; raises `UsageError` if another run holds it, and as `refuse_links` does."""
    refuse_links(path)
    with open(path, "ab", opener=_follow_no_link if create else _create_no_file) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in UNLOCKABLE:
                hint = "mount it with flock (Lustre: -o flock) or choose another --output"
                raise UsageError(f"{output_of(path)}: its file system has no locks ({error.strerror}); {hint}") from None
            raise _busy(path) from None
        if not _is_at(path, file.fileno()):
            raise _busy(path)
        yield


@contextmanager
def locked_beside(lock: Path, *, take_over: bool) -> Iterator[None]:
    """Hold a lock file that lies beside what it protects, also for other machines; it is deleted at the end.

    Raises as `locked` and `refuse_others` do.
    """
    with locked(lock), held(lock, take_over=take_over):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file is still the one of this name."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _busy(lock: Path) -> UsageError:
    return UsageError(f"{output_of(lock)}: another run is working on it")


def _follow_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _create_no_file(path: str, flags: int) -> int:
    return _follow_no_link(path, flags & ~os.O_CREAT)


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Make a directory if it is missing, and hold the lock in it; raises as `locked` does, also if another run just ended."""
    lock = directory / "lock"
    with ExitStack() as held:
        directory.mkdir(exist_ok=True)
        try:
            refuse_links(directory, *directory.iterdir())
            held.enter_context(locked(lock))
        except FileNotFoundError:  # it has been renamed meanwhile, or deleted
            raise _busy(lock) from None
        yield


def refuse_busy(lock: Path, *, take_over: bool = False) -> None:
    """Raise `UsageError` if a run in progress holds this lock: its unfinished output cannot be resumed by another.

    A run that was killed on another machine still holds it, unless it is to be taken over.
    """
    with suppress(FileNotFoundError, NotADirectoryError), locked(lock, create=False):
        refuse_others(lock, take_over=take_over)
