"""Options for embedding a text with an ELMo model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.errors import UsageError
from cooc_engine.runtime.options import AtLeast, Below, Options

__all__ = ["EmbedOptions"]


@dataclass(frozen=True)
class EmbedOptions(Options):
    """What is written for each word."""

    layers: Literal["all", "top", "average", "mix"] = "all"
    """All layers, starting with the one without context; only the highest; the mean of all; or a mix."""
    mix: str | None = None
    """The file of the mix, as the JSON {"gamma": 1.0, "scores": [0.0, 0.0, 0.0]}, for --layers mix."""
    state: Literal["zero", "carry"] = "zero"
    """Read each line independently, or carry the state from batch to batch, as AllenNLP and bilm-tf do."""
    batch: Annotated[int, AtLeast(1), Below(2**16)] = 64
    """With --state carry: number of lines in a batch; row i of a batch starts from the state at the end of row i before."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for a mix that is missing or not used, and for a batch size without a carried state."""
        super().__post_init__()
        if (self.layers == "mix") != (self.mix is not None):
            raise UsageError("--layers mix and --mix FILE go together")
        if self.state == "zero" and self.batch != type(self).batch:
            raise UsageError("--batch goes with --state carry; otherwise the vectors do not depend on it")
