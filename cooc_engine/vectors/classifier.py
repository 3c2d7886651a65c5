"""A trained classifier of lines: its labels for texts and files, and how often they are right, as in fastText's program.

Each line of a text gets an answer, even an empty one, and the last whether or not it has a line end: a line always ends with
the word `</s>`. So answers are the same from Python and the command line.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import predict
from cooc_engine._kernels.predict import UNTESTED, Found, Predicting, Tree
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.formats.vectors import model_or_fasttext
from cooc_engine.models.file import ModelFile
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.threads import in_order
from cooc_engine.runtime.types import Counts, Matrix, PathLike
from cooc_engine.sampled.lines import CLAMP, OUTPUTS, check_kept
from cooc_engine.text.readers import LONGEST_LINE, Piece, bad_byte, file_pieces
from cooc_engine.text.reading import Errors, Reading
from cooc_engine.text.tokenizer_worker import LINES
from cooc_engine.text.tokenizers import Splitting, is_plain, lines_of
from cooc_engine.vectors.line_reader import Dictionary, LineReader, Words

if TYPE_CHECKING:
    from typing_extensions import Self

    from cooc_engine.corpus.vocabulary import Vocabulary

__all__ = ["UNTESTED", "Answers", "Classifier", "Scores"]

ANSWERS = 1 << 22  # labels of the lines that are answered at a time


@dataclass(frozen=True)
class Scores:
    """Scores of predicted labels, over the lines that have both labels and words.

    lines      number N of these lines
    gold       (L,) how often each label occurs in them
    predicted  (L,) how often it was predicted
    hits       (L,) how often it was predicted for a line that has it
    """

    labels: Sequence[str]
    lines: int
    gold: Counts
    predicted: Counts
    hits: Counts

    @property
    def precision(self) -> float:
        """The share of all predicted labels that were right; NaN if none was predicted."""
        return _share(self.hits.sum(), self.predicted.sum())

    @property
    def recall(self) -> float:
        """The share of all true labels that were predicted."""
        return _share(self.hits.sum(), self.gold.sum())

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return _share(2 * self.hits.sum(), self.predicted.sum() + self.gold.sum())

    def record(self) -> dict[str, float | None]:
        """Return the number of lines, precision, recall and F1, JSON-serialisable."""
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {"lines": self.lines, **{name: None if math.isnan(value) else value for name, value in shares.items()}}

    def of_labels(self) -> dict[str, dict[str, float]]:
        """Return precision, recall and their harmonic mean for each label, named as in the fasttext package."""
        numbers = zip(self.labels, self.gold.tolist(), self.predicted.tolist(), self.hits.tolist(), strict=True)
        return {
            label: {
                "precision": _share(hits, predicted),
                "recall": _share(hits, gold),
                "f1score": _share(2 * hits, predicted + gold),
            }
            for label, gold, predicted, hits in numbers
        }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


class Answers(NamedTuple):
    """Answers for n lines, the best labels first.

    numbers        (n,) number of labels predicted for each line
    labels         (n, k) these labels, as rows
    probabilities  (n, k) their probabilities
    right          (n,) 1 if the best label is one of the line's own and 0 if not, or `UNTESTED` if the line has no label or no
                   answer
    lines          number of the lines that have words and labels
    tally          (3, L) gold, predicted and hits of these lines, as in `Scores`
    """

    numbers: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    probabilities: Matrix
    right: npt.NDArray[np.int8]
    lines: int
    tally: Counts


class Classifier:
    """A trained classifier of lines: a model of family `supervised`, as `train` or an import of a fastText file makes it.

    >>> lines = ["__label__hot we drink hot tea", "__label__cold the river carries cold water"] * 20
    >>> text = encode_documents(lines, "lines", min_count=1)
    >>> model = train("supervised", text, "classifier.h5", vector_size=4, epochs=20, threads=1)
    >>> Classifier.open("classifier.h5").predict("hot tea")[0]
    ('__label__hot',)

    Probabilities are exp(log(p + 10⁻⁵)), as fastText's program prints them, so they may be a little above 1.
    """

    @gated
    def __init__(
        self, model: ModelFile, *, trust_tokenizer: bool = False, encoding: str | None = None, errors: Errors | None = None
    ) -> None:
        """Take an open model, and read texts as `open` says. Raises `UsageError` if it is not a classifier."""
        if model.labels is None:
            raise UsageError(f"{model.path}: is not a classifier, but a model of family {model.family}")
        if not len(model.labels):
            raise FormatError(f"{model.path}: is a classifier without labels; train again")
        self.options = model.trained_with(SupervisedOptions)
        self.labels: list[str] = model.labels.words
        check_kept(model.path, model.kept, self.options.buckets)
        self._dictionary = Dictionary(model, model.labels, self.options)
        splitting = Splitting(model.config.get("encode", {}), model.path, trust_tokenizer)
        splitting.check()
        self.reading = Reading.of(splitting.options, model.path).changed(encoding, errors)
        plain = is_plain(splitting.options)
        self._cut: Callable[[str], bytes] | None = None if plain else lines_of({**splitting.options, "here": False})
        self._rows, self._outputs = model.array("words"), model.array("labels")
        self._ngrams = model.array("ngrams") if "ngrams" in model.names else self._rows[:0]
        rows = len(model.kept) if model.kept is not None else self.options.ngram_rows
        if len(self._ngrams) != rows:
            raise FormatError(
                f"{model.path}: has {len(self._ngrams)} rows of n-grams, expected {rows} of {self.options.buckets}"
            )
        self._is_tree = self.options.loss == "hs"
        self._children = _tree(model.labels) if self._is_tree else np.empty((0, 2), np.int32)

    @classmethod
    @gated
    def open(
        cls, path: PathLike, *, trust_tokenizer: bool = False, encoding: str | None = None, errors: Errors | None = None
    ) -> Self:
        """Open a classifier, or a `.bin` or `.ftz` file of fastText that holds one, which is converted each time.

        encoding, errors   how the texts are read that it is asked about, as in `EncodeOptions`; by default as the text of its
                           training was

        Raises what `open_model` and `import_vectors` raise, and `UsageError` if it is another model.
        If the model names a Python function as tokenizer, that is code from a file: it raises `UsageError`, unless
        `trust_tokenizer`.
        """
        return cls(model_or_fasttext(path_of(path)), trust_tokenizer=trust_tokenizer, encoding=encoding, errors=errors)

    def get_labels(self) -> list[str]:
        """Return all labels, the most frequent first."""
        return self.labels

    @gated
    def predict(
        self, text: str | Sequence[str], k: int = 1, threshold: float = 0.0
    ) -> tuple[tuple[str, ...], Matrix] | tuple[list[tuple[str, ...]], list[Matrix]]:
        """Return up to k labels of a text and their probabilities, the best first; of several texts, a list of each.

        Labels of a probability below `threshold` are left out; k = −1 returns all others. Raises `InputError` for a text of
        several lines, and `UsageError` for a k that is neither −1 nor positive, and for a threshold that is not from 0 to 1.
        """
        pieces = self._pieces([text] if isinstance(text, str) else list(text))
        found = [pair for answers in self.answers(pieces, k, threshold, threads=1) for pair in self.named(answers)]
        if isinstance(text, str):
            return found[0]
        return [labels for labels, _ in found], [probabilities for _, probabilities in found]

    @gated
    def get_sentence_vector(self, text: str) -> Matrix:
        """Return the vector (d,) of a line, by which its labels are predicted, as fastText's program prints it.

        It is the mean of all input rows: those of known words, n-grams and the line end. Raises `InputError` as `predict` does.
        """
        (piece,) = self._pieces([text])
        words = LineReader(self._dictionary).read(self._words(piece))
        buffers = self._buffers(words, 1)
        self._predicted(words, 1, 0.0, buffers)
        hidden: Matrix = buffers.hidden
        return hidden

    def _pieces(self, texts: Sequence[str]) -> list[Piece]:
        """Return texts as a piece of one line each; raises `InputError` for a text of several lines."""
        for number, each in enumerate(texts):
            if "\n" in each:
                raise InputError(f"text {number} has a line end, but one line is predicted at a time; take it out")
        data = b"".join(self.reading.encoded(each) + b"\n" for each in texts)
        return [Piece(data, LINES, "text", 1, 0)] if data else []

    def named(self, answers: Answers) -> Iterator[tuple[tuple[str, ...], Matrix]]:
        """Yield the labels and their probabilities for each line."""
        for (labels, _), shares in zip(self.listed(answers), answers.probabilities, strict=True):
            yield tuple(labels), shares[: len(labels)]

    def listed(self, answers: Answers) -> Iterator[tuple[list[str], list[float]]]:
        """Yield the labels and their probabilities for each line, as lists."""
        names = self.labels
        for n, labels, shares in zip(
            answers.numbers.tolist(), answers.labels.tolist(), answers.probabilities.tolist(), strict=True
        ):
            yield [names[label] for label in labels[:n]], shares[:n]

    @gated
    def predict_file(self, path: PathLike, k: int = 1, threshold: float = 0.0, threads: int | None = None) -> Iterator[Answers]:
        """Yield answers for the documents of a file, compressed or not, in their order; documents are as in the training.

        Those of the standard input, `-`, are answered as they come, in one thread. Raises `InputError` as `encode` does, and
        `UsageError` as `predict` does.
        """
        path = path_of(path)
        if str(path) == "-":
            threads = 1  # with more, the answer to a line would wait for later lines
        pieces = file_pieces([path], LONGEST_LINE, reading=self.reading, at_once=True)
        return self.answers(pieces, k, threshold, threads)

    @gated
    def test(self, path: PathLike, k: int = 1, threshold: float = 0.0, threads: int | None = None) -> Scores:
        """Return the scores of up to k predicted labels for each line of a labelled file; raises as `predict_file` does."""
        lines, tally = 0, np.zeros((3, len(self.labels)), np.int64)
        for answers in self.predict_file(path, k, threshold, threads):
            lines += answers.lines
            tally += answers.tally
        return Scores(self.labels, lines, *tally)

    @gated
    def right(self, path: PathLike, threads: int | None = None) -> npt.NDArray[np.int8]:
        """Return for each line of a file whether its best label is one of its own: 1 or 0, or `UNTESTED` if it has none."""
        found = [answers.right for answers in self.predict_file(path, threads=threads)]
        return np.concatenate([np.empty(0, np.int8), *found])

    @gated
    def answers(
        self, pieces: Iterable[Piece], k: int = 1, threshold: float = 0.0, threads: int | None = None
    ) -> Iterator[Answers]:
        """Yield answers for pieces of whole lines, in their order.

        Raises `UsageError` for a k that is neither −1 nor positive, and for a threshold that is not from 0 to 1.
        """
        if k != -1 and k < 1:
            raise UsageError(f"k is {k}; it must be at least 1, or -1 for all labels")
        if not 0 <= threshold <= 1:  # NaN is not
            raise UsageError(f"threshold is {threshold:g}; it must be from 0 to 1")
        most = len(self.labels) if k == -1 else min(k, len(self.labels))
        threads = usable_threads(threads)  # each has a copy of the words
        words = (self._words(part) for piece in pieces for part in _parts(piece, max(1, ANSWERS // most)))
        free = deque(LineReader(self._dictionary) for _ in range(threads))

        def work(piece: Piece) -> Answers:
            reader = free.pop()
            try:
                return self._answer(reader, piece, most, threshold)
            finally:
                free.append(reader)

        if threads == 1:
            yield from map(work, words)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from in_order(pool, work, words, threads + 2)

    def _words(self, piece: Piece) -> Piece:
        """Return a piece as words between spaces, cut by the model's tokenizer."""
        if self._cut is None:
            return piece
        try:
            texts = piece.text.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise bad_byte(piece.source, piece.text[error.start], piece.offset + error.start, self.reading.advice) from None
        return replace(piece, text=b"".join(self._cut(text) + b"\n" for text in texts))

    def _answer(self, reader: LineReader, piece: Piece, k: int, threshold: float) -> Answers:
        words = reader.read(piece)
        return self._predicted(words, k, threshold, self._buffers(words, k))

    def _buffers(self, words: Words, k: int) -> Predicting:
        """Return buffers for predicting k labels of lines; the hidden row of a line without words stays 0."""
        hidden, shares = np.zeros(self._rows.shape[1], np.float32), np.empty(len(self.labels), np.float32)
        return Predicting(words.line(), hidden, shares, np.empty(k + 1, np.float32), np.empty(k + 1, np.int32))

    def _predicted(self, words: Words, k: int, threshold: float, buffers: Predicting) -> Answers:
        count, labels = len(words.ends), len(self.labels)
        best = np.zeros((count, k), np.int32), np.zeros((count, k), np.float32)
        found = Found(np.zeros(count, np.int32), *best, np.empty(count, np.int8))
        depth = labels + 1 if self._is_tree else 0
        tree = Tree(self._children, np.empty(depth, np.int32), np.empty(depth, np.float32))
        tally = np.zeros((3, labels), np.int64)
        lines = predict.predict_lines(
            words.ids, words.ends, OUTPUTS[self.options.loss], CLAMP, words.lines, tree, self._rows, self._ngrams,
            self._outputs, k, np.float32(threshold), buffers, found, tally,
        )  # fmt: skip
        return Answers(found.numbers, found.labels, np.exp(found.scores), found.right, lines, tally)


def _tree(labels: Vocabulary) -> npt.NDArray[np.int32]:
    from cooc_engine.sampled.sampler import children_of  # with kernels that other classifiers do not need

    return children_of(labels.counts)


def _parts(piece: Piece, most: int) -> Iterator[Piece]:
    """Yield the lines of a piece, at most `most` at a time."""
    if len(piece.text) < most or piece.text.count(b"\n") < most:
        yield piece
        return
    lines, offset = re.findall(rb"[^\n]*\n|[^\n]+", piece.text), piece.offset
    for first in range(0, len(lines), most):
        text = b"".join(lines[first : first + most])
        yield replace(piece, text=text, number=piece.number + first, offset=offset)
        offset += len(text)
