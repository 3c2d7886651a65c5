"""What users of other programs type, as our command line has it: single dashes, flags with numbers for values, and `-`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

__all__ = ["given", "modern", "values"]

# Flags of other programs whose values have names here.
FOREIGN = {
    "--symmetric": ("--context-side", {"1": "both", "0": "left"}),
    "--truncate-weight": ("--truncate-weight", {"1": "on", "0": "off"}),
    "--loss": ("--loss", {"one-vs-all": "ova"}),
    "--dm": ("--model", {"1": "dm", "0": "dbow"}),
    "--dbow-words": ("--words", {"1": "on", "0": "off"}),
    "--dbow_words": ("--words", {"1": "on", "0": "off"}),
    "--distance-weighting": ("--window-weight", {"1": "harmonic", "0": "uniform"}),
}
SHORT = {"-o": "--output"}
SWITCHES = {"--json", "--force", "--resume", "--dry-run", "--html", "--by-section", "--header", "--normalize", "--common", "--"}
DASH = "\0-"  # the parser takes a lone - for an option; no argument of a program can hold a NUL


def given(argument: str) -> str:
    """Return a parsed argument, or a message with some in it, as it was typed."""
    return argument.replace(DASH, "-")


def values(flag: str, arguments: Sequence[str]) -> list[str]:
    """Return what a flag was given, as `FLAG VALUE` or `FLAG=VALUE`."""
    after = [value for name, value in itertools.pairwise(arguments) if name == flag]
    return after + [name.partition("=")[2] for name in arguments if name.startswith(f"{flag}=")]


def modern(arguments: Sequence[str]) -> list[str]:
    """Rewrite what other programs' users type: -vector-size as --vector-size, --symmetric 0 as --context-side left, -."""
    result: list[str] = []
    for argument in arguments:
        if argument == "-" and not (result and result[-1].startswith("-") and result[-1] not in SWITCHES):
            argument = DASH
        if re.fullmatch(r"-[A-Za-z][A-Za-z0-9_-]+(=.*)?", argument):
            argument = "-" + argument
        argument = SHORT.get(argument, argument)
        name, equals, value = argument.partition("=")
        if equals and name in FOREIGN:
            result.append(name)
            argument = value
        if result and result[-1] in FOREIGN:
            flag, values = FOREIGN[result.pop()]
            result += [flag, values.get(argument, argument)]
        else:
            result.append(argument)
    return result
