"""Options of encoding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cooc_engine.errors import InputError, UsageError
from cooc_engine.runtime.options import AtLeast, Below, Flag, Options
from cooc_engine.runtime.paths import path_of
from cooc_engine.text.bounded import whole
from cooc_engine.text.reading import Errors, Reading, Unit, encoding_name
from cooc_engine.text.tokenizers import CUT, DEFAULT_PATTERN, WORD_LISTS, check_options, is_plain, name_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EncodeOptions", "RecordedOptions"]

LONGEST_LIST = 1 << 22  # bytes of a list of words


@dataclass(frozen=True)
class EncodeOptions(Options):
    """How text becomes an encoded corpus."""

    heading = "Encoding the text"

    min_count: Annotated[int, AtLeast(1), Flag(alias=("--minCount", "--mincount"))] = 5
    """Words that occur fewer times than this are left out of the vocabulary."""
    max_vocab: Annotated[int | None, AtLeast(1)] = None
    """Keep only this many of the most frequent words; ties are broken by byte order."""
    vocabulary: str | None = None
    """Use the vocabulary of this corpus or co-occurrence directory instead of building one from the text."""
    document: Unit = "line"
    """What counts as a document: each `line`; each paragraph between blank lines, as in most books; or each `file`."""
    encoding: str = "utf-8"
    """The encoding of the text files, by its name in Python, such as gb18030, latin-1 or utf-16."""
    errors: Errors = "strict"
    """How to handle bytes that cannot be decoded, and NULs: stop with an error, `replace` them by U+FFFD, or `skip` them; the
    latter two count them."""
    tokenizer: str = "whitespace"
    """How a line is split into words: `whitespace` (ASCII), `regex`, `jieba`, or a Python function as `module:function`;
    from Python, the function itself can be passed."""
    pattern: str | None = None
    """The pattern of a word, for `regex`; the default matches words, also with inner ' or -, and numbers such as 1,000.5."""
    hmm: Literal["on", "off"] = "on"
    """Whether `jieba` uses its hidden Markov model to find words that are not in its dictionary."""
    user_dict: str | None = None
    """A file of additional words for `jieba`: one per line, optionally followed by its frequency and its tag."""
    html: bool = False
    """Treat the text as HTML: remove tags, comments, scripts and styles, and decode entities such as &eacute;."""
    normalize: Literal["NFC", "NFKC"] | None = None
    """Unicode normalisation before the text is split: `NFC` joins accents to their letters, `NFKC` also converts full-width
    forms, ligatures and the like to plain characters."""
    lowercase: bool = False
    """Convert the text to lower case, by Unicode's rules, before it is split."""
    stop_words: str | None = None
    """A file of words, one per line, that are removed from the text before windows are formed."""
    phrases: Annotated[int, AtLeast(0), Below(100)] = 0
    """Number of passes that join frequent word pairs into phrases such as new_york (word2phrase); 0 joins none."""
    phrase_threshold: Annotated[float, AtLeast(0)] = 100.0
    """Join a and b if (n_ab - min-count) n / (n_a n_b) is above this, in a text of n words."""
    doc_id_column: Annotated[int | None, AtLeast(1)] = None
    """The column of tab-separated lines, counted from 1, that holds the document ids instead of text; else line numbers."""
    doc_id_type: Literal["string", "int64"] = "string"
    """The type of the ids in that column: strings, or 64-bit integers, by which documents are then looked up in Python."""
    tag_separator: str | None = None
    """What separates several tags of a document in that column, such as a comma; Doc2Vec gives each tag a vector, which all
    documents with that tag share."""
    reserved: Literal["refuse", "keep"] = "refuse"
    """Refuse or keep `<unk>` and `</s>` as words of the text; GloVe, word2vec and fastText reserve them."""

    def __post_init__(self) -> None:
        """Check the tokenizer too, and fill in its name and pattern, so that the record states what was used."""
        given: Any = self.tokenizer
        if callable(given):
            object.__setattr__(self, "tokenizer", name_of(given))
        super().__post_init__()
        object.__setattr__(self, "encoding", encoding_name(self.encoding))
        if self.doc_id_column is not None and self.document != "line":
            raise UsageError(f"--doc-id-column is for documents that are lines; leave it out with --document={self.document}")
        if self.doc_id_column is None and self.doc_id_type != "string":
            raise UsageError("--doc-id-type is for the ids of a column; pass --doc-id-column too, or leave it out")
        if self.tag_separator is not None and (not self.tag_separator or {*self.tag_separator} & {*"\t\n\r\0"}):
            raise UsageError("--tag-separator is empty, or has a tab or a line end, which separate columns and documents")
        check_options({name: getattr(self, name) for name in CUT})
        if self.tokenizer == "regex" and self.pattern is None:
            object.__setattr__(self, "pattern", DEFAULT_PATTERN)

    @property
    def cut(self) -> dict[str, Any]:
        """The options that determine how a line is split into words; a function may also be in the working directory."""
        return {**{name: getattr(self, name) for name in CUT}, "here": True}

    @property
    def has_ids(self) -> bool:
        """Whether documents have ids, or tags, of their own."""
        return self.doc_id_column is not None or self.tag_separator is not None

    def reading(self) -> Reading:
        """Return how text files are read."""
        return Reading(self.encoding, self.errors, self.document)

    @property
    def runs_python(self) -> bool:
        """Whether the text is split by Python code, and therefore in separate processes."""
        return not is_plain(self.record())

    def check_use(self) -> None:
        """Raise `UsageError` for options that cannot be combined, or that would have no effect."""
        if self.vocabulary is not None:
            if self.phrases:
                raise UsageError("--phrases and --vocabulary cannot be combined; pass one of the two")
            self.refuse_unused("--vocabulary gives the words", "min_count", "max_vocab")
        if not self.phrases:
            self.refuse_unused("--phrases is 0, so nothing is joined", "phrase_threshold")

    def loaded(self) -> Self:
        """Return these options with each file of words replaced by its content.

        Raises `InputError` for a file that cannot be read, and `UsageError` for a line that is not a valid entry.
        """
        lists: dict[str, Any] = {}
        for name in WORD_LISTS:
            given = getattr(self, name)
            lists[name] = _lines(path_of(given)) if given is not None and "\n" not in given else given
        return replace(self, **lists)


def _lines(path: Path) -> str:
    """Return the lines of a file, without empty ones."""
    try:
        text = whole(path, LONGEST_LIST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte 0x{error.object[error.start]:02x} is not UTF-8 (at byte {error.start})") from None
    return "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip()) or "\n"


class RecordedOptions(EncodeOptions):
    """Options recorded in a file: a function that they name is imported from the user's own path only, and no list is read."""

    def check_use(self) -> None:
        """Accept what is recorded: the words of a vocabulary were chosen by its options."""

    def loaded(self) -> Self:
        """Return these options unchanged: lists are recorded by their content, never as files."""
        return self

    @property
    def cut(self) -> dict[str, Any]:
        """The options that determine how a line is split into words."""
        return {**super().cut, "here": False}
