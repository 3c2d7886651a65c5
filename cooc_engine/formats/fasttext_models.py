"""Conversion of fastText's files to models, and of models to fastText's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.formats.fasttext import LOSSES, MODELS, Arguments, FastTextFile, read_fasttext, write_fasttext
from cooc_engine.formats.incoming import CHUNK, Faults, Incoming
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.models.file import ModelData, ModelFile
from cooc_engine.models.published import ListedRows, Published, Recipe
from cooc_engine.models.subwords import SubwordRows, Subwords
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.scratch import on_disk

__all__ = ["file_of", "model_data", "read_word_vectors", "word_vectors", "write_word_vectors"]

APART = "words and n-grams are not quantised together, as fastText's files would have them"
NO_LOSS = 3  # softmax, for which the program prepares nothing when it reads a file
WORDS_ALONE = Arguments(
    dim=1, ws=5, epoch=5, min_count=1, neg=5, word_ngrams=1, loss=NO_LOSS, model=2, bucket=0, minn=0, maxn=0,
    lr_update_rate=100, t=1e-4,
)  # fmt: skip
# The names that our options give to the program's arguments; buckets are recorded only where there are n-grams.
NAMES = {
    "ws": "window", "epoch": "epochs", "min_count": "min_count", "neg": "negative", "word_ngrams": "word_ngrams",
    "minn": "min_n", "maxn": "max_n", "lr_update_rate": "lr_update_rate", "t": "subsample",
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- reading


def word_vectors(whole: FastTextFile) -> Published:
    """Return the vectors of words, (W, d), computed as they are read: the mean of each word's own row and its n-grams' rows."""
    own, ngrams = _parts(whole)
    return Published({"own": own, "ngrams": ngrams}, Recipe(("own",), listed="ngrams"), lists=_lists(whole))


def _parts(whole: FastTextFile) -> tuple[Any, Any]:
    """Return the rows of words, and those of n-grams."""
    words = len(whole.words)
    return whole.inputs.of(slice(0, words)), whole.inputs.of(slice(words, len(whole.inputs)))


def _lists(whole: FastTextFile) -> ListedRows:
    found = whole.arguments
    if not found.maxn:
        return ListedRows(np.zeros(len(whole.words) + 1, np.int64), np.empty(0, np.int64))
    return SubwordRows(_subwords(found), None, whole.kept).lists(whole.words)


def _subwords(found: Arguments) -> Subwords:
    return Subwords(found.minn, found.maxn, found.bucket)


def read_word_vectors(path: Path, faults: Faults, incoming: Incoming) -> None:
    """Read the words of a `.bin` or `.ftz` file with their vectors, and its n-grams."""
    whole = read_fasttext(path, faults)
    counts = whole.words.counts.tolist()
    for first, last, block in _blocks(word_vectors(whole)):
        words = [whole.words.word(row).encode() for row in range(first, last)]
        incoming.add(words, block, range(first + 1, last + 1), counts[first:last])
    if whole.arguments.maxn:
        incoming.subwords = SubwordRows(_subwords(whole.arguments), _parts(whole)[1], whole.kept)


def _blocks(rows: Any) -> Iterator[tuple[int, int, Matrix]]:
    """Yield the rows of a matrix in blocks, each with its first row and the row after its last."""
    step = max(1, CHUNK // (4 * rows.shape[1]))
    for first in range(0, len(rows), step):
        block = rows[first : first + step]
        yield first, first + len(block), block


def model_data(whole: FastTextFile, directory: Path, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> ModelData:
    """Return a file's content as a model of family `fasttext`, or `supervised` if it is a classifier.

    directory  where matrices are spooled in unnamed files
    config     the configuration of the import, to which the options of the file's training are added
    """
    config = {**config, "import": {**config["import"], **_options(whole.arguments), "tokens": whole.tokens}}
    named = _named_classifier(whole) if whole.supervised else _named_vectors(whole)
    codes = {name: matrix for name, matrix in named.items() if isinstance(matrix, Quantised)}
    arrays = {name: _checked(matrix, directory) for name, matrix in named.items() if name not in codes}
    if not whole.supervised:
        return ModelData("fasttext", whole.words, arrays, "w", config, provenance, codes=codes)
    config["train"] = _classifier_options(whole.arguments).record()
    kind = MODELS[whole.arguments.model]
    return ModelData(
        kind, whole.words, arrays, "w", config, provenance, codes=codes, labels=whole.labels, kept=whole.kept
    )  # fmt: skip


def _named_vectors(whole: FastTextFile) -> dict[str, Any]:
    own, ngrams = _parts(whole)
    hierarchical = LOSSES[whole.arguments.loss] == "hs"
    outputs = {"nodes": whole.outputs.of(slice(0, len(whole.words) - 1))} if hierarchical else {"contexts": whole.outputs}
    return {"own": own, **({"subwords": ngrams} if len(ngrams) else {}), **outputs, "words": word_vectors(whole)}


def _named_classifier(whole: FastTextFile) -> dict[str, Any]:
    own, ngrams = _parts(whole)
    some = _classifier_options(whole.arguments).ngram_rows or whole.kept is not None
    return {"words": own, **({"ngrams": ngrams} if some else {}), "labels": whole.outputs}


def _classifier_options(found: Arguments) -> SupervisedOptions:
    """Return the options of a classifier, as far as a file holds them."""
    told: dict[str, Any] = {"negative": max(1, found.neg)} if LOSSES[found.loss] == "ns" else {}
    told |= {"buckets": found.bucket} if found.bucket else {}
    shortest, longest = (found.minn, found.maxn) if found.minn <= found.maxn else (0, 0)  # none is so short and so long
    told |= {"vector_size": found.dim, "loss": LOSSES[found.loss], "min_n": shortest, "max_n": longest}
    least = {"min_count": found.min_count, "word_ngrams": found.word_ngrams, "epochs": found.epoch}
    told |= {name: max(1, value) for name, value in least.items()}
    return SupervisedOptions(**told)


def _options(found: Arguments) -> dict[str, Any]:
    """Return the options of the training by the names that our families give them."""
    values = found._asdict()
    options = {ours: values[theirs] for theirs, ours in NAMES.items()}
    return {**options, "buckets": found.bucket, "loss": LOSSES[found.loss], "architecture": MODELS[found.model]}


def _checked(rows: Any, directory: Path) -> Matrix:
    """Copy a matrix to an unnamed file, which tests all its rows to be finite, and return it mapped."""
    found = on_disk(directory)(rows.shape[0] * rows.shape[1], np.float32).reshape(rows.shape)
    for first, last, block in _blocks(rows):
        found[first:last] = block
    return found


# ---------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class _Stacked:
    """Matrices stacked on top of each other, followed by `zeros` rows of zeros; they are read in slices."""

    parts: Sequence[Any]
    zeros: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return sum(len(part) for part in self.parts) + self.zeros, self.parts[0].shape[1]

    def __getitem__(self, rows: slice) -> Matrix:
        """Return the rows of a slice."""
        start, stop, _ = rows.indices(self.shape[0])
        found, begin = [], 0
        for part in self.parts:
            found.append(part[max(start - begin, 0) : max(stop - begin, 0)])
            begin += len(part)
        return np.concatenate([*found, np.zeros((max(0, stop - max(start, begin)), self.shape[1]), np.float32)])


def write_word_vectors(file: BinaryIO, outgoing: Outgoing) -> None:
    """Write vectors of words as a `.bin` file without n-grams, whose output vectors are 0."""
    size, width = outgoing.shape
    whole = _whole(
        WORDS_ALONE._replace(dim=width), outgoing.vocabulary, outgoing.rows, _Stacked([outgoing.rows[:0]], zeros=size)
    )
    write_fasttext(file, whole)


def file_of(model: ModelFile) -> FastTextFile:
    """Return a model with n-grams, or a classifier, as the content of a fastText file.

    Raises `UsageError` for n-grams of floret, and if words and n-grams are not quantised together, with the same centroids.
    """
    if model.labels is None and "own" not in model.names:
        raise UsageError(f"{model.path}: {_why_not(model)}, or words alone with --format=word2vec-bin or fasttext-vec")
    options = {**model.config.get("train", {}), **model.config.get("import", {})}  # an import records all options of its file
    names = ("words", "ngrams") if model.labels is not None else ("own", "subwords")
    inputs = [model.reader(name) for name in names if name in model.names]
    told = {theirs: options[ours] for theirs, ours in NAMES.items() if ours in options}
    loss = _number(LOSSES, options.get("loss"), NO_LOSS)
    kind = _number(MODELS, options.get("architecture", model.family), WORDS_ALONE.model)
    arguments = WORDS_ALONE._replace(**told, dim=inputs[0].shape[1], loss=loss, model=kind)
    if len(inputs) > 1:
        arguments = arguments._replace(bucket=options.get("buckets", len(inputs[1])))
    elif model.labels is None:
        arguments = arguments._replace(minn=0, maxn=0)
    whole = _whole(arguments, model.vocabulary, _joined(inputs, model.path), _outputs(model, *inputs[0].shape))
    labels = model.labels or whole.labels
    tokens = options.get("tokens", whole.tokens + int(labels.counts.sum()))
    return replace(whole, labels=labels, tokens=tokens, kept=model.kept)


def _why_not(model: ModelFile) -> str:
    """Return why fastText's files cannot hold a model with n-grams, and what to export."""
    if model.subwords is not None and model.subwords.subwords.hashes:
        return "hashes words and n-grams as floret does, and fastText does not; export its table, FILE.floret"
    return f"{APART}; export the model from which it was made"


def _number(names: Mapping[int, str], name: str | None, otherwise: int) -> int:
    return next((number for number, known in names.items() if known == name), otherwise)


def _outputs(model: ModelFile, words: int, width: int) -> Any:
    if "nodes" in model.names:
        return _Stacked([model.reader("nodes")], 1)
    name = "labels" if model.labels is not None else "contexts"
    return model.reader(name) if name in model.names else _Stacked([np.empty((0, width), np.float32)], words)


def _joined(parts: Sequence[Any], path: Path) -> Any:
    """Return the rows of words, and then those of n-grams, still as codes if they are."""
    if not any(isinstance(part, Quantised) for part in parts):
        return _Stacked(parts)
    first, *others = parts
    if not all(isinstance(part, Quantised) and first.like(part) for part in parts):
        raise UsageError(f"{path}: {APART}")
    return first.stacked(others)


def _whole(arguments: Arguments, words: Vocabulary, inputs: Any, outputs: Any) -> FastTextFile:
    no_labels = Vocabulary.from_words([], [])
    return FastTextFile(arguments, words, no_labels, int(words.counts.sum()), None, inputs, outputs)
