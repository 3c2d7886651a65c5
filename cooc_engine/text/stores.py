"""Texts in object stores and on servers, such as s3://bucket/text.gz, which are read by fsspec.

A text there is a `StoredText`, which has what readers ask of a `Path`: it is opened, and has a size and a state. Nothing is
written to a store.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from cooc_engine.errors import UsageError
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import PathLike

__all__ = ["StoredText", "TextPath", "is_url", "located"]

URL = re.compile("[A-Za-z][A-Za-z0-9+.-]+://")
AHEAD = 4 << 20  # bytes that are requested at a time, and held


class _State(NamedTuple):
    """What readers take from `os.stat`: the size, and in the place of the times what changes with the text."""

    st_size: int
    st_mtime_ns: int
    st_dev: int = 0
    st_ino: int = 0
    st_mode: int = stat.S_IFREG


@dataclass(frozen=True)
class StoredText:
    """A text in a store, by its URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        """Return the URL."""
        return self.url

    @property
    def suffix(self) -> str:
        """The end of its name, such as `.gz`."""
        return PurePosixPath(self.url).suffix

    def _at(self) -> tuple[Any, str]:
        """Return the store, and the name of the text in it."""
        from fsspec.core import url_to_fs

        store, name = url_to_fs(self.url)
        return store, str(name)

    def open(self, mode: str, buffering: int) -> io.BufferedReader:
        """Open it for reading; raises `OSError` if it cannot be read."""
        with _as_os_errors():
            store, name = self._at()
            return io.BufferedReader(_Raw(store.open(name, mode, block_size=AHEAD)), buffering)

    def is_file(self) -> bool:
        """Tell whether there is such a text."""
        try:
            self.stat()
        except OSError:
            return False
        return True

    exists = is_file

    def stat(self) -> _State:
        """Return its size and what changes with it: its tag, its time or whatever the store says of it."""
        with _as_os_errors():
            store, name = self._at()
            store.invalidate_cache()
            size, said = store.info(name)["size"], str(store.ukey(name))
        if size is None:
            raise OSError(errno.EOPNOTSUPP, "the server does not tell its size", self.url)
        return _State(int(size), int.from_bytes(hashlib.sha256(said.encode()).digest()[:6], "big"))


TextPath = Path | StoredText


def is_url(name: str) -> bool:
    """Tell whether a name is that of a text in a store, and not of a file."""
    return URL.match(name) is not None


def located(text: PathLike) -> TextPath:
    """Return where a text is; raises `UsageError` if it is in a store which nothing that is installed can read."""
    if isinstance(text, StoredText):
        return text
    if not (isinstance(text, str) and is_url(text)):
        return path_of(text)
    url = text
    require(f"reading {url}", "stores", "fsspec")
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(url.partition("://")[0])
    except ValueError as error:
        raise UsageError(f"{url}: {' '.join(str(error).split())}") from None
    except ImportError as error:
        raise UsageError(f"{url}: needs another library ({' '.join(str(error).split())})") from None
    return StoredText(url)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Turn what libraries of stores raise into `OSError`, as which a file that cannot be read is reported."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {' '.join(str(error).split())}") from error


class _Raw(io.RawIOBase):
    """The bytes of an open text."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, target: Any) -> int:
        with _as_os_errors():
            data = self._file.read(len(target))
        target[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _as_os_errors():
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()
