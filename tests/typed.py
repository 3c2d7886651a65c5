"""What a type checker knows of the library: `scripts/check` checks this file, where a needless `type: ignore` is an error."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import scipy.sparse

import cooc_engine
from cooc_engine import Cooc, Corpus, CountOptions, GloVe, Model, SkipgramOptions, Vectors, count, encode, train


def trained() -> None:
    """Families, and their options by name and by class."""
    assert_type(train("glove", "cooc", "m.h5", vector_size=50, threads=2), Model)
    train("skipgram", "corpus", "m.h5", SkipgramOptions(window=3), force=True)
    train("fasttext", "corpus", "m.h5", min_n=2, mode="floret")
    train("glov", "cooc", "m.h5")  # type: ignore[call-overload]
    train("glove", "cooc", "m.h5", vektor_size=50)  # type: ignore[call-overload]
    train("glove", "cooc", "m.h5", negative=5)  # type: ignore[call-overload]
    train("glove", "cooc", "m.h5", vector_size="50")  # type: ignore[call-overload]
    train("glove", "cooc", "m.h5", target="exp")  # type: ignore[call-overload]
    train("glove", "cooc", "m.h5", SkipgramOptions())  # type: ignore[call-overload]


def encoded() -> None:
    """The stages before a model, and their options by name."""
    assert_type(encode("text.txt", "corpus", min_count=2, tokenizer=str.split, threads=2), Corpus)
    assert_type(count("corpus", "cooc", window=5, resume=True), Cooc)
    count("corpus", "cooc", CountOptions(window=5))
    encode("text.txt", "corpus", min_cout=2)  # type: ignore[call-arg]
    count("corpus", "cooc", window="5")  # type: ignore[arg-type]


def asked(model: Model) -> None:
    """Answers of a model and of its vectors."""
    assert_type(model.most_similar("ice"), list[tuple[str, float]])
    assert_type(model.vectors, Vectors)
    assert_type(model.wv.most_similar(["ice", ("water", 0.5)], "steam", topn=3), list[tuple[str, float]])
    assert_type(model.wv.most_similar("ice", topn=None), npt.NDArray[np.float32])
    assert_type(Vectors.open(model), Vectors)
    model.most_similer("ice")  # type: ignore[attr-defined]


def counted(cooc: Cooc) -> None:
    """Counts."""
    assert_type(cooc["river", "water"], float)
    assert_type(cooc.csr(), scipy.sparse.csr_array[Any, tuple[int, int]])


def estimated() -> None:
    """Estimators."""
    estimator = GloVe(vector_size=50, window=5, n_jobs=2)
    assert_type(estimator.fit(["a b"]), GloVe)
    assert_type(estimator.fit_transform(["a b"]), npt.NDArray[np.float32])
    assert_type(cooc_engine.SparseSVD(3).fit_transform([[1]]), npt.NDArray[np.floating[Any]])
    GloVe(vektor_size=50)  # type: ignore[call-arg]
    GloVe(negative=5)  # type: ignore[call-arg]
