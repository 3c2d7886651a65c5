"""The verbs that query vectors.

Each is written as a function from vectors and one question to its answer, which `_verb` turns into a command. With - in place
of the question, each line of the standard input is a question, whose answer is a line or a block of lines.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from inspect import Parameter as Argument
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast, get_type_hints

from cyclopts import Parameter

import cooc_engine
from cooc_engine.cli.console import note, print_json, print_lines, print_result
from cooc_engine.cli.foreign_flags import given
from cooc_engine.cli.parameters import HowMany, ModelFile, Positive, Topn, TrustTokenizer, VectorsFile
from cooc_engine.cli.sides import ABOUT_WORDS, Sides
from cooc_engine.errors import CoocError, InputError, UnknownWordError, UsageError
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.options import checked

if TYPE_CHECKING:
    from cooc_engine import ColumnVectors, ContextualVectors, DocumentVectors, Vectors

__all__ = [
    "analogies", "doesnt_match", "get_subwords", "keywords", "n_similarity", "nn", "norms", "related",
    "sentence_similarity", "sentence_vector", "similar", "similarity", "vector",
]  # fmt: skip

LONGEST = 1 << 24  # bytes of a line of the standard input
Answer = dict[str, Any]  # as --json prints it
Show = Callable[[Answer], Iterable[str]]  # the lines that are printed otherwise

JsonLines = Annotated[bool, "Print one JSON object, or one per line for -."]
Neighbours = Annotated[Topn, "Number of neighbours to print."]
Approximate = Annotated[bool, "Search the index that the command `index` built; for millions of words."]
InContext = Annotated[
    str | None, "For an ELMo model: a text with one [word] in brackets; print the words that are nearest to it in this context."
]
Normalize = Annotated[bool, "Scale all vectors to length 1 first."]
ContextWords = Annotated[Positive, "Number of frequent words over which to correlate: 500 favours grammar, 10000 topic."]
Method = Annotated[Literal["add", "mul"], "3CosAdd, which adds b - a + c, or 3CosMul, which multiplies b * c / a."]
Unknown = Annotated[
    Literal["subword", "zero", "raise"],
    "For a word outside the vocabulary: print the mean of its n-grams, if the model has any; print zeros; or report an error.",
]
Extremes = Annotated[Topn, "Number of the shortest and of the longest vectors to print."]
Among = Annotated[Positive, "Search only this many of the most frequent words."]
How = Annotated[
    Literal["sum", "mean", "unit", "sif", "line"],
    "The sum or the mean of the word vectors; the mean of those scaled to length 1, as in fastText; SIF, the mean weighted by "
    "a / (a + P(w)); or, with a classifier, the mean of all input rows of the line, as in fastText.",
]
Measure = Literal["dot", "cosine"]
Nearness = Annotated[Measure, "The inner product of the sums of word vectors, which is the sum of PMIs, or their cosine."]
Telling = Annotated[Measure, "Rank by the inner product with the sum of all word vectors, or by the cosine."]


class Form(NamedTuple):
    """How the arguments or lines become questions.

    name  the name of the arguments in the help
    cut   turns a line of the standard input into a question
    join  turns all arguments into one question; without it, each word of each argument is a question
    """

    name: str
    cut: Callable[[str], Any]
    join: Callable[[list[str]], Any] | None = None

    def parts(self, vectors: Vectors, question: Any, sides: Sides) -> list[Any]:
        """Return the single questions: the words of a line, unless the whole line is itself a word that contains spaces.

        Ids of documents and names of columns, unlike words, are not looked up in lower case too; a column has no words.
        """
        spelt = (lambda word: word) if sides.named else functools.partial(_spelt, vectors)
        if not question or self.name != "WORD":
            return [question]
        if self.join:
            return [[spelt(word) for word in question]]
        whole = sides.named == "columns" or question in vectors
        words = [question] if whole else question.split() or [question]
        return [spelt(word) for word in words]


def _spelt(vectors: Vectors, word: str) -> str:
    """Return a word as written, or in lower case if only that has a vector and is in the vocabulary."""
    lower = word.lower()
    return word if word in vectors or lower not in vectors or vectors.outside([word])[1][0] else lower


EACH_WORD = Form("WORD", str)
WORDS = Form("WORD", str.split, list)
TEXTS = Form("TEXT", lambda line: line.split("\t"), list)
TEXT = Form("TEXT", str, " ".join)


def _verb(
    form: Form, asked: str, show: Show, *, model: Any = ModelFile, optional: bool = False
) -> Callable[[Callable[..., Answer]], Callable[..., None]]:
    """Turn a function from vectors and a question to the answer into a command; its keywords become flags.

    `asked` is the help for the question; if the question is `optional`, it is None when there are no arguments.
    """

    def make(ask: Callable[..., Answer]) -> Callable[..., None]:
        hints = get_type_hints(ask, localns={"Vectors": Any}, include_extras=True)  # the class is imported with the first file
        flags = [each for each in inspect.signature(ask).parameters.values() if each.kind is Argument.KEYWORD_ONLY]

        @functools.wraps(ask)
        def command(path: Path, arguments: list[str] | None = None, /, *, json: bool = False, **options: Any) -> None:
            for name, value in options.items():
                checked(name, value, hints[name])
            streamed = _is_stream(arguments or [])
            vectors, sides = _opened(path, **options), options.get("sides", ABOUT_WORDS)

            def answer(question: Any) -> Answer:
                parts = form.parts(vectors, question, sides)
                return {key: value for part in parts for key, value in ask(vectors, part, **options).items()}

            if streamed:
                _answer_lines(form.cut, _noting(answer), show, json)
            else:
                questions: list[Any] = [form.join(arguments)] if form.join and arguments else arguments or [None]
                _answer_together(path, questions, _noting(answer), show, json)

        kind = list[str] | None if optional else list[str]
        annotations = {"path": model, "arguments": Annotated[kind, Parameter(name=f"{form.name}...", help=asked)]}
        command.__annotations__ = annotations | {flag.name: hints[flag.name] for flag in flags} | {"json": JsonLines}
        arguments = Argument("arguments", Argument.POSITIONAL_ONLY, default=None if optional else Argument.empty)
        json = Argument("json", Argument.KEYWORD_ONLY, default=False)
        signature = inspect.Signature([Argument("path", Argument.POSITIONAL_ONLY), arguments, *flags, json])
        command.__signature__ = signature  # type: ignore[attr-defined]
        return command

    return make


def _is_stream(arguments: list[str]) -> bool:
    if "-" not in map(given, arguments):
        return False
    if len(arguments) > 1:
        raise UsageError("- reads all questions from stdin; give it alone")
    return True


def _opened(
    path: Path,
    *,
    approximate: bool = False,
    trust_tokenizer: bool = False,
    sides: Sides = ABOUT_WORDS,
    in_context: str | None = None,
    how: str = "",
    **options: Any,
) -> Any:
    if how == "line":
        return cooc_engine.Classifier.open(path, trust_tokenizer=trust_tokenizer)
    if in_context is not None:
        return cooc_engine.ContextualVectors.open(path, trust_tokenizer=trust_tokenizer)
    if approximate and sides.named:
        raise UsageError(f"--approximate has an index of words alone; leave it out for {sides.named}")
    kinds = {"documents": cooc_engine.DocumentVectors, "columns": cooc_engine.ColumnVectors}
    kind = cooc_engine.IndexedVectors if approximate else kinds.get(str(sides.named), cooc_engine.Vectors)
    return kind.open(path, trust_tokenizer=trust_tokenizer)


def _noting(answer: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """Return the same function, with each different warning of the library shown as a note, once."""
    noted: set[str] = set()

    def answer_and_note(question: Any) -> Answer:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            found = answer(question)
        for text in {str(warning.message) for warning in caught} - noted:
            noted.add(text)
            note(text)
        return found

    return answer_and_note


def _answer_together(path: Path, questions: list[Any], answer: Callable[[Any], Answer], show: Show, json: bool) -> None:
    """Print one answer to all questions; unknown words are skipped, and named in the error at the end."""
    whole: Answer = {}
    unknown: list[str] = []
    for question in questions:
        try:
            whole |= answer(question)
        except UnknownWordError as error:
            unknown.append(error.flags)
    if whole:
        print_result(json, whole, show(whole))
    if unknown:
        raise UnknownWordError(f"{path}: {'; '.join(unknown)}")


def _answer_lines(cut: Callable[[str], Any], answer: Callable[[Any], Answer], show: Show, json: bool) -> None:
    """Answer each line of the standard input as it arrives, even if other lines fail."""
    if sys.stdin is None:
        raise InputError("-: the standard input is closed")
    failed = lines = 0
    while line := _next_line(lines):
        lines += 1
        try:
            found = answer(cut(line.decode(errors="replace").removesuffix("\n").removesuffix("\r")))
            texts = show(found)
        except CoocError as error:
            failed, found, texts = failed + 1, {"error": error.flags}, [f"error: {error.flags}"]
        print_json(found, flush=True) if json else print_lines(texts, flush=True)
    if failed:
        raise InputError(f"{failed} of {lines} lines could not be answered; see the answers for the reasons")


def _next_line(number: int) -> bytes:
    """Return the next line of the standard input, after `number` others, or no bytes at its end."""
    try:
        line = sys.stdin.buffer.readline(LONGEST)
    except OSError as error:
        raise InputError(f"-: cannot be read ({error.strerror})") from None
    if len(line) == LONGEST:
        raise InputError(f"-:{number + 1}: has {show_size(LONGEST)} or more on one line; is it text?")
    return line


def _expect(parts: list[str], count: int, what: str) -> list[str]:
    if len(parts) != count or not all(parts):
        raise InputError(f"expected {what}, found {len([part for part in parts if part])}")
    return parts


# ------------------------------------------------------------------------------------------------------ how answers are shown


def _ranked(answer: Answer) -> Iterator[str]:
    """Yield each word, and its answers below it."""
    for word, found in answer.items():
        yield word
        yield from (f"  {value:.4f}  {other}" for other, value in found)


def _value(answer: Answer) -> Iterator[str]:
    return (f"{value:.6f}" if isinstance(value, float) else str(value) for value in answer.values())


def _numbers(answer: Answer) -> Iterator[str]:
    return (" ".join(f"{value:.9g}" for value in values) for values in answer.values())


def _words_and_numbers(answer: Answer) -> Iterator[str]:
    return (f"{word} {numbers}" for word, numbers in zip(answer, _numbers(answer), strict=True))


def _ngrams(answer: Answer) -> Iterator[str]:
    for found in answer.values():
        yield from (f"{ngram} {row}" for ngram, row in zip(found["subwords"], found["rows"], strict=True))


def _lengths(answer: Answer) -> Iterator[str]:
    for word, row in answer.items():
        surprise = "      --" if row["minus_log_p"] is None else f"{row['minus_log_p']:8.4f}"
        yield f"{row['squared_norm']:10.4f}  {surprise}  {word}"


def _on_a_line(answer: Answer) -> Iterator[str]:
    return ("  ".join(f"{word} {value:.4f}" for word, value in found) for found in answer.values())


# ------------------------------------------------------------------------------------------------------------- words


@_verb(EACH_WORD, "The words to look up.", _ranked, model=VectorsFile, optional=True)
def nn(
    vectors: Vectors,
    word: str | None,
    *,
    topn: Neighbours = 10,
    approximate: Approximate = False,
    sides: Sides = ABOUT_WORDS,
    in_context: InContext = None,
    trust_tokenizer: TrustTokenizer = False,
) -> Answer:
    """Print the words, documents or columns that are nearest to each WORD by cosine; - reads words from stdin.

    For example:

        cooc-engine nn model.h5 water king --topn 5
        cooc-engine nn model.h5 - < words.txt
        cooc-engine nn elmo.h5 --in-context "the [bank] of the river"
        cooc-engine nn ratings.h5 ann --of rows --columns
    """
    if (word is None) == (in_context is None):
        raise UsageError("name the words to look up, or a text with one in brackets by --in-context")
    if word is None:
        contextual = cast("ContextualVectors", vectors)
        place = contextual.in_sentence(cast("str", in_context))
        return {place.words[place.place]: contextual.neighbours(place, topn)}
    if sides.asked != sides.answers:
        others = cast("DocumentVectors | ColumnVectors", vectors)
        source, answers = (others.words, others) if sides.asked == "words" else (others, others.words)
        return {word: answers.most_similar(source[word], topn=topn)}
    return vectors.neighbours([word], topn)  # approximately, if the vectors were opened so


@_verb(EACH_WORD, "The words to look up.", _ranked)
def related(vectors: Vectors, word: str, *, topn: HowMany = 10, normalize: Normalize = False) -> Answer:
    """Print the words with the largest inner product with each WORD: the PMI, in PMI models; - reads words from stdin.

    For example:

        cooc-engine related simpler-glove.h5 water
    """
    return {word: vectors.related(word, topn, normalize)}


@_verb(EACH_WORD, "The words to look up.", _ranked)
def similar(vectors: Vectors, word: str, *, topn: HowMany = 10, context_words: ContextWords = 10_000) -> Answer:
    """Print the words whose PMIs with frequent words correlate best with those of each WORD; - reads words from stdin.

    For example:

        cooc-engine similar simpler-glove.h5 water --context-words 500
    """
    return {word: vectors.similar(word, topn, context_words)}


@_verb(WORDS, "A, B and C.", _ranked)
def analogies(vectors: Vectors, words: list[str], *, topn: HowMany = 10, method: Method = "add") -> Answer:
    """Print the words that are to C as B is to A, for WORDs A B C; - reads three words per line from stdin.

    For example:

        cooc-engine analogies model.h5 man king woman --method mul
    """
    a, b, c = _expect(words, 3, "three words")
    most_similar = vectors.most_similar if method == "add" else vectors.most_similar_cosmul
    return {" ".join(words): most_similar(positive=[b, c], negative=[a], topn=topn)}


@_verb(WORDS, "The two words.", _value)
def similarity(vectors: Vectors, words: list[str]) -> Answer:
    """Print the cosine of two WORDs; - reads two words per line from stdin.

    For example:

        cooc-engine similarity model.h5 ice water
    """
    return {"similarity": vectors.similarity(*_expect(words, 2, "two words"))}


@_verb(TEXTS, "The two lists; words are separated by white space.", _value)
def n_similarity(vectors: Vectors, lists: list[str]) -> Answer:
    """Print the cosine of the mean vectors of two quoted lists of words; - reads tab-separated pairs from stdin.

    For example:

        cooc-engine n-similarity model.h5 "king queen" "ice water"
    """
    first, second = _expect(lists, 2, "two lists of words")
    return {"similarity": vectors.n_similarity(first.split(), second.split())}


@_verb(WORDS, "The words.", _value)
def doesnt_match(vectors: Vectors, words: list[str]) -> Answer:
    """Print the WORD that is farthest from the mean of all; - reads words from stdin.

    For example:

        cooc-engine doesnt-match model.h5 breakfast cereal dinner lunch
    """
    return {"word": vectors.doesnt_match(words)}


@_verb(EACH_WORD, "The words.", _words_and_numbers)
def vector(vectors: Vectors, word: str, *, oov: Unknown = "subword") -> Answer:
    """Print the vector of each WORD, one per line; - reads words from stdin.

    For example:

        cooc-engine vector model.h5 water
    """
    return {word: vectors.vector(word, oov).tolist()}


@_verb(EACH_WORD, "The words.", _ngrams)
def get_subwords(vectors: Vectors, word: str) -> Answer:
    """Print the subwords whose mean is the vector of each WORD, with their rows; - reads words from stdin.

    For example:

        cooc-engine get-subwords fasttext.h5 water
    """
    ngrams, rows = vectors.get_subwords(word)
    return {word: {"subwords": ngrams, "rows": rows.tolist()}}


@_verb(EACH_WORD, "The words.", _lengths, optional=True)
def norms(vectors: Vectors, word: str | None, *, topn: Extremes = 10, restrict: Among = 2000) -> Answer:
    """Print |v|^2 and -log P of each WORD, or by default of the shortest and longest vectors; - reads words from stdin.

    For example:

        cooc-engine norms model.h5 water the
        cooc-engine norms model.h5 --topn 20
    """
    if word is None:
        frequent = [vectors.vocabulary.word(row) for row in range(min(restrict, len(vectors)))]
        order = vectors.norms(frequent)[0].argsort(kind="stable").tolist()
        words = [frequent[row] for row in dict.fromkeys(order[:topn] + order[-topn:])]
    else:
        words = [word]
    squares, surprises = (values.tolist() for values in vectors.norms(words))
    return {
        each: {"squared_norm": square, "minus_log_p": surprise if surprise == surprise else None}
        for each, square, surprise in zip(words, squares, surprises, strict=True)
    }


# --------------------------------------------------------------------------------------------------------- sentences


@_verb(TEXT, "The text.", _numbers)
def sentence_vector(vectors: Any, text: str, *, how: How = "sum", trust_tokenizer: TrustTokenizer = False) -> Answer:
    """Print the vector of a TEXT on one line; - reads one text per line from stdin.

    For example:

        cooc-engine sentence-vector model.h5 "the king of France" --how sif
    """
    found = vectors.get_sentence_vector(text) if how == "line" else vectors.sentence_vector(text, how)
    return {"vector": found.tolist()}


@_verb(TEXTS, "The two texts.", _value)
def sentence_similarity(
    vectors: Vectors, texts: list[str], *, measure: Nearness = "dot", trust_tokenizer: TrustTokenizer = False
) -> Answer:
    """Print the sum of the PMIs between the words of two quoted TEXTs; - reads tab-separated pairs from stdin.

    For example:

        cooc-engine sentence-similarity model.h5 "king of France" "a queen"
    """
    first, second = _expect(texts, 2, "two texts")
    return {"similarity": vectors.sentence_similarity(first, second, measure)}


@_verb(TEXT, "The text.", _on_a_line)
def keywords(
    vectors: Vectors, text: str, *, topn: HowMany = 10, measure: Telling = "dot", trust_tokenizer: TrustTokenizer = False
) -> Answer:
    """Print the words most typical of a TEXT; - reads one text per line from stdin. Not for GloVe, which reverses the ranking.

    For example:

        cooc-engine keywords model.h5 "the king of France and his court" --topn 3
    """
    return {"keywords": vectors.keywords(text, topn, measure)}
