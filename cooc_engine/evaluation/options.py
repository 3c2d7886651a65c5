"""Options of evaluating and comparing models, by words and by documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cooc_engine.runtime.options import AtLeast, Flag, Options

__all__ = [
    "AccuracyOptions", "ClassifyOptions", "ClusterOptions", "CompareOptions", "DocumentOptions", "EvalOptions", "ProbeOptions",
]  # fmt: skip


@dataclass(frozen=True)
class EvalOptions(Options):
    """How vectors are judged."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Answer analogies only with this many of the most frequent words."""
    by_section: bool = False
    """Show the scores of each section of the analogies too."""
    bootstrap: Annotated[int, AtLeast(0)] = 0
    """Number of bootstrap samples of pairs and questions, such as 1000, for 95 % intervals of the scores; 0 shows none."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap and of the clustering."""
    trust_tokenizer: bool = False
    """Run the Python function by which a model says that its text was split, if there is one, on the sentences."""


@dataclass(frozen=True)
class CompareOptions(Options):
    """How models are compared."""

    restrict: Annotated[int, AtLeast(1)] = 30_000
    """Search analogies and neighbours only among this many of the most frequent words."""
    samples: Annotated[int, AtLeast(100)] = 1000
    """Number of bootstrap samples for the intervals."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap."""
    frequent: Annotated[int, AtLeast(1)] = 1000
    """Compare the neighbours of this many of the most frequent words."""
    neighbours: Annotated[int, AtLeast(1), Flag(alias=("--topn",))] = 10
    """Number of nearest neighbours to compare."""
    common: bool = False
    """Compare models of different vocabularies on the words they share, instead of refusing them."""


@dataclass(frozen=True)
class DocumentOptions(Options):
    """How labelled documents are read, and where their vectors come from."""

    label: str = "__label__"
    """Prefix of the word of a line that is its label, if labels are neither in a column nor in files of their own."""
    label_column: Annotated[int | None, AtLeast(1)] = None
    """The column of tab-separated lines, from 1, with the labels."""
    doc_id_column: Annotated[int | None, AtLeast(1)] = None
    """The column of tab-separated lines, from 1, with the ids of documents; by default they are numbered through all texts."""
    documents: Literal["infer", "trained", "words"] = "infer"
    """From a model of documents, take vectors inferred from the text, those trained for its id, or those of its words."""
    words: Literal["mean", "sum", "sif"] = "mean"
    """How vectors of words become one of a document: as a mean, a sum, or a mean with the weights of SIF."""
    unit: Literal["on", "off"] = "on"
    """Scale the vectors of documents to length 1."""
    infer_epochs: Annotated[int, AtLeast(1)] = 20
    """Number of passes over each document that is inferred."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of inference, of the first clustering and of the bootstrap."""
    trust_tokenizer: bool = False
    """Run the Python function by which a model says that its text was split, if there is one, on the documents."""


@dataclass(frozen=True)
class ClusterOptions(DocumentOptions):
    """How documents are clustered."""

    clusters: Annotated[int | None, AtLeast(1)] = None
    """Number of clusters; by default the number of labels."""
    runs: Annotated[int, AtLeast(1)] = 10
    """Number of clusterings, each with a seed of its own; scores are their means."""


@dataclass(frozen=True)
class ProbeOptions(Options):
    """How the layers of ELMo are judged."""

    plain: bool = False
    """Lower-case the words of tags and in context, and keep only letters and digits of ASCII, as corpora such as enwiki are."""
    save_mix: str | None = None
    """Write the mix that is learned from the tags to this file, for `embed --layers mix --mix`."""


@dataclass(frozen=True)
class ClassifyOptions(DocumentOptions):
    """How documents are classified."""

    neighbours: Annotated[int, AtLeast(1), Flag(alias=("--k", "-k"))] = 5
    """Number of nearest documents by whose labels a document is classified."""
    samples: Annotated[int, AtLeast(100)] = 1000
    """Number of bootstrap samples of the test documents for the intervals."""


@dataclass(frozen=True)
class AccuracyOptions(Options):
    """How classifiers that are models themselves are tested."""

    samples: Annotated[int, AtLeast(100)] = 1000
    """Number of bootstrap samples of the lines for the intervals."""
    seed: Annotated[int, AtLeast(0)] = 1
    """Random seed of the bootstrap."""
    trust_tokenizer: bool = False
    """Run the Python function by which a model says that its text was split, if there is one, on the texts."""
