"""Made by scripts/stubs.py: types and defaults of the options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from typing_extensions import Self

from cooc_engine.runtime.options import Options
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.vectors.model import Model
from cooc_engine.vectors.query import Vectors

__all__ = ["Cbow", "Doc2Vec", "FastText", "GloVe", "PmiSvd", "SimplerGloVe", "SkipGram"]

class TextEstimator:
    family: str
    model_: Model
    vectors_: Vectors
    vocabulary_: dict[str, int]

    def fit(self, X: Any, y: Any = None) -> Self: ...
    def transform(self, X: Any) -> Matrix: ...
    def fit_transform(self, X: Any, y: Any = None) -> Matrix: ...
    def get_feature_names_out(self, input_features: Any = None) -> Any: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> Self: ...
    def set_output(self, *, transform: str | None = None) -> Self: ...

def parameters_of(family: str) -> list[tuple[type[Options], list[str]]]: ...

class Cbow(TextEstimator):
    """Continuous bag of words (Mikolov et al. 2013).

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    window            `int`, at least 1, default `5`. Largest number of context words on each side of the centre.
    radius            `'random'` or `'fixed'`, default `'random'`. Size of each window: drawn from 1 to `window`,
                      or always `window`.
    loss              `'ns'` or `'hs'` or `'softmax'`, default `'ns'`. Negative sampling, hierarchical softmax,
                      or, for small vocabularies, the full softmax.
    negative          `int`, at least 1, below 10000, default `5`. With ns: number of negative samples per
                      example.
    noise             `'shared'` or `'own'`, default `'shared'`. With ns: whether neighbouring windows share
                      negative samples, or each input draws its own, as in word2vec's program.
    noise_words       `int`, at least 1, below 1025, default `16`. With shared noise: number of words drawn for
                      each group of windows; more take longer and improve analogies.
    noise_power       `float`, at least 0, default `0.75`. With ns: negative samples are drawn in proportion to
                      their counts to this power.
    subsample         `float`, at least 0, default `0.001`. Subsample frequent words: a word of frequency f > 2.6
                      t is kept with probability √(t/f) + t/f; 0 keeps all.
    epochs            `int`, at least 1, default `5`. Number of passes over the text.
    lr                `float`, above 0, default `0.05`. Initial learning rate, which decays linearly to `min-lr`.
    min_lr            `float` or `None`, at least 0. Final learning rate, by default 1e-4 of `lr`. With few
                      epochs, a tenth of `lr` or more gives better vectors.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'`, default `'w'`. The vectors that queries use: input
                      (word) or output (context) vectors, their sum, or both concatenated.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks are initialised as usual.
    extend            `bool`, default `False`. Keep the words of `init` that the text lacks, with their vectors;
                      counts are added up.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    gradient          `'whole'` or `'share'`, default `'whole'`. The share of the mean's gradient that each of its
                      C words receives: all of it, as in word2vec's program, or 1/C.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        window: int = 5,
        radius: Literal["random", "fixed"] = "random",
        loss: Literal["ns", "hs", "softmax"] = "ns",
        negative: int = 5,
        noise: Literal["shared", "own"] = "shared",
        noise_words: int = 16,
        noise_power: float = 0.75,
        subsample: float = 0.001,
        epochs: int = 5,
        lr: float = 0.05,
        min_lr: float | None = None,
        vectors: Literal["w", "c", "w+c", "concat"] = "w",
        init: str | None = None,
        extend: bool = False,
        deterministic: bool = False,
        gradient: Literal["whole", "share"] = "whole",
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...

class Doc2Vec(TextEstimator):
    """Doc2Vec (Le and Mikolov 2014): `transform` infers the vectors of documents; each may be a `TaggedDocument`.

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    window            `int`, at least 1, default `5`. Largest number of context words on each side of the centre.
    radius            `'random'` or `'fixed'` or `None`. Size of each window: drawn from 1 to `window`, or always
                      `window`, as it is with concat.
    loss              `'ns'` or `'hs'` or `'softmax'`, default `'ns'`. Negative sampling, hierarchical softmax,
                      or, for small vocabularies, the full softmax.
    negative          `int`, at least 1, below 10000, default `5`. With ns: number of negative samples per
                      example.
    noise             `'shared'` or `'own'`, default `'shared'`. With ns: whether neighbouring windows share
                      negative samples, or each input draws its own, as in word2vec's program.
    noise_words       `int`, at least 1, below 1025, default `16`. With shared noise: number of words drawn for
                      each group of windows; more take longer and improve analogies.
    noise_power       `float`, at least 0, default `0.75`. With ns: negative samples are drawn in proportion to
                      their counts to this power.
    subsample         `float`, at least 0, default `0.001`. Subsample frequent words: a word of frequency f > 2.6
                      t is kept with probability √(t/f) + t/f; 0 keeps all.
    epochs            `int`, at least 1, default `10`. Number of passes over the text.
    lr                `float`, above 0, default `0.025`. Initial learning rate, which decays linearly to `min-lr`.
    min_lr            `float` or `None`, at least 0. Final learning rate, by default 1e-4 of `lr`. With few
                      epochs, a tenth of `lr` or more gives better vectors.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'` or `None`. The word vectors that queries use: w by
                      default, or c for dbow without `words`, which with hs has none.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks are initialised as usual.
    extend            `bool`, default `False`. Keep the words of `init` that the text lacks, with their vectors;
                      counts are added up.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    architecture      `'dbow'` or `'dm'`, default `'dbow'`. PV-DBOW: a document predicts each of its words; or
                      PV-DM: the mean of document and window predicts the centre.
    combine           `'mean'` or `'sum'` or `'concat'`, default `'mean'`. With dm: use the mean of document and
                      window, their sum, or their concatenation, with weights for each position.
    words             `'on'` or `'off'`, default `'off'`. With dbow: also train skip-gram, so that words have
                      input vectors in the same space as documents.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        window: int = 5,
        radius: Literal["random", "fixed"] | None = None,
        loss: Literal["ns", "hs", "softmax"] = "ns",
        negative: int = 5,
        noise: Literal["shared", "own"] = "shared",
        noise_words: int = 16,
        noise_power: float = 0.75,
        subsample: float = 0.001,
        epochs: int = 10,
        lr: float = 0.025,
        min_lr: float | None = None,
        vectors: Literal["w", "c", "w+c", "concat"] | None = None,
        init: str | None = None,
        extend: bool = False,
        deterministic: bool = False,
        architecture: Literal["dbow", "dm"] = "dbow",
        combine: Literal["mean", "sum", "concat"] = "mean",
        words: Literal["on", "off"] = "off",
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...

class FastText(TextEstimator):
    """fastText (Bojanowski et al. 2017): words never seen have vectors too.

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    window            `int`, at least 1, default `5`. Largest number of context words on each side of the centre.
    radius            `'random'` or `'fixed'`, default `'random'`. Size of each window: drawn from 1 to `window`,
                      or always `window`.
    loss              `'ns'` or `'hs'` or `'softmax'`, default `'ns'`. Negative sampling, hierarchical softmax,
                      or, for small vocabularies, the full softmax.
    negative          `int`, at least 1, below 10000, default `5`. With ns: number of negative samples per
                      example.
    noise             `'shared'` or `'own'`, default `'shared'`. With ns: whether neighbouring windows share
                      negative samples, or each input draws its own, as in word2vec's program.
    noise_words       `int` or `None`, at least 1, below 1025. With shared noise: number of words drawn for each
                      group of windows, by default 48 for skip-gram and 8 for CBOW.
    noise_power       `float`, at least 0, default `0.5`. With ns: negative samples are drawn in proportion to
                      their counts to this power.
    subsample         `float`, at least 0, default `0.0001`. Subsample frequent words: a word of frequency f > 2.6
                      t is kept with probability √(t/f) + t/f; 0 keeps all.
    epochs            `int`, at least 1, default `5`. Number of passes over the text.
    lr                `float`, above 0, default `0.05`. Initial learning rate, which decays linearly to `min-lr`.
    min_lr            `float`, at least 0, default `0.0`. Final learning rate.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'`, default `'w'`. The vectors that queries use: input
                      (word) or output (context) vectors, their sum, or both concatenated.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks are initialised as usual.
    extend            `bool`, default `False`. Keep the words of `init` that the text lacks, with their vectors;
                      counts are added up.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    architecture      `'skipgram'` or `'cbow'`, default `'skipgram'`. Whether the centre predicts each of its
                      contexts, or the mean of all rows of all context words predicts the centre.
    min_n             `int`, at least 0, default `3`. Length of the shortest n-grams, in characters; 0 is taken as
                      1.
    max_n             `int`, at least 0, below 64, default `6`. Length of the longest n-grams, in characters; 0
                      trains words without n-grams.
    buckets           `int`, at least 1, below 2.14748e+09, default `2000000`. Number of rows that n-grams are
                      hashed to.
    mode              `'fasttext'` or `'floret'`, default `'fasttext'`. Whether each word has its own row, or
                      words are hashed like n-grams, as in floret, into one table that can be small.
    hashes            `int`, at least 1, below 5, default `1`. With floret: number of rows of each word and
                      n-gram.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        window: int = 5,
        radius: Literal["random", "fixed"] = "random",
        loss: Literal["ns", "hs", "softmax"] = "ns",
        negative: int = 5,
        noise: Literal["shared", "own"] = "shared",
        noise_words: int | None = None,
        noise_power: float = 0.5,
        subsample: float = 0.0001,
        epochs: int = 5,
        lr: float = 0.05,
        min_lr: float = 0.0,
        vectors: Literal["w", "c", "w+c", "concat"] = "w",
        init: str | None = None,
        extend: bool = False,
        deterministic: bool = False,
        architecture: Literal["skipgram", "cbow"] = "skipgram",
        min_n: int = 3,
        max_n: int = 6,
        buckets: int = 2000000,
        mode: Literal["fasttext", "floret"] = "fasttext",
        hashes: int = 1,
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...

class GloVe(TextEstimator):
    """GloVe (Pennington, Socher and Manning 2014).

    >>> glove = GloVe(vector_size=10, x_max=10, min_count=2)
    >>> glove.fit_transform(["we drink hot tea", "we drink hot coffee"]).shape
    (2, 10)
    >>> glove.vectors_.most_similar("hot", topn=1)[0][0] in glove.vocabulary_
    True

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    epochs            `int`, at least 1, default `25`. Number of passes over the entries.
    lr                `float`, above 0, default `0.05`. Initial learning rate of AdaGrad.
    x_max             `float`, above 0, default `100.0`. Counts of at least this have weight 1; 10 suits a small
                      corpus.
    weight_power      `float`, at least 0, default `0.75`. Exponent α of the weight (count / x-max)^α of smaller
                      counts.
    clip              `float` or `None`, above 0, default `100.0`. Clip each component of a gradient to this,
                      before multiplying by the learning rate.
    target            `'log'` or `'log1p'`, default `'log'`. The value that is fitted: log x or log(1 + x) of a
                      count x.
    accumulators      `'component'` or `'row'`, default `'component'`. AdaGrad's sums of squares: one per
                      component, as in GloVe's program, or one per row, which is faster and smaller at the same
                      loss.
    vectors           `'w+c'` or `'w'` or `'c'` or `'concat'`, default `'w+c'`. The vectors that queries use: the
                      sum of word and context vectors, either alone, or both concatenated.
    center            `'none'` or `'mean'`, default `'none'`. Subtract the mean from the vectors that queries use;
                      the objective does not determine a common offset.
    held_out          `float`, at least 0, below 1, default `0.0`. Fraction of the entries that are held out from
                      training, which stops when their loss no longer falls.
    patience          `int`, at least 1, default `2`. With `held-out`: number of consecutive epochs that may pass
                      without a lower loss.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks start at random.
    window            `int`, at least 1, below 100000, default `10`. Number of context words on each side of the
                      centre.
    window_weight     `'harmonic'` or `'uniform'` or `'dynamic'`, default `'harmonic'`. Weight of a co-occurrence
                      at distance k: `harmonic` 1/k, `uniform` 1, `dynamic` (window-k+1)/window.
    context_side      `'both'` or `'left'` or `'right'`, default `'both'`. The side of the centre from which
                      contexts are taken; the centre is always the row.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        epochs: int = 25,
        lr: float = 0.05,
        x_max: float = 100.0,
        weight_power: float = 0.75,
        clip: float | None = 100.0,
        target: Literal["log", "log1p"] = "log",
        accumulators: Literal["component", "row"] = "component",
        vectors: Literal["w+c", "w", "c", "concat"] = "w+c",
        center: Literal["none", "mean"] = "none",
        held_out: float = 0.0,
        patience: int = 2,
        init: str | None = None,
        window: int = 10,
        window_weight: Literal["harmonic", "uniform", "dynamic"] = "harmonic",
        context_side: Literal["both", "left", "right"] = "both",
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...

class PmiSvd(TextEstimator):
    """The truncated SVD of the PMI (Levy, Goldberg and Dagan 2015).

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors: the number of singular values
                      that are kept.
    pmi               `'ppmi'` or `'pmi'` or `'npmi'`, default `'ppmi'`. `ppmi` keeps positive values, `pmi` those
                      of all counted pairs; `npmi` divides them by -log of the pair's probability.
    pmi_shift         `float`, at least 1e-100, default `1.0`. The log of this is subtracted from the PMI; it
                      corresponds to the number of negative samples in skip-gram.
    cds               `float`, at least 0, default `0.75`. Context distribution smoothing: the exponent applied to
                      context counts.
    eig               `float`, at least 0, default `0.5`. Exponent of the singular values in the vectors U S^eig
                      and V S^eig.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'`, default `'w'`. The vectors that queries use: word
                      vectors, context vectors, their sum, or both concatenated.
    normalize         `bool`, default `False`. Scale all word and context vectors to length 1.
    tol               `float`, above 0, below 1, default `0.01`. Stop when no component's residual |A v - s u| / s
                      is larger than this.
    max_passes        `int`, at least 1, default `200`. Stop after this many passes over the matrix, whatever the
                      residual.
    solver            `'krylov'` or `'arpack'` or `'none'`, default `'krylov'`. Block Krylov iteration; SciPy's
                      ARPACK, as a reference, on one thread; or `none`, which is the same as `train pmi`.
    window            `int`, at least 1, below 100000, default `10`. Number of context words on each side of the
                      centre.
    window_weight     `'harmonic'` or `'uniform'` or `'dynamic'`, default `'harmonic'`. Weight of a co-occurrence
                      at distance k: `harmonic` 1/k, `uniform` 1, `dynamic` (window-k+1)/window.
    context_side      `'both'` or `'left'` or `'right'`, default `'both'`. The side of the centre from which
                      contexts are taken; the centre is always the row.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi",
        pmi_shift: float = 1.0,
        cds: float = 0.75,
        eig: float = 0.5,
        vectors: Literal["w", "c", "w+c", "concat"] = "w",
        normalize: bool = False,
        tol: float = 0.01,
        max_passes: int = 200,
        solver: Literal["krylov", "arpack", "none"] = "krylov",
        window: int = 10,
        window_weight: Literal["harmonic", "uniform", "dynamic"] = "harmonic",
        context_side: Literal["both", "left", "right"] = "both",
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...

class SimplerGloVe(TextEstimator):
    """Simpler-GloVe (Su Jianlin 2017).

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    epochs            `int`, at least 1, default `30`. Number of passes over the entries.
    lr                `float`, above 0, default `0.1`. Initial learning rate of AdaGrad.
    x_max             `float`, above 0, default `100.0`. The count whose weight is 1.
    weight_power      `float`, at least 0, default `0.75`. Exponent α of the weight (count / x-max)^α.
    truncate_weight   `'on'` or `'off'`, default `'on'`. Whether the weight of counts above x-max is capped at 1.
    tying             `'tied'` or `'free'`, default `'tied'`. One set of vectors for words and contexts (best for
                      meaning), or two (concatenated, best for grammar).
    clip              `float` or `None`, above 0. Clip each component of a gradient to this, before multiplying by
                      the learning rate; off by default.
    accumulators      `'component'` or `'row'`, default `'component'`. AdaGrad's sums of squares: one per
                      component, as in GloVe's program, or one per row, which is faster and smaller at the same
                      loss.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'` or `None`. The vectors that queries use: only w if
                      tied; any of the four if free, by default concat.
    center            `'none'` or `'mean'`, default `'none'`. Subtract the mean from the vectors that queries use.
    held_out          `float`, at least 0, below 1, default `0.0`. Fraction of the entries that are held out from
                      training, which stops when their loss no longer falls.
    patience          `int`, at least 1, default `2`. With `held-out`: number of consecutive epochs that may pass
                      without a lower loss.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks start at random.
    window            `int`, at least 1, below 100000, default `10`. Number of context words on each side of the
                      centre.
    window_weight     `'harmonic'` or `'uniform'` or `'dynamic'`, default `'uniform'`. Weight of a co-occurrence
                      at distance k: `uniform` 1, `harmonic` 1/k, `dynamic` (window-k+1)/window.
    context_side      `'both'` or `'left'` or `'right'`, default `'both'`. The side of the centre from which
                      contexts are taken; the centre is always the row.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        epochs: int = 30,
        lr: float = 0.1,
        x_max: float = 100.0,
        weight_power: float = 0.75,
        truncate_weight: Literal["on", "off"] = "on",
        tying: Literal["tied", "free"] = "tied",
        clip: float | None = None,
        accumulators: Literal["component", "row"] = "component",
        vectors: Literal["w", "c", "w+c", "concat"] | None = None,
        center: Literal["none", "mean"] = "none",
        held_out: float = 0.0,
        patience: int = 2,
        init: str | None = None,
        window: int = 10,
        window_weight: Literal["harmonic", "uniform", "dynamic"] = "uniform",
        context_side: Literal["both", "left", "right"] = "both",
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...

class SkipGram(TextEstimator):
    """Skip-gram (Mikolov et al. 2013).

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    window            `int`, at least 1, default `5`. Largest number of context words on each side of the centre.
    radius            `'random'` or `'fixed'`, default `'random'`. Size of each window: drawn from 1 to `window`,
                      or always `window`.
    loss              `'ns'` or `'hs'` or `'softmax'`, default `'ns'`. Negative sampling, hierarchical softmax,
                      or, for small vocabularies, the full softmax.
    negative          `int`, at least 1, below 10000, default `5`. With ns: number of negative samples per
                      example.
    noise             `'shared'` or `'own'`, default `'shared'`. With ns: whether neighbouring windows share
                      negative samples, or each input draws its own, as in word2vec's program.
    noise_words       `int`, at least 1, below 1025, default `16`. With shared noise: number of words drawn for
                      each group of windows; more take longer and improve analogies.
    noise_power       `float`, at least 0, default `0.75`. With ns: negative samples are drawn in proportion to
                      their counts to this power.
    subsample         `float`, at least 0, default `0.001`. Subsample frequent words: a word of frequency f > 2.6
                      t is kept with probability √(t/f) + t/f; 0 keeps all.
    epochs            `int`, at least 1, default `5`. Number of passes over the text.
    lr                `float`, above 0, default `0.025`. Initial learning rate, which decays linearly to `min-lr`.
    min_lr            `float` or `None`, at least 0. Final learning rate, by default 1e-4 of `lr`. With few
                      epochs, a tenth of `lr` or more gives better vectors.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'`, default `'w'`. The vectors that queries use: input
                      (word) or output (context) vectors, their sum, or both concatenated.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks are initialised as usual.
    extend            `bool`, default `False`. Keep the words of `init` that the text lacks, with their vectors;
                      counts are added up.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    predict           `'centre'` or `'contexts'`, default `'centre'`. Whether each context word predicts the
                      centre, as in word2vec's program, or the centre its contexts, as in the paper.
    min_count         `int`, at least 1, default `5`. Words that occur fewer times than this are left out of the
                      vocabulary.
    max_vocab         `int` or `None`, at least 1. Keep only this many of the most frequent words; ties are broken
                      by byte order.
    tokenizer         `str`, default `'whitespace'`. How a line is split into words: `whitespace` (ASCII),
                      `regex`, `jieba`, or a Python function as `module:function`; from Python, the function
                      itself can be passed.
    lowercase         `bool`, default `False`. Convert the text to lower case, by Unicode's rules, before it is
                      split.

    pooling       how `transform` makes a vector of a document: "mean", "sum" or "sif", as in `Vectors.sentence_vector`
    output        the model file to write; by default a temporary one, which is part of a pickle of the estimator
    random_state  an integer, a generator of NumPy, or None for a fresh seed
    n_jobs        the number of threads, as in scikit-learn: None is 1, -1 is all cores

    Attributes, once fitted: `model_`, the `Model`; `vectors_`, its `Vectors`; `vocabulary_`, the row of each word.
    """

    def __init__(
        self,
        *,
        vector_size: int = 100,
        window: int = 5,
        radius: Literal["random", "fixed"] = "random",
        loss: Literal["ns", "hs", "softmax"] = "ns",
        negative: int = 5,
        noise: Literal["shared", "own"] = "shared",
        noise_words: int = 16,
        noise_power: float = 0.75,
        subsample: float = 0.001,
        epochs: int = 5,
        lr: float = 0.025,
        min_lr: float | None = None,
        vectors: Literal["w", "c", "w+c", "concat"] = "w",
        init: str | None = None,
        extend: bool = False,
        deterministic: bool = False,
        predict: Literal["centre", "contexts"] = "centre",
        min_count: int = 5,
        max_vocab: int | None = None,
        tokenizer: str | Callable[[str], Iterable[str]] = "whitespace",
        lowercase: bool = False,
        pooling: Literal["mean", "sum", "sif"] = "mean",
        output: PathLike | None = None,
        random_state: Any = 1,
        n_jobs: int | None = None,
    ) -> None: ...
