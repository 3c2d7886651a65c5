"""Small models: vectors as codes of a product quantiser, from which queries are answered (Jégou, Douze and Schmid 2011)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.formats.incoming import taken
from cooc_engine.formats.vectors import model_or_fasttext
from cooc_engine.linalg.quantisation import Quantised, quantise
from cooc_engine.models.file import ModelData, ModelFile, save_model
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.models.sparse_vectors import SPARSE, SparseVectors
from cooc_engine.models.subwords import LINE_END
from cooc_engine.models.supervised_options import AllWordsOptions, SupervisedOptions
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.progress import Progress, Shown, progress_of
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.runtime.versions import versions
from cooc_engine.sampled.lines import check_kept
from cooc_engine.storage.outputs import beside, directory_beside, disk_errors, refuse_file
from cooc_engine.text.tokenizers import CUT, Splitting
from cooc_engine.vectors.search import BLOCK, RowReader, cosines

if TYPE_CHECKING:
    from cooc_engine.sampled.supervised import Pruned

__all__ = ["Small", "quantize"]


@dataclass(frozen=True)
class Small:
    """A quantised model: its file and number of words, bytes before and after, and mean and largest 1 - cos of the vectors."""

    path: Path
    words: int
    bytes_before: int
    bytes_after: int
    mean_error: float
    largest_error: float

    def record(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        sizes = {"words": self.words, "bytes_before": self.bytes_before, "bytes_after": self.bytes_after}
        errors = {"mean_cosine_error": self.mean_error, "largest_cosine_error": self.largest_error}
        return {"output": str(self.path), **sizes, **errors}


@gated
def quantize(
    model: PathLike,
    output: PathLike,
    options: QuantizeOptions | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
    progress: Shown = None,
) -> Small:
    """Write a model that stores vectors as codes, of one byte for each `dsub` components, and answers queries from these.

    >>> quantize("model.h5", "small.h5", threads=1).largest_error < 0.01
    True

    The word vectors that queries use and the rows of subwords are kept; context vectors and biases, which queries do not
    use, are left out. For a classifier, one quantiser encodes the rows of words and of word n-grams, as in a `.ftz`
    (Joulin et al. 2016); `cutoff` keeps only some of them, and `retrain` trains these again. Cosine errors are those of
    the rows of words that are kept.

    The model may be a `.bin` file of fastText, too.

    Raises `UsageError` for explicit vectors, and for a model that is already quantised.
    """
    output, options, older = path_of(output), defaulted("quantize", QuantizeOptions, options), model_or_fasttext(path_of(model))
    refuse_file(output, force=force)
    if older.codes:
        raise UsageError(f"{older.path}: is already quantised; name the model from which it was made")
    how = _How(options, usable_threads(threads), progress_of(progress), output)
    config = {**older.config, "quantize": options.record()}
    provenance = {**older.provenance, "quantized": {"model": str(model), **versions()}}
    with disk_errors(output):
        rows, small = _small_classifier(older, older.labels, how) if older.labels is not None else _small_vectors(older, how)
        save_model(
            output, replace(small, config=config, provenance=provenance, published="w", evaluation=(), axes={}), force=force
        )
    errors = _errors(rows, small.codes["words"])
    before, after = (path.stat().st_size for path in (older.path, output))
    mean = float(errors.mean()) if len(errors) else 0.0
    return Small(output, len(small.vocabulary), before, after, mean, float(errors.max(initial=0)))


class _How(NamedTuple):
    """The settings of a quantisation: the options, threads, progress, and the output, beside which temporary files go."""

    options: QuantizeOptions
    threads: int
    progress: Progress
    output: Path

    def codes(self, rows: Any, dsub: int | None = None) -> Quantised:
        """Return a matrix as codes."""
        options = self.options
        return quantise(rows, dsub or options.dsub, norms=options.qnorm, seed=options.seed, threads=self.threads)


def _small_vectors(older: ModelFile, how: _How) -> tuple[RowReader, ModelData]:
    """Return the published vectors of words, and the model in which they are codes."""
    if how.options.cutoff or how.options.qout:
        raise UsageError(f"{older.path}: --cutoff and --qout are for classifiers; leave them out")
    rows = _rows(older)
    matrices = {"words": rows} | ({} if older.subwords is None else {"subwords": older.subwords.matrix})
    if older.column_names is not None:  # whose vectors are no contexts of words, but answers of their own
        matrices["contexts"] = older.reader("contexts")
    codes = {name: how.codes(matrix) for name, matrix in matrices.items()}
    return rows, replace(older.data(), arrays={}, codes=codes, document_ids=None)


def _small_classifier(older: ModelFile, labels: Vocabulary, how: _How) -> tuple[RowReader, ModelData]:
    """Return the rows of words, and the classifier in which they and those of n-grams are codes of one quantiser."""
    arrays = {name: older.array(name) for name in older.names}
    pruned = _pruned(older, labels, arrays, how.options.cutoff)
    if how.options.retrain is not None:
        pruned = pruned._replace(arrays=_retrained(older, pruned, how, how.options.retrain))
    arrays, size = dict(pruned.arrays), len(pruned.words)
    names = [name for name in ("words", "ngrams") if name in arrays]
    both = how.codes(np.concatenate([arrays[name] for name in names]))
    codes = {"words": both.of(slice(0, size)), "ngrams": both.of(slice(size, len(both)))}
    codes = {name: codes[name] for name in names}
    if how.options.qout:
        codes["labels"] = how.codes(arrays["labels"], 2)
    plain = {name: values for name, values in arrays.items() if name not in codes}
    return arrays["words"], replace(older.data(), vocabulary=pruned.words, arrays=plain, codes=codes, kept=pruned.kept)


def _pruned(older: ModelFile, labels: Vocabulary, arrays: dict[str, Matrix], cutoff: int) -> Pruned:
    """Return a classifier with only the longest rows of words and n-grams, and that of the line end."""
    from cooc_engine.sampled.supervised import Pruned  # with kernels that other models do not need

    words, options = older.vocabulary, older.trained_with(SupervisedOptions)
    inputs = [arrays[name] for name in ("words", "ngrams") if name in arrays]
    if not 0 < cutoff < sum(map(len, inputs)):
        return Pruned(words, labels, None, arrays, options.label)
    order = np.concatenate([np.einsum("ij,ij->i", matrix, matrix) for matrix in inputs])
    np.negative(order, out=order)  # the longest rows first
    if (end := words.find(LINE_END)) >= 0:
        order[end] = -np.inf
    rows = np.sort(np.argpartition(order, cutoff)[:cutoff])
    own, kept = rows[rows < len(words)], rows[rows >= len(words)] - len(words)
    if inputs[1:]:
        check_kept(older.path, kept, options.buckets)
    chosen = {**arrays, "words": arrays["words"][own]} | ({"ngrams": arrays["ngrams"][kept]} if inputs[1:] else {})
    for name in chosen.keys() & {"words", "ngrams"}:
        older.reader(name).release()  # the whole rows are not needed again
    return Pruned(taken(words, own), labels, kept if inputs[1:] else None, chosen, options.label)


def _retrained(older: ModelFile, pruned: Pruned, how: _How, source: str) -> dict[str, Matrix]:
    """Train again what was kept, on a corpus or on a text, which is encoded in a directory beside the output."""
    from cooc_engine.sampled.supervised import retrained

    options = older.trained_with(SupervisedOptions)
    options = replace(options, epochs=how.options.epochs, lr=how.options.lr, seed=how.options.seed)
    with directory_beside(at := beside(how.output, ".retrain")):
        corpus = Corpus(source) if path_of(source).is_dir() else _encoded(source, older, how, at)
        with how.progress.stage("retrain", options.epochs * corpus.tokens, "words") as stage:
            return retrained(corpus, options, pruned, how.threads, stage, older.path)


def _encoded(source: str, older: ModelFile, how: _How, directory: Path) -> Corpus:
    splitting = Splitting(older.config.get("encode", {}), older.path)
    if splitting.is_code:
        raise UsageError(
            f"{older.path}: splits text by Python code of its own; encode {source} yourself and retrain on the corpus"
        )
    splitting.check()
    names = (*CUT, "document", "encoding", "errors")
    options = AllWordsOptions(**{name: splitting.options[name] for name in names if name in splitting.options})
    return encode(source, directory / "corpus", options, threads=how.threads, progress=how.progress)


def _rows(model: ModelFile) -> RowReader:
    """Return the published vectors, whose rows are read a part at a time."""
    rows = model.rows()
    if isinstance(rows, SparseVectors):
        raise UsageError(f"{model.path}: {SPARSE}")
    return rows


def _errors(rows: RowReader, found: Quantised) -> Any:
    """Return 1 - cos between each vector that is not 0 and what its codes give."""
    parts = []
    for start in range(0, len(found), BLOCK):
        block = rows[start : start + BLOCK]
        parts.append((1 - cosines(block, found[start : start + BLOCK]))[block.any(1)])
    return np.concatenate([np.empty(0), *parts])
