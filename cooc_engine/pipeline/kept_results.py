"""Results that a job keeps for its next run, in a JSON file beside its outputs, which carries its own checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, TypeVar

from cooc_engine.errors import InputError
from cooc_engine.storage.outputs import read_record

__all__ = ["contents", "remembered"]

T = TypeVar("T")


def remembered(path: Path, kind: type[T], what: str) -> T | None:
    """Return the results that an earlier run kept in a file, of the shape of the `TypedDict` `kind`; None if there is no file.

    Raises `InputError` for any other content, or a damaged file; `what` begins its message.
    """
    try:
        return read_record(path, kind)
    except FileNotFoundError:
        return None
    except (OSError, InputError):
        raise InputError(f"{path}: {what} of an earlier run; remove it") from None


def contents(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return, for each file, its name without the suffix, which identifies its scores, and the SHA-256 of its content."""
    found = []
    for path in paths:
        with path.open("rb") as file:
            found.append((path.stem, _digest(file)))
    return found


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
