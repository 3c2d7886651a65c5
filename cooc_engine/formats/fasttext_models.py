"""fastText's files as models of ours, and models as its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.formats.fasttext import LOSSES, MODELS, Arguments, FastTextFile, read_fasttext, write_fasttext
from cooc_engine.formats.incoming import CHUNK, Faults, Incoming
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.linalg.quantisation import Quantised
from cooc_engine.models.file import Model, ModelData
from cooc_engine.models.published import ListedRows, Published, Recipe
from cooc_engine.models.subwords import Subwords
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.scratch import on_disk

__all__ = ["file_of", "is_whole", "model_data", "read_word_vectors", "word_vectors", "write_word_vectors"]

NO_LOSS = 3  # softmax, of which the program prepares nothing when it reads a file
WORDS_ALONE = Arguments(
    dim=1, ws=5, epoch=5, min_count=1, neg=5, word_ngrams=1, loss=NO_LOSS, model=2, bucket=0, minn=0, maxn=0,
    lr_update_rate=100, t=1e-4,
)  # fmt: skip
# The names of the program's arguments in the options of our families; buckets are only told where there are n-grams.
NAMES = {
    "ws": "window", "epoch": "epochs", "min_count": "min_count", "neg": "negative", "word_ngrams": "word_ngrams",
    "minn": "min_n", "maxn": "max_n", "t": "subsample",
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- reading


def word_vectors(whole: FastTextFile) -> Published:
    """Return the vectors of words, (W, d), computed when they are read: means of each word's own row and its n-grams' rows."""
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
    lists = Subwords(found.minn, found.maxn, found.bucket).rows(whole.words)
    return lists if whole.kept is None else lists.among(whole.kept)


def read_word_vectors(path: Path, faults: Faults, incoming: Incoming) -> None:
    """Read the words of a `.bin` or `.ftz` file with their vectors."""
    whole = read_fasttext(path, faults)
    counts = whole.words.counts.tolist()
    for first, last, block in _blocks(word_vectors(whole)):
        words = [whole.words.word(row).encode() for row in range(first, last)]
        incoming.add(words, block, range(first + 1, last + 1), counts[first:last])


def _blocks(rows: Any) -> Iterator[tuple[int, int, Matrix]]:
    """Yield the rows of a matrix in blocks, each with its first row and the row after its last."""
    step = max(1, CHUNK // (4 * rows.shape[1]))
    for first in range(0, len(rows), step):
        block = rows[first : first + step]
        yield first, first + len(block), block


def model_data(whole: FastTextFile, directory: Path, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> ModelData:
    """Return a file's content as a model of the family of its own: word vectors with n-grams, or a classifier.

    directory  where word vectors are spooled in an unnamed file
    config     how it was read, to which the options of its training are added
    """
    if whole.supervised:
        raise UsageError("is a classifier, of which only the words can be read; export them to another format first")
    options = _options(whole.arguments)
    own, ngrams = _parts(whole)
    named = {"own": own, **({"subwords": ngrams} if len(ngrams) else {})}
    hierarchical = LOSSES[whole.arguments.loss] == "hs"
    named |= {"nodes": whole.outputs.of(slice(0, len(whole.words) - 1))} if hierarchical else {"contexts": whole.outputs}
    codes = {name: matrix for name, matrix in named.items() if isinstance(matrix, Quantised)}
    arrays = {name: _checked(matrix, directory) for name, matrix in named.items() if name not in codes}
    arrays["words"] = _checked(word_vectors(whole), directory)
    both = {**config, "import": {**config["import"], **options}}
    return ModelData("fasttext", whole.words, arrays, "w", both, provenance, codes=codes)


def _options(found: Arguments) -> dict[str, Any]:
    """Return the options of the training, by the names that our families have."""
    values = found._asdict()
    options = {ours: values[theirs] for theirs, ours in NAMES.items()}
    return {**options, "buckets": found.bucket, "loss": LOSSES[found.loss], "architecture": MODELS[found.model]}


def _checked(rows: Any, directory: Path) -> Matrix:
    """Return a matrix in an unnamed file, all rows tested to be finite."""
    found = on_disk(directory)(rows.shape[0] * rows.shape[1], np.float32).reshape(rows.shape)
    for first, last, block in _blocks(rows):
        found[first:last] = block
    return found


# ---------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class _Stacked:
    """Matrices one upon another, of which slices are read; `zeros` more rows are 0."""

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


def is_whole(model: Model) -> bool:
    """Tell whether a model has what a file of fastText holds beside words: their own rows, or labels."""
    return "own" in model.names


def file_of(model: Model) -> FastTextFile:
    """Return a model with n-grams as fastText's file."""
    options = model.config.get("train") or model.config.get("import", {})
    inputs = [model.reader(name) for name in ("own", "subwords") if name in model.names]
    words, width = inputs[0].shape
    if "nodes" in model.names:
        outputs = _Stacked([model.reader("nodes")], 1)
    else:
        outputs = model.reader("contexts") if "contexts" in model.names else _Stacked([inputs[0][:0]], words)
    told = {theirs: options[ours] for theirs, ours in NAMES.items() if ours in options}
    loss = next(number for number, name in LOSSES.items() if name == options.get("loss", LOSSES[NO_LOSS]))
    kind = next(number for number, name in MODELS.items() if name == options.get("architecture", MODELS[WORDS_ALONE.model]))
    arguments = WORDS_ALONE._replace(**told, dim=width, loss=loss, model=kind)
    arguments = arguments._replace(bucket=len(inputs[1])) if inputs[1:] else arguments._replace(minn=0, maxn=0)
    return _whole(arguments, model.vocabulary, _Stacked(inputs), outputs)


def _whole(arguments: Arguments, words: Vocabulary, inputs: Any, outputs: Any) -> FastTextFile:
    no_labels = Vocabulary.from_words([], [])
    return FastTextFile(arguments, words, no_labels, int(words.counts.sum()), None, inputs, outputs)
