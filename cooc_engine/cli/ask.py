"""The verbs that ask vectors; with - for what is asked, each line of the standard input gets a line, or a block, of its own."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cooc_engine.cli.console import note, print_json, print_lines
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import GivenWords, HowMany, JsonLines, LookedUp, ModelFile, Texts, Topn, VectorsFile, Words
from cooc_engine.errors import CoocError, InputError, UnknownWordError, UsageError

if TYPE_CHECKING:
    from cooc_engine.vectors.query import Answers, Vectors

__all__ = [
    "analogies", "doesnt_match", "keywords", "n_similarity", "nn", "norms", "related",
    "sentence_similarity", "sentence_vector", "similar", "similarity", "vector",
]  # fmt: skip

Measure = Literal["dot", "cosine"]
Record = dict[str, Any]  # what a question is answered with, as --json prints it


def _answer(
    model: Path,
    asked: Iterable[Any],
    ask: Callable[[Vectors, Any], Record],
    show: Callable[[Record], Iterable[str]],
    json: bool,
    approximate: bool = False,
) -> None:
    """Answer all questions of the command line together, or each line of a stream as it comes, though others fail."""
    from cooc_engine.vectors.query import Vectors

    vectors = _indexed(model) if approximate else Vectors.open(model)
    with _notes() as say:
        if isinstance(asked, _Stream):
            _answer_stream(asked, lambda question: say(ask, vectors, question), show, json)
            return
        try:
            records = [say(ask, vectors, question) for question in asked]
        except UnknownWordError as error:
            raise UnknownWordError(f"{model}: {error}") from None
    whole = {key: value for record in records for key, value in record.items()}
    print_json(whole) if json else print_lines(show(whole))


def _indexed(model: Path) -> Vectors:
    from cooc_engine.vectors.near_index import IndexedVectors

    return IndexedVectors.open(model)


def _answer_stream(
    asked: Iterable[Any], ask: Callable[[Any], Record], show: Callable[[Record], Iterable[str]], json: bool
) -> None:
    failed = lines = 0
    for question in asked:
        lines += 1
        try:
            record = ask(question)
        except CoocError as error:
            failed, record = failed + 1, {"error": str(error)}
        texts = [f"error: {record['error']}"] if set(record) == {"error"} else show(record)
        print_json(record, flush=True) if json else print_lines(texts, flush=True)
    if failed:
        raise InputError(f"{failed} of {lines} lines could not be answered; they say why")


@contextmanager
def _notes() -> Iterator[Callable[..., Record]]:
    """Yield what calls a function; what the library warns of becomes a note, once."""
    said: set[str] = set()

    def say(ask: Callable[..., Record], *arguments: Any) -> Record:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            record = ask(*arguments)
        for text in {str(warning.message) for warning in caught} - said:
            said.add(text)
            note(text)
        return record

    yield say


class _Stream:
    """The lines of the standard input as questions, each cut into what a question needs."""

    def __init__(self, cut: Callable[[str], Any]) -> None:
        self._cut = cut

    def __iter__(self) -> Iterator[Any]:
        if sys.stdin is None:
            raise InputError("-: the standard input is closed")
        for line in sys.stdin.buffer:
            yield self._cut(line.decode(errors="replace").rstrip("\r\n"))


def _each(arguments: list[str]) -> Iterable[str]:
    """Return each argument as a question, or each line for a lone -."""
    return _Stream(str.strip) if _is_stream(arguments) else arguments


def _of_words(ask: Callable[[Vectors, str], Record]) -> Callable[[Vectors, str], Record]:
    """Return what asks for each word of a line, or for the line if it is a word with spaces in it."""

    def ask_line(vectors: Vectors, line: str) -> Record:
        words = [line] if line in vectors else line.split() or [line]
        return {key: value for word in words for key, value in ask(vectors, word).items()}

    return ask_line


def _together(arguments: list[str], cut: Callable[[str], Any], join: Callable[[list[str]], Any] = list) -> Iterable[Any]:
    """Return all arguments as one question, or each line, cut, for a lone -."""
    return _Stream(cut) if _is_stream(arguments) else [join(arguments)]


def _is_stream(arguments: list[str]) -> bool:
    if any(given(argument) == "-" for argument in arguments):
        if len(arguments) > 1:
            raise UsageError("- stands for all that is asked; give it alone")
        return True
    return False


def _columns(line: str) -> list[str]:
    return line.split("\t")


def _expect(parts: list[str], count: int, what: str) -> list[str]:
    if len(parts) != count or not all(parts):
        raise InputError(f"expected {what}, found {len([part for part in parts if part])}")
    return parts


def _check(**options: int) -> None:
    """Raise `UsageError` for an option below 1, before any line is read."""
    for name, value in options.items():
        if value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")


def _block(record: Record) -> Iterator[str]:
    """Yield a word, and its answers below it."""
    for word, answers in record.items():
        yield word
        yield from _ranked(answers)


def _ranked(answers: Answers) -> Iterator[str]:
    return (f"  {value:.4f}  {word}" for word, value in answers)


def _value(record: Record) -> Iterator[str]:
    return (f"{value:.6f}" if isinstance(value, float) else str(value) for value in record.values())


# ------------------------------------------------------------------------------------------------------------- words


def nn(
    model: VectorsFile,
    words: LookedUp,
    /,
    *,
    topn: Annotated[Topn, Parameter(help="How many neighbours.")] = 10,
    approximate: Annotated[
        bool, Parameter(help="Look for them in the index that the verb index made: for millions of words.")
    ] = False,
    json: JsonLines = False,
) -> None:
    """Print the words nearest to each WORD by cosine; for - of each line of stdin."""
    _check(topn=topn)
    ask = _of_words(lambda vectors, word: vectors.neighbours([word], topn))
    _answer(model, _each(words), ask, _block, json, approximate)


def related(
    model: ModelFile,
    words: LookedUp,
    /,
    *,
    topn: HowMany = 10,
    normalize: Annotated[bool, Parameter(help="Scale all vectors to length 1 first.")] = False,
    json: JsonLines = False,
) -> None:
    """Print the words of the largest inner product with each WORD: their PMI, in models of PMI; for - lines of stdin."""
    _check(topn=topn)
    ask = _of_words(lambda vectors, word: {word: vectors.related(word, topn, normalize)})
    _answer(model, _each(words), ask, _block, json)


def similar(
    model: ModelFile,
    words: LookedUp,
    /,
    *,
    topn: HowMany = 10,
    context_words: Annotated[
        int, Parameter(help="With how many of the most frequent words; 500 finds the same grammar, 10000 the same topic.")
    ] = 10_000,
    json: JsonLines = False,
) -> None:
    """Print the words whose PMI with frequent words correlates most with that of each WORD; for - lines of stdin."""
    _check(topn=topn, context_words=context_words)
    ask = _of_words(lambda vectors, word: {word: vectors.similar(word, topn, context_words)})
    _answer(model, _each(words), ask, _block, json)


def analogies(
    model: ModelFile,
    words: Annotated[Words, Parameter(help="A, B and C.")],
    /,
    *,
    topn: HowMany = 10,
    method: Annotated[Literal["add", "mul"], Parameter(help="3CosAdd, b - a + c, or 3CosMul, b * c / a.")] = "add",
    json: JsonLines = False,
) -> None:
    """Print what is to C as B is to A, for WORDs A B C; for - lines of three words."""

    _check(topn=topn)

    def ask(vectors: Vectors, asked: list[str]) -> Record:
        a, b, c = _expect(asked, 3, "three words")
        most_similar = vectors.most_similar if method == "add" else vectors.most_similar_cosmul
        return {" ".join(asked): most_similar(positive=[b, c], negative=[a], topn=topn)}

    _answer(model, _together(words, str.split), ask, _block, json)


def similarity(
    model: ModelFile, words: Annotated[Words, Parameter(help="The two words.")], /, *, json: JsonLines = False
) -> None:
    """Print the cosine of two WORDs; for - lines of two words."""

    def ask(vectors: Vectors, asked: list[str]) -> Record:
        return {"similarity": vectors.similarity(*_expect(asked, 2, "two words"))}

    _answer(model, _together(words, str.split), ask, _value, json)


def n_similarity(
    model: ModelFile,
    texts: Annotated[Texts, Parameter(help="The two lists, white space between their words.")],
    /,
    *,
    json: JsonLines = False,
) -> None:
    """Print the cosine of the mean vectors of two lists of words, each in quotes; for - lines with a tab between."""

    def ask(vectors: Vectors, asked: list[str]) -> Record:
        first, second = _expect(asked, 2, "two lists of words")
        return {"similarity": vectors.n_similarity(first.split(), second.split())}

    _answer(model, _together(texts, _columns), ask, _value, json)


def doesnt_match(model: ModelFile, words: GivenWords, /, *, json: JsonLines = False) -> None:
    """Print the WORD that is farthest from the mean of all; for - lines of words."""
    _answer(
        model, _together(words, str.split), lambda vectors, asked: {"word": vectors.doesnt_match(asked)}, _value, json
    )  # fmt: skip


def vector(
    model: ModelFile,
    words: GivenWords,
    /,
    *,
    oov: Annotated[
        Literal["raise", "zero"], Parameter(help="What a word outside the vocabulary is: an error, or zeros.")
    ] = "raise",
    json: JsonLines = False,
) -> None:
    """Print the vector of each WORD on a line; for - lines of stdin."""

    def show(record: Record) -> Iterator[str]:
        return (f"{word} {_numbers(values)}" for word, values in record.items())

    ask = _of_words(lambda vectors, word: {word: vectors.vector(word, oov).tolist()})
    _answer(model, _each(words), ask, show, json)


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def norms(
    model: ModelFile,
    words: Annotated[list[str] | None, Parameter(name="WORD", help="The words.")] = None,
    /,
    *,
    topn: Annotated[Topn, Parameter(help="How many of the shortest and of the longest.")] = 10,
    restrict: Annotated[int, Parameter(help="Among so many of the most frequent words.")] = 2000,
    json: JsonLines = False,
) -> None:
    """Print |v|^2 and -log P of each WORD; of the shortest and the longest vectors if none is given; for - lines of stdin."""

    ask = _of_words(lambda vectors, word: _measured(vectors, [word]))

    def extremes(vectors: Vectors, _: Any) -> Record:
        frequent = [vectors.vocabulary.word(row) for row in range(min(restrict, len(vectors)))]
        order = vectors.norms(frequent)[0].argsort(kind="stable").tolist()
        return _measured(vectors, [frequent[row] for row in dict.fromkeys(order[:topn] + order[-topn:])])

    _check(topn=topn, restrict=restrict)
    _answer(model, _each(words) if words else [None], ask if words else extremes, _lengths, json)


def _measured(vectors: Vectors, words: list[str]) -> Record:
    squares, surprises = (values.tolist() for values in vectors.norms(words))
    return {
        word: {"squared_norm": square, "minus_log_p": surprise if surprise == surprise else None}
        for word, square, surprise in zip(words, squares, surprises, strict=True)
    }


def _lengths(record: Record) -> Iterator[str]:
    for word, row in record.items():
        surprise = "      --" if row["minus_log_p"] is None else f"{row['minus_log_p']:8.4f}"
        yield f"{row['squared_norm']:10.4f}  {surprise}  {word}"


# --------------------------------------------------------------------------------------------------------- sentences


def sentence_vector(
    model: ModelFile,
    texts: Annotated[Texts, Parameter(help="The text.")],
    /,
    *,
    how: Annotated[
        Literal["sum", "mean", "sif"],
        Parameter(help="Sum or mean of the words' vectors, or their mean weighted by a / (a + P(w))."),
    ] = "sum",
    json: JsonLines = False,
) -> None:
    """Print the vector of a TEXT on a line; for - of each line."""

    def show(record: Record) -> Iterator[str]:
        return map(_numbers, record.values())

    def ask(vectors: Vectors, text: str) -> Record:
        return {"vector": vectors.sentence_vector(text, how).tolist()}

    _answer(model, _together(texts, str, " ".join), ask, show, json)


def sentence_similarity(
    model: ModelFile,
    texts: Annotated[Texts, Parameter(help="The two texts.")],
    /,
    *,
    measure: Annotated[Measure, Parameter(help="The inner product of their sums, which is that, or its cosine.")] = "dot",
    json: JsonLines = False,
) -> None:
    """Print the sum of the PMIs of the words of two TEXTs, each in quotes; for - lines with a tab between."""

    def ask(vectors: Vectors, asked: list[str]) -> Record:
        first, second = _expect(asked, 2, "two texts")
        return {"similarity": vectors.sentence_similarity(first, second, measure)}

    _answer(model, _together(texts, _columns), ask, _value, json)


def keywords(
    model: ModelFile,
    texts: Annotated[Texts, Parameter(help="The text.")],
    /,
    *,
    topn: HowMany = 10,
    measure: Annotated[
        Measure, Parameter(help="By the inner product with the sum of all words' vectors, or by the cosine.")
    ] = "dot",
    json: JsonLines = False,
) -> None:
    """Print the words of a TEXT that say most about it; for - of each line. Not for GloVe, whose ranking is reversed."""

    _check(topn=topn)

    def ask(vectors: Vectors, text: str) -> Record:
        return {"keywords": vectors.keywords(text, topn, measure)}

    def show(record: Record) -> Iterator[str]:
        yield "  ".join(f"{word} {value:.4f}" for word, value in record["keywords"])

    _answer(model, _together(texts, str, " ".join), ask, show, json)
