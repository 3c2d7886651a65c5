"""Tokenizers: functions from a string to a list of words, the same when a corpus is encoded and when a model is queried.

    whitespace        cuts at ASCII white space, as GloVe, word2vec and fastText do
    regex             the matches of a pattern in the syntax of the package `regex` (that of `re`, with more of Unicode)
    jieba             Chinese, by jieba's dictionary and, for words outside it, its hidden Markov model
    module:function   a function of a Python module, from a string to an iterable of words

A function is code, so only the user names it: one that a file names is refused unless the user trusts the file.
This module imports nothing heavy: every tokenizer process loads it.
"""

from __future__ import annotations

import importlib
import math
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from cooc_engine.errors import FormatError, InputError, UsageError

__all__ = ["DEFAULT_PATTERN", "LONGEST_WORD", "Cut", "Splitting", "check_options", "joined", "lines_of", "tokenizer"]

Cut = Callable[[str], list[str]]

# Letters, digits, marks and _; single apostrophes and hyphens between them; points and commas between digits.
DEFAULT_PATTERN = r"\w+(?:['’‐-]\w+|(?<=\d)[.,]\d\w*)*"
NAMES = ("whitespace", "regex", "jieba")
LONGEST_WORD = 1 << 18  # bytes; anything longer is not a word, and would not fit into a block of text
NOT_IN_WORDS = b"\t\n\v\f\r\0"
SHOWN = 200  # characters shown of another library's message
PATIENCE, PATIENCE_PER_CHARACTER = 5.0, 2e-5  # seconds that a pattern may take for a text: some 20 times what one takes
LARGEST_PATTERN = 1 << 20  # characters of a pattern whose repetitions, such as {3}, are written out: `regex` does that


def check_options(name: str, pattern: str | None, hmm: str) -> None:
    """Raise `UsageError` for an invalid tokenizer name or pattern, or for an option that the tokenizer does not take."""
    if not (isinstance(name, str) and isinstance(pattern, str | None)):
        raise TypeError("the name or the pattern is not a string")
    if name not in NAMES and not re.fullmatch(r"[^\W\d][\w.]*:[^\W\d][\w.]*", name):
        raise UsageError(
            f"--tokenizer is {name!r}; it must be one of {', '.join(NAMES)}, or a Python function as module:function"
        )
    if name.startswith("__main__:"):
        raise UsageError(f"--tokenizer {name}: other processes cannot import it; put the function in a module of its own")
    if pattern is not None and name != "regex":
        raise UsageError(f"--pattern is for --tokenizer=regex; the tokenizer is {name}")
    if hmm != "on" and name != "jieba":
        raise UsageError(f"--hmm is for --tokenizer=jieba; the tokenizer is {name}")
    if pattern is not None:
        _compiled(pattern)


class Splitting(NamedTuple):
    """How a file, named by `where`, says that a text is split into words, and whether a Python function of it is `trusted`."""

    options: Mapping[str, Any]
    where: object = "the model"
    trusted: bool = False

    def check(self) -> None:
        """Raise `UsageError` for a Python function that is not trusted, and `FormatError` for what is no tokenizer at all."""
        try:
            name, pattern, hmm = (self.options.get(key) for key in ("tokenizer", "pattern", "hmm"))
            check_options(name or "whitespace", pattern, hmm or "on")
        except (UsageError, TypeError, AttributeError) as error:
            text = _short(str(error))
            raise FormatError(f"{self.where}: does not record how its text was split into words ({text})") from None
        if name and name not in NAMES and not self.trusted:
            code = f"{self.where}: splits text by Python code, {_short(name)}"
            raise UsageError(f"{code}, which only runs if you trust it: pass --trust-tokenizer")

    def cut(self) -> Cut:
        """Return the tokenizer; a function is not imported from the working directory. Raises as `check` and `tokenizer` do."""
        self.check()
        return tokenizer({**self.options, "here": False})


def tokenizer(record: Mapping[str, Any]) -> Cut:
    """Return the function that splits a text into words, by the options that a corpus or a model records.

    With `here` in the record, the module of a user's function may lie in the working directory.
    Raises `UsageError` if a package or a function is missing. The returned function raises `InputError` if the user's
    function that it calls fails, or returns anything but an iterable of words, and if a pattern takes too long.
    """
    name, pattern = record.get("tokenizer", "whitespace"), record.get("pattern")
    cut: Cut
    if name == "whitespace":
        cut = _ascii_words
    elif name == "regex":
        cut = _matches(pattern or DEFAULT_PATTERN)
    elif name == "jieba":
        cut = _jieba(record.get("hmm", "on") == "on")
    else:
        cut = _function(name, here=record.get("here", False))
    return (lambda text: cut(text.lower())) if record.get("lowercase") else cut


def lines_of(record: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Return the function from a text to its words as `joined` writes them; `whitespace` makes no list of words on the way."""
    cut = tokenizer(record)
    if record.get("tokenizer", "whitespace") != "whitespace":
        return lambda text: joined(cut(text))
    lower = record.get("lowercase", False)
    return lambda text: b" ".join((text.lower() if lower else text).encode().split())


def joined(words: Sequence[str]) -> bytes:
    """Return words as UTF-8, separated by spaces; raises `ValueError` for one that is empty, too long, or has white space."""
    if not words:
        return b""
    data = f" {' '.join(words)} ".encode()
    if data.count(b" ") != len(words) + 1 or b"  " in data or len(data.translate(None, NOT_IN_WORDS)) < len(data):
        bad = next(word for word in words if word.encode().split() != [word.encode()] or "\0" in word)
        raise ValueError(f"a word that is empty, or holds white space or a NUL: {_short(repr(bad))}")
    if len(data) > LONGEST_WORD and any(len(word.encode()) >= LONGEST_WORD for word in words):
        raise ValueError(f"a word of {LONGEST_WORD} bytes or more")
    return data[1:-1]


def _ascii_words(text: str) -> list[str]:
    return [word.decode() for word in text.encode().split()]


def _matches(pattern: str) -> Cut:
    """Return the function that finds the matches of a pattern, and gives up on a text that takes far too long."""
    find = _compiled(pattern).findall

    def cut(text: str) -> list[str]:
        try:
            found: list[str] = find(text, timeout=PATIENCE + PATIENCE_PER_CHARACTER * len(text))
        except TimeoutError:
            shown = _short(repr(pattern))
            raise InputError(f"--pattern {shown} takes too long for a text of {len(text):,} characters; simplify it") from None
        return found

    return cut


def _compiled(pattern: str) -> Any:
    """Return a compiled pattern; the words are its matches, or what its one group matches."""
    import regex

    if len(pattern) * math.prod(max(1, int(least)) for least in re.findall(r"{(\d+)", pattern)) > LARGEST_PATTERN:
        raise UsageError(f"--pattern {_short(repr(pattern))} is too large with its repetitions written out; simplify it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = regex.compile(pattern)
    except (regex.error, Warning, RecursionError) as error:
        raise UsageError(f"--pattern {pattern!r} is not a regular expression ({error})") from None
    if compiled.groups > 1:
        raise UsageError(f"--pattern {pattern!r} has {compiled.groups} groups, but at most one can be the word; write (?:...)")
    if any(not match for text in ("", "a 1") for match in compiled.findall(text)):
        raise UsageError(f"--pattern {pattern!r} matches the empty string, and no word is empty; write + for *")
    return compiled


def _jieba(hmm: bool) -> Cut:
    """Return jieba's `cut`, with a freshly built dictionary: jieba's cache in /tmp is shared by all users."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's source is old enough to trigger syntax warnings
            import jieba

            words = jieba.Tokenizer()
            words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    except ImportError:
        raise UsageError('--tokenizer=jieba needs the package jieba: pip install "cooc_engine[zh]"') from None
    words.initialized = True
    return lambda text: [word for word in words.cut(text, HMM=hmm) if not word.isspace()]


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Import modules from the working directory too, last of all."""
    here = str(Path.cwd())
    before = here in sys.path
    if not before:
        sys.path.append(here)
    try:
        yield
    finally:
        if not before:
            sys.path.remove(here)


def _function(name: str, *, here: bool) -> Cut:
    """Return a user's function, whose module may lie in the working directory if `here`; its errors become one line."""
    module, _, path = name.partition(":")
    try:
        with _working_directory_importable() if here else nullcontext():
            home = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"--tokenizer {name}: {module} cannot be imported ({_said(error)})") from None
    try:
        function = operator.attrgetter(path)(home)
    except AttributeError:
        raise UsageError(f"--tokenizer {name}: {getattr(home, '__file__', None) or module} has no {path}") from None
    if not callable(function):
        raise UsageError(f"--tokenizer {name}: is not a function, but {_short(repr(function))}")

    def cut(text: str) -> list[str]:
        try:
            words = function(text)
            if isinstance(words, str):
                raise TypeError("it returned a string, not an iterable of words")
            return list(words)
        except Exception as error:
            raise InputError(f"--tokenizer {name} failed ({_said(error)})") from None

    return cut


def _said(error: BaseException) -> str:
    return _short(f"{type(error).__name__}: {error}".removesuffix(": "))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[:SHOWN] + " ..."
