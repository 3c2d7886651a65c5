"""From text to co-occurrence statistics and word vectors on one machine: exact, out of core, repeatable.

    corpus = encode("text.txt", "corpus")          # words as numbers, once
    cooc = count("corpus", "cooc")                 # exact co-occurrence counts
    model = train("glove", "cooc", "model.h5")     # vectors, in HDF5
    nn("model.h5", ["ice"])                        # neighbours

Names are loaded when they are first used, so that `import cooc_engine` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cooc_engine.config import CountOptions, EncodeOptions, GloveOptions, PmiSvdOptions
    from cooc_engine.cooc import Cooc, count, merge
    from cooc_engine.corpus import Corpus, encode, encode_documents
    from cooc_engine.errors import CoocError
    from cooc_engine.estimators import PMITransformer, SparseSVD
    from cooc_engine.evaluation import evaluate
    from cooc_engine.interchange import export_glove, import_glove
    from cooc_engine.job import run
    from cooc_engine.modelfile import Model, open_model
    from cooc_engine.models import train
    from cooc_engine.progress import Progress, open_progress
    from cooc_engine.query import Vectors, nn
    from cooc_engine.stages import append
    from cooc_engine.summary import info

_HOME = {
    "CountOptions": "config",
    "EncodeOptions": "config",
    "GloveOptions": "config",
    "PmiSvdOptions": "config",
    "Cooc": "cooc",
    "count": "cooc",
    "merge": "cooc",
    "append": "stages",
    "export_glove": "interchange",
    "import_glove": "interchange",
    "Corpus": "corpus",
    "encode": "corpus",
    "encode_documents": "corpus",
    "CoocError": "errors",
    "evaluate": "evaluation",
    "run": "job",
    "Model": "modelfile",
    "open_model": "modelfile",
    "train": "models",
    "PMITransformer": "estimators",
    "SparseSVD": "estimators",
    "Progress": "progress",
    "open_progress": "progress",
    "Vectors": "query",
    "nn": "query",
    "info": "summary",
}

__all__ = [  # noqa: RUF022  in the order of the data's way
    "encode", "encode_documents", "Corpus", "EncodeOptions",
    "count", "merge", "append", "export_glove", "import_glove", "Cooc", "CountOptions",
    "train", "GloveOptions", "PmiSvdOptions", "Model", "open_model",
    "PMITransformer", "SparseSVD",
    "Vectors", "nn", "evaluate", "info", "run",
    "Progress", "open_progress", "CoocError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
