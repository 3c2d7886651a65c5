"""Models as scikit-learn estimators, over documents or co-occurrence counts: `GloVe`, `SkipGram`, `Doc2Vec` and the others.

    classifier = make_pipeline(SkipGram(vector_size=50), LogisticRegression()).fit(texts, labels)

Only this module and `matrix.estimators` need scikit-learn; importing it without scikit-learn raises `UsageError`. The types of
the constructors are in the stub beside it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.counts.directory import Cooc
from cooc_engine.errors import UsageError
from cooc_engine.formats.scipy_counts import import_matrix
from cooc_engine.matrix.estimators import seed_of, threads_of
from cooc_engine.models.families import FAMILIES
from cooc_engine.pipeline.training import train_family
from cooc_engine.runtime.described import described
from cooc_engine.runtime.extras import require
from cooc_engine.runtime.options import Options, checked, refusal
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.temporary import naming, temporary_directory
from cooc_engine.text.readers import document_words
from cooc_engine.text.tagged import untagged
from cooc_engine.vectors.model import Model, open_model
from cooc_engine.vectors.query import Vectors

require("an estimator", "sklearn", "sklearn.base")
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

__all__ = ["Cbow", "Doc2Vec", "FastText", "GloVe", "PmiSvd", "SimplerGloVe", "SkipGram"]

ENCODING = ("min_count", "max_vocab", "tokenizer", "lowercase")  # options of encoding that estimators have
COUNTING = ("window", "window_weight", "context_side")
SKLEARN_NAMES = {"n_components": "vector_size", "max_iter": "epochs", "min_df": "min_count", "max_features": "max_vocab"}
Pooling = Literal["mean", "sum", "sif"]
OWN: Mapping[str, Any] = {"pooling": "mean", "output": None, "random_state": 1, "n_jobs": None}


TEXT = """pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
random_state  an integer, a generator of NumPy, or None for a fresh seed
n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
"""


class HeldModel:
    """The file of a model, and the open model; a file without a name is temporary, and its content part of a pickle."""

    def __init__(self, path: Path | None = None) -> None:
        """Take the path of the file; without one it is in a temporary directory, removed with this object."""
        self.temporary = path is None
        if path is None:
            kept = ExitStack()
            path = kept.enter_context(temporary_directory()) / "model.h5"
            weakref.finalize(self, kept.close)
        self.path = path

    @classmethod
    def of(cls, content: bytes) -> HeldModel:
        """Return a temporary file with this content."""
        made = cls()
        made.path.write_bytes(content)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the content, or the path if it is not temporary."""
        return (HeldModel.of, (self.path.read_bytes(),)) if self.temporary else (HeldModel, (self.path.absolute(),))

    @functools.cached_property
    def model(self) -> Model:
        """The open model."""
        return open_model(self.path)


def _constructor(defaults: Mapping[str, Any]) -> Callable[..., None]:
    """Return an `__init__` that takes these parameters by keyword and only stores them, as scikit-learn requires."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, default=default) for name, default in defaults.items()]
    signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *parameters])

    def keep(self: Any, **given: Any) -> None:
        for name in given:
            if name not in defaults:
                other = SKLEARN_NAMES.get(name) or next(iter(difflib.get_close_matches(name, defaults, 1)), None)
                hint = f"did you mean {other}?" if other in defaults else f"it takes {', '.join(defaults)}"
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}; {hint}")
        bound = signature.bind(self, **given)
        bound.apply_defaults()
        vars(self).update({name: bound.arguments[name] for name in defaults})

    keep.__signature__ = signature  # type: ignore[attr-defined]
    return keep


def parameters_of(family: str) -> list[tuple[type[Options], list[str]]]:
    """Return the options of an estimator: classes of options, each with the names of the fields that are parameters."""
    entry = FAMILIES[family]
    counting = [(entry.counting, list(COUNTING))] if entry.counting else []
    trained = [name for name in entry.options.names() if name != "seed"]
    return [(entry.options, trained), *counting, (entry.encoding, list(ENCODING))]


def defaults_of(family: str) -> dict[str, Any]:
    """Return the parameters of an estimator with their defaults."""
    fields = [(names, dataclasses.fields(kind)) for kind, names in parameters_of(family)]  # type: ignore[arg-type]
    return {**{field.name: field.default for names, all_ in fields for field in all_ if field.name in names}, **OWN}


class TextEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the estimators: the constructor has options of `family`, of encoding and counting, and those of `OWN`."""

    family = ""

    def __init_subclass__(cls, **how: Any) -> None:
        """Make the constructor and its documentation from the options of the family."""
        super().__init_subclass__(**how)
        cls.__init__ = _constructor(defaults_of(cls.family))  # type: ignore[method-assign]
        options = "\n".join(line for kind, names in parameters_of(cls.family) for line in described(kind, names))
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\n{options}\n\n{TEXT}"

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that X are texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        tags.requires_fit = True
        return tags

    def fit(self, X: Any, y: Any = None) -> TextEstimator:
        """Train on documents, each a string or a sequence of words; on a `Corpus` or `Cooc`; or on a matrix of counts.

        A matrix, sparse or dense (V, V), holds the co-occurrences of V words, whose names are the columns of a data frame, or
        else their numbers; models that read the text itself take none. A matrix with more rows than columns, or fewer, or a
        data frame whose index is not its columns, counts different things, such as users by items, which `PmiSvd` takes.
        """
        family = FAMILIES[self.family]
        checked("pooling", self.pooling, Pooling)
        _, trained = parameters_of(self.family)[0]
        given = {name: getattr(self, name) for name in trained} | {"seed": seed_of(self.random_state)}
        held = HeldModel(None if self.output is None else path_of(self.output))
        with naming("X"), self._source(X) as source:
            count = self._options(family.counting, COUNTING) if family.counting and isinstance(source, Corpus) else None
            how = {**given, "threads": threads_of(self.n_jobs), "force": True}
            train_family(self.family, source, held.path, None, None, count, how)
        self.file_ = held
        return self

    def _options(self, kind: type[Any], names: Sequence[str]) -> Any:
        return kind(**{name: getattr(self, name) for name in names})

    @contextmanager
    def _source(self, X: Any) -> Iterator[Corpus | Cooc]:
        """Yield the corpus or the counts of X."""
        if isinstance(X, Corpus | Cooc):
            yield X
            return
        with temporary_directory() as home:
            if _is_matrix(X):
                rows, columns = _names_of(X)
                other = None if rows == columns else columns
                at, threads = home / "X", threads_of(self.n_jobs)
                yield import_matrix(scipy.sparse.csr_array(X), rows, at, columns=other, threads=threads)
            else:
                encoding = self._options(FAMILIES[self.family].encoding, ENCODING)
                yield encode_documents(X, home / "X", encoding, threads=threads_of(self.n_jobs))

    def transform(self, X: Any) -> Matrix:
        """Return the vectors (n, d) of documents; or of the rows of a matrix (n, V), which count the words of each.

        After a fit to users by items, X (n, items) has new users, or the same, who get vectors by `ColumnVectors.fold_in`.
        """
        check_is_fitted(self)
        if self.model_.column_names is not None:
            return self._of_rows(X)
        if _is_matrix(X):
            return self._of_counts(scipy.sparse.csr_array(X))
        if isinstance(X, str):
            raise UsageError("X is one string, not several documents; pass [text]")
        if not isinstance(X, Iterable):
            raise refusal("X", X, "a list of documents, each a string or a list of words")
        plain = map(untagged, X)
        texts = [text if isinstance(text, str) else document_words(number, text) for number, text in enumerate(plain, 1)]
        return self._of_texts(texts)

    def _of_rows(self, X: Any) -> Matrix:
        """Return the vectors of rows, whose columns have the names that they had in `fit`."""
        if not _is_matrix(X):
            raise UsageError("it was fitted to a matrix whose columns are not its rows; pass one with the same columns")
        columns, counts = self.model_.columns, scipy.sparse.csr_array(X)
        places = {name: place for place, name in enumerate(_names_of(X)[1])}
        if {*columns.index_to_key} != places.keys():
            raise UsageError(f"X needs the {len(columns)} columns of the matrix that it was fitted to")
        return columns.fold_in(counts[:, [places[name] for name in columns.index_to_key]], threads=threads_of(self.n_jobs))

    def _of_texts(self, texts: list[str | list[str]]) -> Matrix:
        return self.vectors_.sentence_vectors(texts, self.pooling)

    def _of_counts(self, counts: scipy.sparse.csr_array) -> Matrix:
        if self.pooling not in ("mean", "sum") or counts.shape[1] != len(self.vectors_):
            size = len(self.vectors_)
            raise UsageError(f"a matrix of counts needs {size} columns, one for each word, and a pooling of mean or sum")
        sums = np.asarray(counts.sum(axis=1)).reshape(-1, 1) if self.pooling == "mean" else 1
        found: Matrix = ((counts @ self.vectors_.vectors) / np.maximum(sums, 1)).astype(np.float32)
        return found

    @property
    def model_(self) -> Model:
        """The trained model."""
        return self.file_.model

    @property
    def vectors_(self) -> Vectors:
        """The vectors of its words, and queries on them."""
        return self.model_.vectors

    @property
    def vocabulary_(self) -> dict[str, int]:
        """The row of each word."""
        return self.vectors_.key_to_index

    @property
    def _n_features_out(self) -> int:
        return self.vectors_.vector_size


def _is_matrix(X: Any) -> bool:
    """Tell whether X is a matrix of numbers, and not documents."""
    if scipy.sparse.issparse(X):
        return True
    return getattr(X, "ndim", 1) == 2 and np.asarray(X[:0]).dtype.kind in "iufb"


def _names_of(X: Any) -> tuple[list[str], list[str]]:
    """Return the names of rows and of columns of a matrix: those of a data frame, or else their numbers."""
    columns = [str(name) for name in getattr(X, "columns", range(X.shape[1]))]
    rows = [str(name) for name in getattr(X, "index", range(X.shape[0]))]
    unnamed = X.shape[0] == X.shape[1] and rows == [str(row) for row in range(len(rows))]
    return columns if unnamed else rows, columns


class GloVe(TextEstimator):
    """GloVe (Pennington, Socher and Manning 2014).

    >>> glove = GloVe(vector_size=10, x_max=10, min_count=2)
    >>> glove.fit_transform(["we drink hot tea", "we drink hot coffee"]).shape
    (2, 10)
    >>> glove.vectors_.most_similar("hot", topn=1)[0][0] in glove.vocabulary_
    True
    """

    family = "glove"


class SimplerGloVe(TextEstimator):
    """Simpler-GloVe (Su Jianlin 2017)."""

    family = "simpler-glove"


class PmiSvd(TextEstimator):
    """The truncated SVD of the PMI (Levy, Goldberg and Dagan 2015)."""

    family = "pmi-svd"


class SkipGram(TextEstimator):
    """Skip-gram (Mikolov et al. 2013)."""

    family = "skipgram"


class Cbow(TextEstimator):
    """Continuous bag of words (Mikolov et al. 2013)."""

    family = "cbow"


class FastText(TextEstimator):
    """fastText (Bojanowski et al. 2017): words never seen have vectors too."""

    family = "fasttext"


class Doc2Vec(TextEstimator):
    """Doc2Vec (Le and Mikolov 2014): `transform` infers the vectors of documents; each may be a `TaggedDocument`."""

    family = "doc2vec"

    def _of_texts(self, texts: list[str | list[str]]) -> Matrix:
        return self.model_.documents.infer_vectors(texts, threads=threads_of(self.n_jobs))

    def _of_counts(self, counts: scipy.sparse.csr_array) -> Matrix:
        raise UsageError("Doc2Vec infers vectors of texts, not of counts")

    @property
    def _n_features_out(self) -> int:
        return self.model_.documents.vector_size
