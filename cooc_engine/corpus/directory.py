"""An encoded corpus on disk: shards of word ids, and their vocabulary."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.shards import Shard, load_shard, open_shard
from cooc_engine.corpus.vocabulary import Vocabulary, VocabularyRecord
from cooc_engine.errors import FormatError, UsageError
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.options import recorded_options
from cooc_engine.runtime.types import Offsets, PathLike, WordIds
from cooc_engine.storage.arrays import BINDS, ArrayFiles, BoundFiles
from cooc_engine.storage.checksums import crc32, crc32_joined
from cooc_engine.storage.opened import OpenedDirectory
from cooc_engine.storage.outputs import read_manifest
from cooc_engine.storage.relations import check_sum
from cooc_engine.storage.schema import Digest, Natural, Relation

__all__ = ["COUNTS", "ID_FILES", "KIND", "MEMBERS", "VERSION", "Corpus", "CorpusDigest"]

KIND, VERSION = "corpus", 2
READ = (1, 2)
COUNTS = "word-counts.bin"
ID_FILES = {"document-ids-text.bin": np.uint8, "document-ids-offsets.bin": np.int64}
MEMBERS = (
    "tokens-*.bin", "documents-*.bin", "vocab-*.bin", COUNTS, *ID_FILES, "*.spool", "first-pass.json", "ranges.json",
)  # fmt: skip
PIECE = 1 << 20  # values of a shard that are read at a time


class _Faults(BoundFiles, total=False):
    """The key of a corpus whose faults were replaced or skipped."""

    faults: Natural


class CorpusManifest(_Faults):
    """The manifest of an encoded corpus, as FORMAT.md specifies it."""

    version: Natural
    tokens: Natural
    tokens_in_vocabulary: Natural
    documents: Natural
    shards: list[tuple[Natural, Natural]]
    vocabulary: VocabularyRecord
    digest: Digest
    options: dict[str, Any]
    texts: list[str]


RELATIONS = (
    BINDS,
    Relation("tokens", "the sum over the shards", lambda m: m["tokens"] == sum(tokens for tokens, _ in m["shards"])),
    Relation("documents", "the sum over the shards", lambda m: m["documents"] == sum(d for _, d in m["shards"])),
    Relation("tokens_in_vocabulary", "at most the tokens", lambda m: m["tokens_in_vocabulary"] <= m["tokens"]),
)


class CorpusDigest:
    """Sums up a corpus as it is read or written: checksums of all ids and of the ends of all documents."""

    def __init__(self) -> None:
        self.ids = self.ends = 0

    def add_ids(self, ids: WordIds) -> None:
        """Add the next ids."""
        self.ids = crc32(ids.data, self.ids)

    def join_ids(self, crc: int, count: int) -> None:
        """Add the next `count` ids, given their checksum."""
        self.ids = crc32_joined(self.ids, crc, 4 * count)

    def add_ends(self, ends: Offsets) -> None:
        """Add the next document ends, in tokens from the start of the corpus."""
        self.ends = crc32(ends.data, self.ends)

    def of(self, vocabulary: str, tokens: int, documents: int) -> str:
        """Return the digest of the corpus, given that of its vocabulary; it does not depend on the cut into shards."""
        return hashlib.sha256(f"{vocabulary} {tokens} {documents} {[self.ids, self.ends]}".encode()).hexdigest()


class Corpus(OpenedDirectory):
    """An encoded corpus on disk, opened lazily. It is accepted in place of its path, and pickled as it.

    >>> corpus.tokens, corpus.documents, len(corpus.vocabulary)
    (440, 40, 21)
    >>> corpus.shard(0).ids.shape
    (440,)

    Raises `InputError` if there is no corpus at `path`, `FormatError` if it is damaged or of another version.
    """

    @gated
    def __init__(self, path: PathLike) -> None:
        super().__init__(path)
        self.manifest = read_manifest(self.path, KIND, READ, CorpusManifest, *RELATIONS)
        self.tokens = self.manifest["tokens"]
        self.documents = self.manifest["documents"]
        self.shards = len(self.manifest["shards"])
        self.digest = self.manifest["digest"]
        self.options = recorded_options(EncodeOptions, self.manifest["options"], self.path, done="encoded", redo="encode")
        self.files = ArrayFiles(self.path, self.manifest.get("files"))
        self._checked: set[int] = set()

    def facts(self) -> dict[str, str]:
        """Return the numbers of the corpus, its first words, and its path."""
        sizes = {"tokens": self.tokens, "documents": self.documents, "words": len(self.vocabulary)}
        shown = {name: f"{size:,}" for name, size in sizes.items()}
        return {**shown, "first": self.vocabulary.beginning(), "path": str(self.path)}

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The words and their counts."""
        return Vocabulary.load(self.files, self.manifest["vocabulary"])

    @functools.cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """(V,) occurrences of each word in this corpus, even if the vocabulary was taken from another."""
        counts = self.vocabulary.counts
        if COUNTS in self.files:
            counts = self.files.load(COUNTS, np.int64, len(self.vocabulary))
        check_sum(counts, self.manifest["tokens_in_vocabulary"], f"{self.path}: the counts of the words")
        return counts

    @property
    def ids(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None:
        """The ids, or the tags, of all documents: their concatenated text, and (D + 1,) offsets in it; None without any."""
        if not self.options.has_ids:
            return None
        text, offsets = (self.files.load(name, kind) for name, kind in ID_FILES.items())
        return text, offsets

    @gated
    def shard(self, number: int) -> Shard:
        """Open shard `number`; its values are checked only the first time, since counting in runs opens it once per run."""
        if not 0 <= number < self.shards:
            raise UsageError(f"number is {number}; it must be from 0 to {self.shards - 1}")
        if not self._checked and self.files.bound is None:
            self._check_digest()
        if number in self._checked:
            return open_shard(self.files, number)
        shard = load_shard(self.files, number, self.manifest["shards"][number], self.manifest["vocabulary"]["words"])
        self._checked.add(number)
        return shard

    def _check_digest(self) -> None:
        """Compare all shards of a corpus of version 1, whose manifest does not bind them, with its digest."""
        found, begin, words = CorpusDigest(), 0, self.manifest["vocabulary"]["words"]
        for number, sizes in enumerate(self.manifest["shards"]):
            shard = load_shard(self.files, number, sizes, words)
            found.add_ids(shard.ids)
            for at in range(1, len(shard.offsets), PIECE):
                found.add_ends(shard.offsets[at : at + PIECE] + begin)
            begin += sizes[0]
        if found.of(self.manifest["vocabulary"]["digest"], self.tokens, self.documents) != self.digest:
            raise FormatError(f"{self.path}: its shards are not those that its manifest names; build it again")
        self._checked.update(range(self.shards))

    def info(self) -> dict[str, Any]:
        """Return everything recorded but the checksums of the files."""
        return {key: value for key, value in self.manifest.items() if key != "files"}
