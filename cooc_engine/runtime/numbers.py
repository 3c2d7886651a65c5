"""Human-readable numbers: sizes in memory, large numbers, times, values of options."""

from __future__ import annotations

import re
from typing import Any

from cooc_engine.errors import UsageError

__all__ = [
    "ABSENT", "parse_size", "show_clock", "show_duration", "show_number", "show_percent", "show_setting", "show_size",
    "show_value",
]  # fmt: skip

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
PREFIXES = (("G", 1e9), ("M", 1e6), ("k", 1e3))
ABSENT = "–"


def parse_size(text: str, flag: str = "--memory") -> int:
    """Return the bytes of `512M`, `4GiB`, `1.5g`; units are binary. Raises `UsageError`, naming the flag."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    if not match or not float(match[1]):
        raise UsageError(f"{flag} is {text!r}; write a size such as 512M or 4G")
    return int(float(match[1]) * UNITS[match[2].upper()])


def show_size(size: float) -> str:
    """Return a size as `parse_size` reads it, with one decimal: `1.5K` is 1536 bytes."""
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f} B" if not unit else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def show_number(number: float, space: str = "", small: str = ".0f") -> str:
    """Return a number with one decimal and the decimal prefix k, M or G, `space` between them: `1.5k` is 1500.

    `small` is the format of numbers below 1000.
    """
    for prefix, factor in PREFIXES:
        if number >= factor:
            return f"{number / factor:.1f}{space}{prefix}"
    return f"{number:{small}}"


def show_clock(seconds: float) -> str:
    """Return a time as `1:02:03` or `2:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def show_duration(seconds: float | None) -> str:
    """Return a time as `1 h 2 min`, `2 min 3 s` or `4.5 s`; None is a dash."""
    if seconds is None:
        return ABSENT
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def show_percent(share: float | None) -> str:
    """Return a share in percent, with one decimal and without the sign; None becomes "--", for tables of scores."""
    return "--" if share is None else f"{100 * share:.1f}"


def show_value(value: Any) -> str:
    """Return the value of an option as in TOML, but a whole float without its point."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_setting(value: Any) -> str:
    """Return a recorded value for reading: `on`, `off`, a dash for None, and whole numbers with commas."""
    if value is None or isinstance(value, bool):
        return {None: ABSENT, True: "on", False: "off"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return show_value(value)
