"""Options of encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cooc_engine.runtime.options import AtLeast, Flag, Options
from cooc_engine.text.tokenizers import DEFAULT_PATTERN, check_options

__all__ = ["EncodeOptions", "RecordedOptions"]


@dataclass(frozen=True)
class EncodeOptions(Options):
    """How text becomes an encoded corpus."""

    min_count: Annotated[int, AtLeast(1), Flag(alias=("--minCount", "--mincount"))] = 5
    """Words that occur fewer times than this are left out of the vocabulary."""
    max_vocab: Annotated[int | None, AtLeast(1)] = None
    """Keep only this many of the most frequent words; ties are broken by byte order."""
    vocabulary: str | None = None
    """Use the vocabulary of this corpus or co-occurrence directory instead of building one from the text."""
    tokenizer: str = "whitespace"
    """How a line is split into words: `whitespace` (ASCII), `regex`, `jieba`, or a Python function as `module:function`."""
    pattern: str | None = None
    """The pattern of a word, for `regex`; by default words, also with ' or - inside, and numbers such as 1,000.5."""
    hmm: Literal["on", "off"] = "on"
    """Whether `jieba` uses its hidden Markov model to find words that are not in its dictionary."""
    lowercase: bool = False
    """Convert the text to lower case, by Unicode's rules, before it is split."""
    phrases: Annotated[int, AtLeast(0)] = 0
    """Number of passes that join frequent word pairs into phrases such as new_york (word2phrase); 0 joins none."""
    phrase_threshold: Annotated[float, AtLeast(0)] = 100.0
    """Join a and b if (n_ab - min-count) n / (n_a n_b) is above this, in a text of n words."""
    doc_id_column: Annotated[int | None, AtLeast(1)] = None
    """The column of tab-separated lines, from 1, with the ids of documents, which are no text; line numbers by default."""
    reserved: Literal["refuse", "keep"] = "refuse"
    """Refuse or keep `<unk>` and `</s>` as words of the text; GloVe, word2vec and fastText reserve them."""

    def __post_init__(self) -> None:
        """Check the tokenizer too, and fill in the pattern, so that the record says what was used."""
        super().__post_init__()
        check_options(self.tokenizer, self.pattern, self.hmm)
        if self.tokenizer == "regex" and self.pattern is None:
            object.__setattr__(self, "pattern", DEFAULT_PATTERN)

    @property
    def cut(self) -> dict[str, Any]:
        """The options that say how a line is cut into words, by a function that may also lie in the working directory."""
        return {**{name: getattr(self, name) for name in ("tokenizer", "pattern", "hmm", "lowercase")}, "here": True}

    @property
    def runs_python(self) -> bool:
        """Whether the text is cut by Python code, and so in processes."""
        return self.tokenizer != "whitespace" or self.lowercase


class RecordedOptions(EncodeOptions):
    """Options that a file records: a function that it names is imported from the user's own path alone."""

    @property
    def cut(self) -> dict[str, Any]:
        """The options that say how a line is cut into words."""
        return {**super().cut, "here": False}
