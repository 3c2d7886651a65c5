"""An encoded corpus on disk: shards of word ids, and their vocabulary."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.shards import Shard, load_shard, open_shard
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.runtime.options import recorded_options
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.arrays import load_array
from cooc_engine.storage.outputs import read_manifest

__all__ = ["Corpus"]

KIND, VERSION = "corpus", 1


class Corpus:
    """An encoded corpus on disk, opened lazily.

    Raises `InputError` if there is no corpus at `path`, `FormatError` if it is damaged or of another version.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path, KIND, VERSION)
        self.tokens: int = self.manifest["tokens"]
        self.documents: int = self.manifest["documents"]
        self.shards: int = len(self.manifest["shards"])
        self.digest: str = self.manifest["digest"]
        self._checked: set[int] = set()

    @classmethod
    def of(cls, source: PathLike | Corpus) -> Corpus:
        """Return an open corpus unchanged, or open the one at a path."""
        return source if isinstance(source, Corpus) else cls(source)

    @functools.cached_property
    def options(self) -> EncodeOptions:
        """The options that it was encoded with; an option introduced later has its default."""
        return recorded_options(EncodeOptions, self.manifest["options"], self.path, done="encoded", redo="encode")

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words and their counts."""
        return Vocabulary.load(self.path, self.manifest["vocabulary"]["digest"])

    @functools.cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """(V,) occurrences of each word in this corpus, even if the vocabulary was taken from another."""
        path = self.path / "word-counts.bin"
        return load_array(path, np.int64) if path.exists() else self.vocabulary.counts

    def shard(self, number: int) -> Shard:
        """Open shard `number`; its values are checked only the first time, since counting in runs opens it once per run."""
        if number in self._checked:
            return open_shard(self.path, number)
        shard = load_shard(self.path, number, self.manifest["vocabulary"]["words"])
        self._checked.add(number)
        return shard

    def info(self) -> dict[str, Any]:
        """Return everything recorded."""
        return self.manifest
