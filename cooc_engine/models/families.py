"""The registry of model families: the entry of a family describes everything in which it differs from the others.

The command line, the model file, warm starts, queries, comparisons and jobs read it from here. An entry names its training
function as `module:function` instead of importing it, so the registry can come before the rooms that train.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.options import CountOptions, UniformCountOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.elmo_options import ElmoOptions, LettersOptions
from cooc_engine.models.matrix_options import AsWrittenOptions, GloveOptions, PmiOptions, PmiSvdOptions, SimplerGloveOptions
from cooc_engine.models.published import RECIPES, WITH_WORDS
from cooc_engine.models.sampled_options import CbowOptions, Doc2vecOptions, FasttextOptions, JoseOptions, SkipgramOptions
from cooc_engine.models.supervised_options import AllWordsOptions, SupervisedOptions
from cooc_engine.runtime.keywords import SharedTrainKeywords, TrainKeywords
from cooc_engine.runtime.options import Options, changed_options

__all__ = ["FAMILIES", "Family", "family_of", "named", "sampled", "trainable", "trainer_of"]


def untrained(*given: Any, **how: Any) -> Any:
    """Raise an error: the training function of a family that cannot be trained."""
    raise UsageError("models of this family are not trained")


@dataclass(frozen=True)
class NoOptions(Options):
    """Options of a family that is not trained."""


@dataclass(frozen=True, eq=False)
class Family:
    """A model family: its options, the function that trains it, and the options of counting a text for it.

    Unless other options are given, a text is encoded with the defaults of `encoding` and counted with those of `counting`. A
    family whose `counting` is None is trained on the encoded corpus itself. One training serves all values of the options in
    `derived`: `vectors(model, options)` computes the vectors for each by the function `derive`.

    title      the first line of the help of the command that trains it
    product    what the inner product of a word's and a context's vector estimates, up to terms that depend on only one of
               them: "log count", "pmi", or "" for neither
    measure    what the `loss` of a model's history is
    item       the unit that training counts, as `items` in a model's history
    arrays     the axes of each parameter by name, as "V d": V is the number of words, d the vector size, C the number of
               contexts, D that of documents and L that of labels, whose names the file then has; other letters name further
               axes, which have the same length in all arrays
    optional   those of `arrays` that a model may lack
    published  the choices among `RECIPES` that make vectors of them
    shared     whether several processes or machines can share the training
    rows       "dense"; "sparse" if the parameters are one sparse matrix whose rows are the vectors
    subwords   function from the options of training to the n-grams of words, whose rows are the array "subwords", or among
               the "ngrams" of a classifier
    inference  for families of documents: function of model, epochs, seed and threads, which returns an object whose method
               `vectors` infers new documents
    """

    options: type[Options] = NoOptions
    train: Callable[..., Any] = untrained
    counting: type[CountOptions] | None = CountOptions
    encoding: type[EncodeOptions] = EncodeOptions
    derived: tuple[str, ...] = ()
    derive: Callable[[Any, Any], Any] = lambda model, options: model.matrix
    title: str = ""
    product: str = ""
    item: str = "words"
    measure: str = "loss"
    arrays: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    published: tuple[str, ...] = WITH_WORDS
    shared: bool = False
    rows: Literal["dense", "sparse"] = "dense"
    subwords: Callable[[Mapping[str, Any]], Any] | None = None
    inference: Callable[..., Any] | None = None

    def accepted(self, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the keywords that the family's training takes."""
        known = (SharedTrainKeywords if self.shared else TrainKeywords).__annotations__
        return {name: value for name, value in keywords.items() if name in known}

    def vectors(self, model: Any, options: Options) -> Any:
        """Return the vectors that training with `options` would have published, from a model that differs only in `derived`.

        They are equal up to rounding. Raises `UsageError` for a model with other options.
        """
        had, wanted = model.config.get("train", {}), options.record()
        if had == wanted:
            return model.matrix
        changed = changed_options(had, {name: value for name, value in wanted.items() if name not in self.derived})
        if changed:
            raise UsageError(f"{model.path}: was made with different {changed}")
        return self.derive(model, options)

    def serving(self, wanted: Sequence[Options]) -> Options:
        """Return options for one training that serves all `wanted`, which differ only in `derived`: the first, unnormalized."""
        scaled = len(wanted) > 1 and "normalize" in self.derived
        return dataclasses.replace(wanted[0], normalize=False) if scaled else wanted[0]  # type: ignore[type-var]


def named(home: str) -> Callable[..., Any]:
    """Return the function `module:function`, whose module is imported at the first call."""

    def call(*given: Any, **how: Any) -> Any:
        module, _, function = home.partition(":")
        return getattr(importlib.import_module(module), function)(*given, **how)

    return call


def sampled(family: str, home: str) -> Callable[..., Any]:
    """Return the training function of a sampled family, from its name and its design, `module:function`."""
    return functools.partial(named("cooc_engine.sampled.training:train_sampled"), family, named(home))


# Input vectors, and output vectors of words or, for hierarchical softmax, of the inner nodes of the tree.
WORD2VEC: dict[str, Any] = {
    "counting": None,
    "arrays": {"words": "V d", "contexts": "V d", "nodes": "N d"},
    "optional": ("contexts", "nodes"),
}

FAMILIES = {
    "glove": Family(
        GloveOptions,
        named("cooc_engine.matrix.glove:train_glove"),
        derived=("vectors",),
        derive=named("cooc_engine.matrix.glove:derive"),
        shared=True,
        product="log count",
        item="entries",
        title="Train GloVe (Pennington, Socher and Manning 2014).",
        arrays={"words": "V d", "contexts": "V d", "word_bias": "V", "context_bias": "V"},
    ),
    "simpler-glove": Family(
        SimplerGloveOptions,
        named("cooc_engine.matrix.glove:train_simpler_glove"),
        UniformCountOptions,
        derived=("vectors",),
        derive=named("cooc_engine.matrix.glove:derive"),
        shared=True,
        product="pmi",
        item="entries",
        title="Train simpler-GloVe (Su Jianlin 2017): PMI as inner product. "
        "A text is counted with uniform weights unless told.",
        arrays={"words": "V d", "contexts": "V d"},
        optional=("contexts",),
    ),
    "pmi": Family(
        PmiOptions,
        named("cooc_engine.matrix.sparse_pmi:train_pmi"),
        item="entries",
        title="Write the rows of the PMI matrix as sparse vectors (Levy, Goldberg and Dagan 2015).",
        arrays={"vectors": "V C"},
        published=("w",),
        rows="sparse",
    ),
    "pmi-svd": Family(
        PmiSvdOptions,
        named("cooc_engine.matrix.pmi_svd:train_pmi_svd"),
        shared=True,
        encoding=AsWrittenOptions,
        derived=("eig", "vectors", "normalize"),
        derive=named("cooc_engine.matrix.pmi_svd:derive"),
        item="products",
        measure="largest residual",
        title="Factorise the pointwise mutual information (Levy, Goldberg and Dagan 2015).",
        arrays={"words": "V d", "contexts": "C d", "singular_values": "d", "residuals": "d"},
    ),
    "skipgram": Family(
        SkipgramOptions,
        sampled("skipgram", "cooc_engine.sampled.word2vec:design_skipgram"),
        title="Train skip-gram (Mikolov et al. 2013).",
        **WORD2VEC,
    ),
    "cbow": Family(
        CbowOptions,
        sampled("cbow", "cooc_engine.sampled.word2vec:design_cbow"),
        title="Train CBOW, the continuous bag of words (Mikolov et al. 2013).",
        **WORD2VEC,
    ),
    "doc2vec": Family(
        Doc2vecOptions,
        sampled("doc2vec", "cooc_engine.sampled.doc2vec:design_doc2vec"),
        counting=None,
        title="Train Doc2Vec, vectors of documents (Le and Mikolov 2014).",
        # With a concatenation: a row for words beyond the ends of a text, and outputs with S segments, the document's first.
        arrays={
            "documents": "D d",
            "words": "V d",
            "contexts": "V d",
            "nodes": "N d",
            "padding": "P d",
            "window_contexts": "V S d",
            "window_nodes": "N S d",
        },
        optional=("words", "contexts", "nodes", "padding", "window_contexts", "window_nodes"),
        published=tuple(RECIPES),
        inference=named("cooc_engine.sampled.doc2vec:inference_doc2vec"),
    ),
    "jose": Family(
        JoseOptions,
        sampled("jose", "cooc_engine.sampled.jose:design_jose"),
        counting=None,
        title="Train JoSE, joint spherical embedding of words and documents (Meng et al. 2019).",
        arrays={"words": "V d", "contexts": "V d", "documents": "D d"},
        inference=named("cooc_engine.sampled.jose:inference_jose"),
    ),
    "fasttext": Family(
        FasttextOptions,
        sampled("fasttext", "cooc_engine.sampled.fasttext:design_fasttext"),
        counting=None,
        title="Train fastText's word vectors, from words and their n-grams (Bojanowski et al. 2017).",
        # `words` are computed: the mean of each word's own row, which floret lacks, and the rows of its subwords.
        arrays={"words": "V d", "own": "V d", "subwords": "B d", "contexts": "V d", "nodes": "N d"},
        optional=("own", "subwords", "contexts", "nodes"),
        subwords=named("cooc_engine.models.subwords:subwords_of"),
    ),
    "supervised": Family(
        SupervisedOptions,
        sampled("supervised", "cooc_engine.sampled.supervised:design_supervised"),
        counting=None,
        encoding=AllWordsOptions,
        title="Train a classifier of lines, as fastText's program does (Joulin et al. 2017).",
        arrays={"words": "V d", "ngrams": "B d", "labels": "L d"},
        optional=("ngrams",),
        published=("w",),
        subwords=named("cooc_engine.models.subwords:subwords_of"),
    ),
    "elmo": Family(
        ElmoOptions,
        named("cooc_engine.contextual.training:train_elmo"),
        counting=None,
        encoding=LettersOptions,
        item="places",
        title="Train ELMo, vectors of words in their sentences (Peters et al. 2018).",
        # `words` are vectors without context. The network that makes them has axes that each model file records.
        arrays={"words": "V d"},
        published=("w",),
    ),
    "imported": Family(arrays={"words": "V d"}, published=("w",)),  # vectors of another program
}


def trainable() -> dict[str, Family]:
    """Return the families that can be trained, by name."""
    return {name: family for name, family in FAMILIES.items() if family.train is not untrained}


def family_of(model: str) -> Family:
    """Return the trainable family of this name; raises `UsageError`, listing the names, if there is none."""
    families = trainable()
    if model not in families:
        raise UsageError(f"unknown model {model!r}; there are: {', '.join(families)}")
    return families[model]


def trainer_of(options: Options) -> Callable[..., Any]:
    """Return the training function of the family that has options of this kind, or of a class derived from them."""
    trainers = {family.options: family.train for family in FAMILIES.values()}
    return next(trainers[kind] for kind in type(options).__mro__ if kind in trainers)
