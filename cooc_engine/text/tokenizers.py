"""Tokenizers: functions from a string to a list of words, the same when a corpus is encoded and when a model is queried.

    whitespace        cuts at ASCII white space, as GloVe, word2vec and fastText do
    regex             the matches of a pattern in the syntax of the package `regex` (that of `re`, with more of Unicode)
    jieba             Chinese, by jieba's dictionary and, for words outside it, its hidden Markov model
    module:function   a function of a Python module, from a string to an iterable of words

What a text is before it is cut, and which words are left out, is said by `preparation`.
A function is code, so only the user names it: one that a file names is refused unless the user trusts the file.
This module imports nothing heavy: every tokenizer process loads it.
"""

from __future__ import annotations

import importlib
import io
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
from cooc_engine.text.preparation import check_preparation, prepares, preparing, short, stop_words

__all__ = [
    "CUT", "DEFAULT_PATTERN", "LONGEST_WORD", "WORD_LISTS", "Cut", "Splitting", "check_options", "is_plain",
    "joined", "lines_of", "name_of", "tokenizer", "words_in",
]  # fmt: skip

Cut = Callable[[str], list[str]]
CUT = ("tokenizer", "pattern", "hmm", "user_dict", "html", "normalize", "lowercase", "stop_words")  # options that make words
WORD_LISTS = ("user_dict", "stop_words")  # of these, those that name a file: its lines are what is recorded

# Letters, digits, marks and _, of which no mark or joiner is the first; single apostrophes and hyphens between them; points and
# commas between digits.
DEFAULT_PATTERN = r"(?![\p{M}\p{Join_Control}])\w+(?:['’‐-]\w+|(?<=\d)[.,]\d\w*)*"
NAMES = ("whitespace", "regex", "jieba")
ABSURD = re.compile(r"^.* [0-9]{13,}(?: [a-z]+)?$", re.M)  # a frequency in a dictionary of jieba's
LONGEST_ENTRY = 1000  # characters of a line in such a dictionary: jieba lists all beginnings of each word
LONGEST_WORD = 1 << 18  # bytes; anything longer is not a word, and would not fit into a block of text
NOT_IN_WORDS = b"\t\n\v\f\r\0"
PATIENCE, PATIENCE_PER_CHARACTER = 5.0, 2e-5  # seconds that a pattern may take for a text: some 20 times what one takes
LARGEST_PATTERN = 1 << 20  # characters of a pattern whose repetitions, such as {3}, are written out: `regex` does that


def check_options(record: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an invalid tokenizer, pattern or preparation, or for an option that it does not take."""
    name, pattern, user_dict = record.get("tokenizer", "whitespace"), record.get("pattern"), record.get("user_dict")
    if not (isinstance(name, str) and isinstance(pattern, str | None) and isinstance(user_dict, str | None)):
        raise TypeError("the name, the pattern or the dictionary is not a string")
    if name not in NAMES and not re.fullmatch(r"[^\W\d][\w.]*:[^\W\d][\w.]*", name):
        raise UsageError(
            f"--tokenizer is {name!r}; it must be one of {', '.join(NAMES)}, or a Python function as module:function"
        )
    if name.startswith("__main__:"):
        raise UsageError(f"--tokenizer {name}: other processes cannot import it; put the function in a module of its own")
    if pattern is not None and name != "regex":
        raise UsageError(f"--pattern is for --tokenizer=regex; the tokenizer is {name}")
    for flag, value in (("--hmm", record.get("hmm", "on") != "on"), ("--user-dict", user_dict)):
        if value and name != "jieba":
            raise UsageError(f"{flag} is for --tokenizer=jieba; the tokenizer is {name}")
    if pattern is not None:
        _compiled(pattern)
    if user_dict and (line := ABSURD.search(user_dict)):
        raise UsageError(f"--user-dict has the line {short(repr(line[0]))}; a frequency has at most 12 digits")
    if user_dict and (longest := max(map(len, user_dict.splitlines()))) > LONGEST_ENTRY:
        raise UsageError(f"--user-dict has a line of {longest:,} characters; a word for jieba has at most {LONGEST_ENTRY:,}")
    check_preparation(record)


def name_of(function: Callable[..., Any]) -> str:
    """Return a function as `module:function`; raises `UsageError` for one that other processes cannot import by such a name."""
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    try:
        found = operator.attrgetter(path)(sys.modules[module])  # type: ignore[index]
    except (KeyError, AttributeError):
        found = None
    if found != function or module == "__main__":
        raise UsageError(
            f"--tokenizer is {short(repr(function))}, which other processes cannot import; put the function into a module of "
            "its own, or pass its words to encode_documents()"
        )
    return f"{module}:{path}"


def is_plain(record: Mapping[str, Any]) -> bool:
    """Tell whether a text is cut at white space and nothing else is done to it, which takes no Python code."""
    return record.get("tokenizer", "whitespace") == "whitespace" and not prepares(record)


class Splitting(NamedTuple):
    """How a file, named by `where`, says that a text is split into words, and whether a Python function of it is `trusted`."""

    options: Mapping[str, Any]
    where: object = "the model"
    trusted: bool = False

    def check(self) -> None:
        """Raise `UsageError` for a Python function that is not trusted, and `FormatError` for what is no tokenizer at all."""
        try:
            given = {key: self.options[key] for key in CUT if self.options.get(key) is not None}
            check_options(given)
            if any("\n" not in given.get(name, "\n") for name in WORD_LISTS):
                raise UsageError("a list of words without lines")
        except (UsageError, TypeError, AttributeError) as error:
            text = short(str(error))
            raise FormatError(f"{self.where}: does not record how its text was split into words ({text})") from None
        if self.is_code and not self.trusted:
            code = f"{self.where}: splits text by Python code, {short(given['tokenizer'])}"
            raise UsageError(f"{code}, which only runs if you trust it: pass --trust-tokenizer")

    @property
    def is_code(self) -> bool:
        """Whether the text was split by a function of the user's."""
        return (self.options.get("tokenizer") or "whitespace") not in NAMES

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
    cut, prepare, left_out = _cutting(record), preparing(record), stop_words(record)
    if left_out:
        return lambda text: [word for word in cut(prepare(text)) if word not in left_out]
    return (lambda text: cut(prepare(text))) if prepares(record) else cut


def _cutting(record: Mapping[str, Any]) -> Cut:
    name = record.get("tokenizer", "whitespace")
    if name == "whitespace":
        return _ascii_words
    if name == "regex":
        return _matches(record.get("pattern") or DEFAULT_PATTERN)
    if name == "jieba":
        return _jieba(record.get("hmm", "on") == "on", record.get("user_dict"))
    return _function(name, here=record.get("here", False))


def lines_of(record: Mapping[str, Any]) -> Callable[[str], bytes]:
    """Return the function from a text to its words as `joined` writes them; `whitespace` makes no list of words on the way."""
    if record.get("tokenizer", "whitespace") != "whitespace" or stop_words(record):
        cut = tokenizer(record)
        return lambda text: joined(cut(text))
    prepare = preparing(record)
    return lambda text: b" ".join(prepare(text).encode().split())


def joined(words: Sequence[str]) -> bytes:
    """Return words as UTF-8, separated by spaces; raises `ValueError` for one that is empty, too long, or has white space."""
    if not words:
        return b""
    data = f" {' '.join(words)} ".encode()
    if data.count(b" ") != len(words) + 1 or b"  " in data or len(data.translate(None, NOT_IN_WORDS)) < len(data):
        bad = next(word for word in words if word.encode().split() != [word.encode()] or "\0" in word)
        raise ValueError(f"a word that is empty, or holds white space or a NUL: {short(repr(bad))}")
    if len(data) > LONGEST_WORD and any(len(word.encode()) >= LONGEST_WORD for word in words):
        raise ValueError(f"a word of {LONGEST_WORD} bytes or more")
    return data[1:-1]


def words_in(text: str, cut: Cut) -> list[str]:
    """Return the words of a text; raises `InputError` for one with half of a surrogate pair, which is no character."""
    try:
        return cut(text)
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise InputError(f"the text {short(ascii(text))} holds {half!a}, half of a surrogate pair; take it out") from None


def _ascii_words(text: str) -> list[str]:
    plain = b" ".join(text.encode().split()).decode()
    return plain.split(" ") if plain else []


def _matches(pattern: str) -> Cut:
    """Return the function that finds the matches of a pattern, and gives up on a text that takes far too long."""
    find = _compiled(pattern).findall

    def cut(text: str) -> list[str]:
        try:
            found: list[str] = find(text, timeout=PATIENCE + PATIENCE_PER_CHARACTER * len(text))
        except TimeoutError:
            shown = short(repr(pattern))
            raise InputError(f"--pattern {shown} takes too long for a text of {len(text):,} characters; simplify it") from None
        return found

    return cut


def _compiled(pattern: str) -> Any:
    """Return a compiled pattern; the words are its matches, or what its one group matches."""
    import regex

    if len(pattern) * math.prod(max(1, int(least)) for least in re.findall(r"{(\d+)", pattern)) > LARGEST_PATTERN:
        raise UsageError(f"--pattern {short(repr(pattern))} is too large with its repetitions written out; simplify it")
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


def _jieba(hmm: bool, user_dict: str | None) -> Cut:
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
    if user_dict:
        words.load_userdict(io.StringIO(user_dict))
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
        raise UsageError(f"--tokenizer {name}: is not a function, but {short(repr(function))}")

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
    return short(f"{type(error).__name__}: {error}".removesuffix(": "))
