"""Options for evaluating and comparing models, by words and by documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.runtime.options import AtLeast, Below, Flag, Options
from cooc_engine.text.reading import ReadingOptions

__all__ = [
    "AccuracyOptions", "ClassifyOptions", "ClusterOptions", "CompareOptions", "DocumentOptions", "EvalOptions", "ProbeOptions",
]  # fmt: skip


@dataclass(frozen=True)
class EvalOptions(Options):
    """How vectors are evaluated."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Restrict the answers of analogies to this many of the most frequent words."""
    by_section: bool = False
    """Also show the scores of each section of the analogies."""
    bootstrap: Annotated[int, AtLeast(0), Below(10**6)] = 0
    """Number of bootstrap samples of pairs and questions, such as 1000, for 95 % intervals of the scores; 0 for none."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap and of the clustering."""
    trust_tokenizer: bool = False
    """Allow the Python tokenizer function that the model names, if it names one, to split the sentences."""


@dataclass(frozen=True)
class CompareOptions(Options):
    """How models are compared."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Search analogies and neighbours only among this many of the most frequent words."""
    samples: Annotated[int, AtLeast(100), Below(10**6)] = 1000
    """Number of bootstrap samples for the intervals."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap."""
    frequent: Annotated[int, AtLeast(1)] = 1000
    """Compare the neighbours of this many of the most frequent words."""
    neighbours: Annotated[int, AtLeast(1), Flag(alias=("--topn",))] = 10
    """Number of nearest neighbours to compare."""
    common: bool = False
    """Compare models with different vocabularies on the words that they share, instead of refusing them."""


@dataclass(frozen=True)
class DocumentOptions(Options):
    """How labelled documents are read, and where their vectors come from."""

    label: str = "__label__"
    """Prefix of the word that is the label of a line, if labels are neither in a column nor in separate files."""
    label_column: Annotated[int | None, AtLeast(1)] = None
    """The column of tab-separated lines, counted from 1, that holds the labels."""
    doc_id_column: Annotated[int | None, AtLeast(1)] = None
    """The column of tab-separated lines, counted from 1, that holds document ids; by default their numbers across all texts."""
    documents: Literal["infer", "trained", "words"] = "infer"
    """With a document model: use vectors inferred from the text, the trained ones looked up by id, or those of the words."""
    words: Literal["mean", "sum", "sif"] = "mean"
    """How word vectors are combined into a document vector: mean, sum, or the weighted mean of SIF."""
    unit: Literal["on", "off"] = "on"
    """Whether document vectors are scaled to length 1."""
    infer_epochs: Annotated[int, AtLeast(1)] = 20
    """Number of passes over each inferred document."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of inference, of the first clustering and of the bootstrap."""
    trust_tokenizer: bool = False
    """Allow the Python tokenizer function that the model names, if it names one, to split the documents."""


@dataclass(frozen=True)
class ClusterOptions(DocumentOptions):
    """How documents are clustered."""

    clusters: Annotated[int | None, AtLeast(1)] = None
    """Number of clusters; by default the number of labels."""
    runs: Annotated[int, AtLeast(1), Below(10**4)] = 10
    """Number of clusterings with different seeds, over which scores are averaged."""


@dataclass(frozen=True)
class ProbeOptions(Options):
    """How the layers of ELMo are evaluated."""

    plain: bool = False
    """Lower-case tagged words and words in context, and keep only ASCII letters and digits, as in corpora such as enwiki."""
    save_mix: str | None = None
    """Write the mix learned from the tags to this file, for `embed --layers mix --mix`."""
    force: bool = False
    """Replace an existing file of the mix."""
    trust_tokenizer: bool = False
    """Allow the Python tokenizer function that the model names, if it names one, to split the texts."""


@dataclass(frozen=True)
class ClassifyOptions(DocumentOptions):
    """How documents are classified."""

    neighbours: Annotated[int, AtLeast(1), Flag(alias=("--k", "-k"))] = 5
    """Number of nearest neighbours that vote on the label of a document."""
    samples: Annotated[int, AtLeast(100), Below(10**6)] = 1000
    """Number of bootstrap samples of the test documents for the intervals."""


@dataclass(frozen=True)
class AccuracyOptions(ReadingOptions):
    """How trained classifiers are tested."""

    samples: Annotated[int, AtLeast(100), Below(10**6)] = 1000
    """Number of bootstrap samples of the lines for the intervals."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap."""
    trust_tokenizer: bool = False
    """Allow the Python tokenizer function that the model names, if it names one, to split the texts."""
