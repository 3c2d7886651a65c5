"""Job files, changed in a place."""

from __future__ import annotations

from pathlib import Path


def replaced(job: Path, old: str, new: str) -> None:
    text = job.read_text()
    assert old in text
    job.write_text(text.replace(old, new, 1))
