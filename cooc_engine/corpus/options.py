"""Options of encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cooc_engine.runtime.options import AtLeast, Flag, Options
from cooc_engine.text.tokenizers import DEFAULT_PATTERN, check_options

__all__ = ["EncodeOptions"]


@dataclass(frozen=True)
class EncodeOptions(Options):
    """How text becomes an encoded corpus."""

    min_count: Annotated[int, AtLeast(1), Flag(alias=("--minCount", "--mincount"))] = 5
    """Words that occur less often are left out of the vocabulary."""
    max_vocab: Annotated[int | None, AtLeast(1)] = None
    """Keep only this many of the most frequent words; ties go to the smaller bytes."""
    vocabulary: str | None = None
    """Take the words of this corpus or co-occurrence directory, instead of those of the text."""
    tokenizer: str = "whitespace"
    """How a line is cut into words: `whitespace` (ASCII), `regex`, `jieba`, or a Python function as `module:function`."""
    pattern: str | None = None
    """What `regex` takes for a word; words, also with ' or - inside, and numbers as 1,000.5, unless given; no punctuation."""
    hmm: Literal["on", "off"] = "on"
    """Whether `jieba` finds words that are not in its dictionary, by its hidden Markov model."""
    lowercase: bool = False
    """Turn the text to lower case, as Unicode has it, before it is cut."""
    phrases: Annotated[int, AtLeast(0)] = 0
    """Join words that keep together, as new_york, this many times over (word2phrase)."""
    phrase_threshold: Annotated[float, AtLeast(0)] = 100.0
    """Join a and b whose (n_ab - min-count) n / (n_a n_b) is above this, in a text of n words."""
    reserved: Literal["refuse", "keep"] = "refuse"
    """What to do if `<unk>` or `</s>`, which GloVe, word2vec and fastText keep for themselves, is a word of the text."""

    def __post_init__(self) -> None:
        """Check the tokenizer too, and fill in the pattern, so that the record says what was used."""
        super().__post_init__()
        check_options(self.tokenizer, self.pattern, self.hmm)
        if self.tokenizer == "regex" and self.pattern is None:
            object.__setattr__(self, "pattern", DEFAULT_PATTERN)

    @property
    def cut(self) -> dict[str, Any]:
        """The options that say how a line is cut into words."""
        return {name: getattr(self, name) for name in ("tokenizer", "pattern", "hmm", "lowercase")}

    @property
    def runs_python(self) -> bool:
        """Whether the text is cut by Python code, and so in processes."""
        return self.tokenizer != "whitespace" or self.lowercase
