"""From text to co-occurrence statistics and word vectors on one machine: exact, out of core, repeatable.

    corpus = encode("text.txt", "corpus")          # words as numbers, once
    cooc = count("corpus", "cooc")                 # exact co-occurrence counts
    model = train("glove", "cooc", "model.h5")     # vectors, in HDF5
    nn("model.h5", ["ice"])                        # neighbours

Names are loaded when they are first used, so that `import cooc_engine` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from cooc_engine._version import __version__ as __version__

if TYPE_CHECKING:
    from cooc_engine.corpus.directory import Corpus
    from cooc_engine.corpus.encode import plan_encode
    from cooc_engine.corpus.options import EncodeOptions
    from cooc_engine.counts.count import plan_count
    from cooc_engine.counts.directory import Cooc
    from cooc_engine.counts.merge import merge, plan_merge
    from cooc_engine.counts.options import CountOptions
    from cooc_engine.errors import CoocError
    from cooc_engine.evaluation.classification import classify
    from cooc_engine.evaluation.clustering import cluster
    from cooc_engine.evaluation.judge import evaluate
    from cooc_engine.evaluation.layers import probe
    from cooc_engine.evaluation.options import ClassifyOptions, ClusterOptions, CompareOptions, ProbeOptions
    from cooc_engine.formats.glove_counts import export_glove, import_glove
    from cooc_engine.formats.hdf5_counts import CountFile, export_hdf5, import_hdf5
    from cooc_engine.formats.pairs import count_pairs
    from cooc_engine.formats.scipy_counts import import_matrix
    from cooc_engine.formats.vectors import export_vectors, read_vectors
    from cooc_engine.matrix.estimators import PMITransformer, SparseSVD
    from cooc_engine.models.matrix_options import GloveOptions, PmiOptions, PmiSvdOptions, SimplerGloveOptions
    from cooc_engine.models.quantize_options import QuantizeOptions
    from cooc_engine.models.sampled_options import (
        CbowOptions,
        Doc2vecOptions,
        FasttextOptions,
        JoseOptions,
        SkipgramOptions,
    )
    from cooc_engine.models.supervised_options import AutotuneOptions, SupervisedOptions
    from cooc_engine.pipeline.autotune import autotune
    from cooc_engine.pipeline.describe import info
    from cooc_engine.pipeline.job import plan_run, run
    from cooc_engine.pipeline.job_stages import StagePlan
    from cooc_engine.pipeline.stages import append
    from cooc_engine.pipeline.text_estimators import Cbow, Doc2Vec, FastText, GloVe, PmiSvd, SimplerGloVe, SkipGram
    from cooc_engine.pipeline.text_to_counts import count, encode, encode_documents
    from cooc_engine.pipeline.train import train
    from cooc_engine.reports.explorer import explore
    from cooc_engine.reports.page import compare
    from cooc_engine.reports.pictures import plot
    from cooc_engine.runtime.budget import Plan
    from cooc_engine.runtime.progress import Progress, open_progress
    from cooc_engine.text.tagged import TaggedDocument
    from cooc_engine.vectors.alignment import align
    from cooc_engine.vectors.classifier import Classifier
    from cooc_engine.vectors.columns import ColumnVectors
    from cooc_engine.vectors.contextual import ContextualVectors, InSentence
    from cooc_engine.vectors.documents import DocumentVectors, infer
    from cooc_engine.vectors.embed_options import EmbedOptions
    from cooc_engine.vectors.embedding import embed
    from cooc_engine.vectors.estimators import ContextualTransformer
    from cooc_engine.vectors.layer_mix import LayerMix, fit_mix
    from cooc_engine.vectors.model import Model, import_vectors, open_model
    from cooc_engine.vectors.near_index import IndexedVectors, build_index
    from cooc_engine.vectors.quantisation import quantize
    from cooc_engine.vectors.query import Vectors, nn
    from cooc_engine.vectors.ratios import ratio

_HOME = {
    "CbowOptions": "models.sampled_options",
    "ClassifyOptions": "evaluation.options",
    "ClusterOptions": "evaluation.options",
    "CompareOptions": "evaluation.options",
    "CountOptions": "counts.options",
    "Doc2vecOptions": "models.sampled_options",
    "EncodeOptions": "corpus.options",
    "FasttextOptions": "models.sampled_options",
    "GloveOptions": "models.matrix_options",
    "JoseOptions": "models.sampled_options",
    "PmiOptions": "models.matrix_options",
    "PmiSvdOptions": "models.matrix_options",
    "QuantizeOptions": "models.quantize_options",
    "SimplerGloveOptions": "models.matrix_options",
    "SkipgramOptions": "models.sampled_options",
    "AutotuneOptions": "models.supervised_options",
    "autotune": "pipeline.autotune",
    "SupervisedOptions": "models.supervised_options",
    "TaggedDocument": "text.tagged",
    "Cooc": "counts.directory",
    "count": "pipeline.text_to_counts",
    "merge": "counts.merge",
    "plan_encode": "corpus.encode",
    "plan_count": "counts.count",
    "plan_merge": "counts.merge",
    "Plan": "runtime.budget",
    "append": "pipeline.stages",
    "export_glove": "formats.glove_counts",
    "import_glove": "formats.glove_counts",
    "import_matrix": "formats.scipy_counts",
    "count_pairs": "formats.pairs",
    "CountFile": "formats.hdf5_counts",
    "export_hdf5": "formats.hdf5_counts",
    "import_hdf5": "formats.hdf5_counts",
    "Corpus": "corpus.directory",
    "encode": "pipeline.text_to_counts",
    "encode_documents": "pipeline.text_to_counts",
    "CoocError": "errors",
    "compare": "reports.page",
    "explore": "reports.explorer",
    "plot": "reports.pictures",
    "evaluate": "evaluation.judge",
    "probe": "evaluation.layers",
    "cluster": "evaluation.clustering",
    "classify": "evaluation.classification",
    "run": "pipeline.job",
    "plan_run": "pipeline.job",
    "StagePlan": "pipeline.job_stages",
    "Model": "vectors.model",
    "open_model": "vectors.model",
    "train": "pipeline.train",
    "PMITransformer": "matrix.estimators",
    **dict.fromkeys(("GloVe", "SimplerGloVe", "PmiSvd", "SkipGram", "Cbow", "FastText", "Doc2Vec"), "pipeline.text_estimators"),
    "SparseSVD": "matrix.estimators",
    "Progress": "runtime.progress",
    "open_progress": "runtime.progress",
    "Classifier": "vectors.classifier",
    "ColumnVectors": "vectors.columns",
    "Vectors": "vectors.query",
    "nn": "vectors.query",
    "ContextualVectors": "vectors.contextual",
    "InSentence": "vectors.contextual",
    "ContextualTransformer": "vectors.estimators",
    "DocumentVectors": "vectors.documents",
    "EmbedOptions": "vectors.embed_options",
    "ProbeOptions": "evaluation.options",
    "embed": "vectors.embedding",
    "LayerMix": "vectors.layer_mix",
    "fit_mix": "vectors.layer_mix",
    "infer": "vectors.documents",
    "IndexedVectors": "vectors.near_index",
    "build_index": "vectors.near_index",
    "ratio": "vectors.ratios",
    "info": "pipeline.describe",
    "align": "vectors.alignment",
    "quantize": "vectors.quantisation",
    "export_vectors": "formats.vectors",
    "import_vectors": "vectors.model",
    "read_vectors": "formats.vectors",
}

_INSTEAD = {  # names of gensim's and fastText's, for error messages
    "Word2Vec": "train('skipgram', ...) and train('cbow', ...) make its models",
    "KeyedVectors": "Vectors has its methods",
    "load_model": "Vectors.open, open_model and Classifier.open open a file",
    "train_unsupervised": "train('fasttext', ...) makes its models",
    "train_supervised": "train('supervised', ...) makes its models",
}

__all__ = [  # noqa: RUF022  in the order of the data's way
    "encode", "encode_documents", "TaggedDocument", "Corpus", "EncodeOptions",
    "count", "merge", "append", "Cooc", "CountOptions",
    "export_glove", "import_glove", "import_matrix", "count_pairs", "export_hdf5", "import_hdf5", "CountFile",
    "train", "GloveOptions", "SimplerGloveOptions", "PmiOptions", "PmiSvdOptions", "SkipgramOptions", "CbowOptions",
    "Doc2vecOptions", "JoseOptions", "FasttextOptions", "SupervisedOptions", "autotune", "AutotuneOptions",
    "Model", "open_model",
    "PMITransformer", "SparseSVD", "GloVe", "SimplerGloVe", "PmiSvd", "SkipGram", "Cbow", "FastText", "Doc2Vec",
    "export_vectors", "import_vectors", "read_vectors", "align", "quantize", "QuantizeOptions",
    "Vectors", "nn", "build_index", "IndexedVectors", "DocumentVectors", "ColumnVectors", "infer", "Classifier",
    "ContextualVectors", "InSentence", "embed", "EmbedOptions", "LayerMix", "fit_mix", "ContextualTransformer",
    "plot", "explore",
    "ratio", "evaluate", "cluster", "ClusterOptions", "classify", "ClassifyOptions", "compare", "CompareOptions", "probe",
    "ProbeOptions",
    "info", "run",
    "plan_encode", "plan_count", "plan_merge", "Plan", "plan_run", "StagePlan", "Progress", "open_progress", "CoocError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        hint = f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name, obj=sys.modules[__name__])
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__])
