"""Changes of values: of a number in an array, of anything in a piece of JSON."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

LONG = 100_000  # characters of a long word, and levels of a deep value
WHOLE = [
    0, 1, -1, 2, 7, 255, 2**15, 2**31 - 1, 2**31, -(2**31), 2**32, 10**12, 2**62, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30,
]  # fmt: skip
NUMBERS: list[float] = [0.5, -0.0, 1e-45, 1e38, -1e308, float("nan"), float("inf"), -float("inf")]
TEXTS = [
    "", " ", "\0", "\x1b[31mred\x1b[0m", "../../x", "/dev/zero", "stranger:cut", "os:system", "(?:a|aa)+b", "w1", "ß" * 1000,
]  # fmt: skip
VALUES: list[Any] = [*WHOLE, *NUMBERS, *TEXTS, None, True, False, [], {}, [[]], [{}], {"a": 1}, ["w1", "w2"]]


def change_values(values: np.ndarray[Any, Any], chance: Random) -> str:
    """Change some values of an array in place."""
    flat = values.reshape(-1)
    begin = chance.randrange(flat.size)
    end = min(flat.size, begin + chance.choice([1, 1, 2, flat.size]))
    how = chance.choice(["set", "set", "shift", "shuffle", "double"])
    with np.errstate(all="ignore"):
        if how == "set":
            value = fitting(values.dtype, chance)
            flat[begin:end] = value
            return f"values {begin}:{end} set to {value}"
        if how == "shuffle":
            flat[:] = flat[chance.sample(range(flat.size), flat.size)]
        else:
            flat[begin:end] = flat[begin:end] + flat[begin:end] if how == "double" else np.roll(flat, 1)[begin:end]
    return f"values {begin}:{end}: {how}"


def fitting(dtype: np.dtype[Any], chance: Random) -> Any:
    """Return an extreme value of a type."""
    if dtype.kind == "f":
        with np.errstate(all="ignore"):
            return np.array(chance.choice([*NUMBERS, 0.0, 1e30, 2.0**51])).astype(dtype)[()]
    if dtype.kind not in "iu":
        return np.zeros((), dtype)[()]
    limits = np.iinfo(dtype)
    return dtype.type(chance.choice([value for value in WHOLE if limits.min <= value <= limits.max] + [limits.min, limits.max]))


def edit(value: Any, chance: Random) -> tuple[Any, str]:
    """Return JSON with one thing changed somewhere in it, and what that was."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        how = chance.choice(["inside", "inside", "inside", "without", "renamed", "more"])
        if how == "inside":
            inner, what = edit(value[key], chance)
            return {**value, key: inner}, f"{key}: {what}"
        rest = {k: v for k, v in value.items() if k != key}
        if how == "more":
            return {**value, "new": chance.choice(VALUES)}, "a new key"
        return (rest, f"without {key}") if how == "without" else ({**rest, f"{key}x": value[key]}, f"{key} renamed")
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        how = chance.choice(["inside", "inside", "without", "twice", "reversed"])
        if how == "inside":
            inner, what = edit(value[at], chance)
            return [*value[:at], inner, *value[at + 1 :]], f"[{at}] {what}"
        changed = {"without": value[:at] + value[at + 1 :], "twice": value[: at + 1] + value[at:], "reversed": value[::-1]}
        return changed[how], f"[{at}] {how}"
    other = chance.choice([*VALUES, [value], {"value": value}, str(value), *_near(value)])
    return other, f"{short(value)} is {short(other)}"


def _near(value: Any) -> list[Any]:
    return [value + 1, value - 1, -value, value * 1.0] * 3 if type(value) is int else []


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:50]}..."


def deep(chance: Random) -> bytes:
    """Return JSON that is nested too deeply, or takes far more memory than its text."""
    return chance.choice(
        [
            b"[" + b"[]," * 10 * LONG + b"0]",
            b"[" * LONG,
            b'{"a":' * LONG,
            b"[" * LONG + b"]" * LONG,
            b'{"format":' * LONG + b"1" + b"}" * LONG,
        ]
    )
