"""Made by scripts/stubs.py: types and defaults of the options."""

from __future__ import annotations

from typing import Any, Literal, overload

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.models.matrix_options import GloveOptions, PmiOptions, PmiSvdOptions, SimplerGloveOptions
from cooc_engine.models.sampled_options import CbowOptions, Doc2vecOptions, FasttextOptions, JoseOptions, SkipgramOptions
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.pipeline.stages import Source
from cooc_engine.runtime.progress import Shown
from cooc_engine.runtime.types import PathLike
from cooc_engine.vectors.model import Model

__all__ = ["train"]

@overload
def train(
    model: Literal["glove"],
    source: Source,
    output: PathLike,
    options: GloveOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    processes: int | None = None,
    cluster: Any = None,
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
    seed: int = 1,
) -> Model:
    """Train GloVe (Pennington, Socher and Manning 2014).

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
    seed              `int`, at least 0, default `1`. Random seed of the initial values, of the order of the
                      entries and of those held out.
    """

@overload
def train(
    model: Literal["simpler-glove"],
    source: Source,
    output: PathLike,
    options: SimplerGloveOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    processes: int | None = None,
    cluster: Any = None,
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
    seed: int = 1,
) -> Model:
    """Train simpler-GloVe (Su Jianlin 2017): PMI as inner product. A text is counted with uniform weights unless told.

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
    seed              `int`, at least 0, default `1`. Random seed of the initial values, of the order of the
                      entries and of those held out.
    """

@overload
def train(
    model: Literal["pmi"],
    source: Source,
    output: PathLike,
    options: PmiOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    pmi: Literal["ppmi", "pmi", "npmi"] = "ppmi",
    pmi_shift: float = 1.0,
    cds: float = 0.75,
) -> Model:
    """Write the rows of the PMI matrix as sparse vectors (Levy, Goldberg and Dagan 2015).

    pmi               `'ppmi'` or `'pmi'` or `'npmi'`, default `'ppmi'`. `ppmi` keeps positive values, `pmi` those
                      of all counted pairs; `npmi` divides them by -log of the pair's probability.
    pmi_shift         `float`, at least 1e-100, default `1.0`. The log of this is subtracted from the PMI; it
                      corresponds to the number of negative samples in skip-gram.
    cds               `float`, at least 0, default `0.75`. Context distribution smoothing: the exponent applied to
                      context counts.
    """

@overload
def train(
    model: Literal["pmi-svd"],
    source: Source,
    output: PathLike,
    options: PmiSvdOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    processes: int | None = None,
    cluster: Any = None,
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
    seed: int = 1,
) -> Model:
    """Factorise the pointwise mutual information (Levy, Goldberg and Dagan 2015).

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
    seed              `int`, at least 0, default `1`. Random seed of the first block.
    """

@overload
def train(
    model: Literal["skipgram"],
    source: Source,
    output: PathLike,
    options: SkipgramOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
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
    seed: int = 1,
    deterministic: bool = False,
    predict: Literal["centre", "contexts"] = "centre",
) -> Model:
    """Train skip-gram (Mikolov et al. 2013).

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
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    predict           `'centre'` or `'contexts'`, default `'centre'`. Whether each context word predicts the
                      centre, as in word2vec's program, or the centre its contexts, as in the paper.
    """

@overload
def train(
    model: Literal["cbow"],
    source: Source,
    output: PathLike,
    options: CbowOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
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
    seed: int = 1,
    deterministic: bool = False,
    gradient: Literal["whole", "share"] = "whole",
) -> Model:
    """Train CBOW, the continuous bag of words (Mikolov et al. 2013).

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
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    gradient          `'whole'` or `'share'`, default `'whole'`. The share of the mean's gradient that each of its
                      C words receives: all of it, as in word2vec's program, or 1/C.
    """

@overload
def train(
    model: Literal["doc2vec"],
    source: Source,
    output: PathLike,
    options: Doc2vecOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
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
    seed: int = 1,
    deterministic: bool = False,
    architecture: Literal["dbow", "dm"] = "dbow",
    combine: Literal["mean", "sum", "concat"] = "mean",
    words: Literal["on", "off"] = "off",
) -> Model:
    """Train Doc2Vec, vectors of documents (Le and Mikolov 2014).

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
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
    deterministic     `bool`, default `False`. Train slower, with the same vectors for any number of threads.
    architecture      `'dbow'` or `'dm'`, default `'dbow'`. PV-DBOW: a document predicts each of its words; or
                      PV-DM: the mean of document and window predicts the centre.
    combine           `'mean'` or `'sum'` or `'concat'`, default `'mean'`. With dm: use the mean of document and
                      window, their sum, or their concatenation, with weights for each position.
    words             `'on'` or `'off'`, default `'off'`. With dbow: also train skip-gram, so that words have
                      input vectors in the same space as documents.
    """

@overload
def train(
    model: Literal["jose"],
    source: Source,
    output: PathLike,
    options: JoseOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    vector_size: int = 100,
    window: int = 5,
    radius: Literal["random", "fixed"] = "random",
    negative: int = 2,
    noise: Literal["shared", "own"] = "shared",
    noise_words: int = 64,
    noise_power: float = 0.75,
    subsample: float = 0.001,
    epochs: int = 10,
    lr: float = 0.04,
    min_lr: float | None = None,
    vectors: Literal["w", "c", "w+c", "concat"] = "w",
    init: str | None = None,
    extend: bool = False,
    seed: int = 1,
    deterministic: bool = False,
    margin: float = 0.15,
    hinge: Literal["separate", "joint"] = "separate",
    step: Literal["program", "cosine", "plain"] = "program",
) -> Model:
    """Train JoSE, joint spherical embedding of words and documents (Meng et al. 2019).

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    window            `int`, at least 1, default `5`. Largest number of context words on each side of the centre.
    radius            `'random'` or `'fixed'`, default `'random'`. Size of each window: drawn from 1 to `window`,
                      or always `window`.
    negative          `int`, at least 1, below 10000, default `2`. Number of noise words for each pair of a word
                      and its context, or document.
    noise             `'shared'` or `'own'`, default `'shared'`. Whether neighbouring words share their noise
                      words, or each draws its own, as in the authors' program.
    noise_words       `int`, at least 1, below 1025, default `64`. With shared noise: number of words that
                      neighbours share, a sixteenth of which is redrawn at each position.
    noise_power       `float`, at least 0, default `0.75`. Noise words are drawn in proportion to their counts to
                      this power.
    subsample         `float`, at least 0, default `0.001`. Subsample frequent words: a word of frequency f > 2.6
                      t is kept with probability √(t/f) + t/f; 0 keeps all.
    epochs            `int`, at least 1, default `10`. Number of passes over the text.
    lr                `float`, above 0, default `0.04`. Initial learning rate, which decays linearly to `min-lr`.
    min_lr            `float` or `None`, at least 0. Final learning rate, by default 1e-4 of `lr`. With few
                      epochs, a tenth of `lr` or more gives better vectors.
    vectors           `'w'` or `'c'` or `'w+c'` or `'concat'`, default `'w'`. The vectors that queries use: those
                      of words as centres or as contexts, their sum, or both concatenated.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks are initialised as usual.
    extend            `bool`, default `False`. Keep the words of `init` that the text lacks, with their vectors;
                      counts are added up.
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
    deterministic     `bool`, default `False`. Train in one thread, with the same vectors for any number of
                      threads.
    margin            `float`, above 0, below 4, default `0.15`. How much nearer to its context or document a word
                      must be than a noise word, as a difference of cosines.
    hinge             `'separate'` or `'joint'`, default `'separate'`. Separate losses for the context and the
                      document, as in the authors' program, or their joint loss, as in the article.
    step              `'program'` or `'cosine'` or `'plain'`, default `'program'`. Factor of each step: that of
                      the authors' program, the article's 1 + cos, or none (Riemannian gradient descent).
    """

@overload
def train(
    model: Literal["fasttext"],
    source: Source,
    output: PathLike,
    options: FasttextOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
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
    seed: int = 1,
    deterministic: bool = False,
    architecture: Literal["skipgram", "cbow"] = "skipgram",
    min_n: int = 3,
    max_n: int = 6,
    buckets: int = 2000000,
    mode: Literal["fasttext", "floret"] = "fasttext",
    hashes: int = 1,
) -> Model:
    """Train fastText's word vectors, from words and their n-grams (Bojanowski et al. 2017).

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
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
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
    """

@overload
def train(
    model: Literal["supervised"],
    source: Source,
    output: PathLike,
    options: SupervisedOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    vector_size: int = 100,
    loss: Literal["softmax", "hs", "ns", "ova"] = "softmax",
    negative: int = 5,
    label: str = "__label__",
    min_count: int = 1,
    min_count_label: int = 1,
    word_ngrams: int = 1,
    min_n: int = 0,
    max_n: int = 0,
    buckets: int = 2000000,
    epochs: int = 5,
    lr: float = 0.1,
    init: str | None = None,
    seed: int = 1,
    deterministic: bool = False,
) -> Model:
    """Train a classifier of lines, as fastText's program does (Joulin et al. 2017).

    vector_size       `int`, at least 1, default `100`. Dimension of the vectors.
    loss              `'softmax'` or `'hs'` or `'ns'` or `'ova'`, default `'softmax'`. Softmax over all labels,
                      hierarchical softmax, negative sampling, or one logistic regression for each label.
    negative          `int`, at least 1, below 10000, default `5`. With ns: number of negative samples per line.
    label             `str`, default `'__label__'`. Words that begin with this are labels; they may be anywhere in
                      a line.
    min_count         `int`, at least 1, default `1`. Words that occur fewer times than this have no vector, but
                      are still part of n-grams.
    min_count_label   `int`, at least 1, default `1`. Labels that occur fewer times than this are ignored.
    word_ngrams       `int`, at least 1, below 64, default `1`. Number of words of the longest word n-gram.
    min_n             `int`, at least 0, default `0`. Number of characters of the shortest subword.
    max_n             `int`, at least 0, below 64, default `0`. Number of characters of the longest subword; 0 for
                      no subwords.
    buckets           `int`, at least 1, below 2.14748e+09, default `2000000`. Number of rows that n-grams and
                      subwords are hashed to, if there are any.
    epochs            `int`, at least 1, default `5`. Number of passes over the text.
    lr                `float`, above 0, default `0.1`. Initial learning rate, which decays linearly to 0.
    init              `str` or `None`. Start from the vectors of this model, or of a file of vectors; words that
                      it lacks are initialised as usual.
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
    deterministic     `bool`, default `False`. Train in one thread, with the same vectors for any number of
                      threads.
    """

@overload
def train(
    model: Literal["elmo"],
    source: Source,
    output: PathLike,
    options: ElmoOptions | None = None,
    *,
    encode: EncodeOptions | None = None,
    count: CountOptions | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    progress: Shown = None,
    checkpoint_every: float = 10.0,
    vector_size: int = 128,
    cells: int = 256,
    layers: int = 2,
    characters: int = 32,
    filters: str = "1:32,2:32,3:64,4:128",
    highways: int = 1,
    activation: Literal["relu", "tanh"] = "relu",
    cell_clip: float = 3.0,
    projection_clip: float = 3.0,
    softmax_words: int = 30000,
    negatives: int = 2048,
    noise_power: float = 0.75,
    batch: int = 32,
    steps: int = 20,
    optimizer: Literal["adam", "program"] = "adam",
    lr: float | None = None,
    softmax_lr: float = 0.3,
    dropout: float | None = None,
    epochs: int = 1,
    held_out: int = 20000,
    init: str | None = None,
    seed: int = 1,
) -> Model:
    """Train ELMo, vectors of words in their sentences (Peters et al. 2018).

    vector_size       `int`, at least 1, default `128`. Dimension of a word's vector without context, and of the
                      output of each direction.
    cells             `int`, at least 1, default `256`. Number of LSTM cells in each layer and direction.
    layers            `int`, at least 1, below 100, default `2`. Number of LSTM layers in each direction.
    characters        `int`, at least 1, default `32`. Dimension of the vectors of characters, which are UTF-8
                      bytes.
    filters           `str`, default `'1:32,2:32,3:64,4:128'`. The convolutions over the characters: a
                      comma-separated list of WIDTH:NUMBER.
    highways          `int`, at least 0, below 100, default `1`. Number of highway layers between the convolutions
                      and the words' vectors.
    activation        `'relu'` or `'tanh'`, default `'relu'`. The activation function after the max-pooling of the
                      convolutions.
    cell_clip         `float`, above 0, default `3.0`. Clip the cells of the LSTM to this absolute value.
    projection_clip   `float`, above 0, default `3.0`. Clip the outputs of the LSTM to this absolute value.
    softmax_words     `int`, above 3, below 2.14748e+09, default `30000`. Number of the most frequent words that
                      the language models predict; all others count as a single word.
    negatives         `int`, at least 0, below 2.14748e+09, default `2048`. Number of words drawn in each step for
                      the sampled softmax; 0 for the full softmax.
    noise_power       `float`, at least 0, default `0.75`. These words are drawn in proportion to their counts to
                      this power.
    batch             `int`, at least 1, default `32`. Batch size: number of positions of the text that are read
                      in parallel.
    steps             `int`, at least 1, default `20`. Number of unrolled words, after which the parameters are
                      updated; gradients do not pass further back.
    optimizer         `'adam'` or `'program'`, default `'adam'`. Adam, with sparse AdaGrad for the softmax; or
                      AdaGrad with the settings of the program bilm-tf.
    lr                `float` or `None`, above 0. Learning rate: by default 0.004 with adam, decaying linearly to
                      5 % of that, and a constant 0.2 with program.
    softmax_lr        `float`, above 0, default `0.3`. With adam: learning rate of the softmax, which decays in
                      the same way.
    dropout           `float` or `None`, at least 0, below 1. Share of each layer's inputs, and of the outputs,
                      dropped at random: by default 0.1, or 0 for one epoch of adam.
    epochs            `int`, at least 1, default `1`. Number of passes over the text.
    held_out          `int`, at least 0, default `20000`. Approximate number of words in the documents held out to
                      measure the perplexity; at most 1 % of the text.
    init              `str` or `None`. Start from the parameters of this model, whose sizes must be the same.
    seed              `int`, at least 0, default `1`. Random seed of the initial values and of all sampling.
    """
