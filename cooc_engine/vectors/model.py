"""A model that can be queried: the model file, and its vectors, which are opened at the first query."""

from __future__ import annotations

import functools
from typing import Any

from cooc_engine.formats.vectors import Errors, ForeignModel, convert
from cooc_engine.models.file import ModelFile
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.paths import path_of
from cooc_engine.runtime.types import Matrix, PathLike
from cooc_engine.vectors.columns import ColumnVectors
from cooc_engine.vectors.documents import DocumentVectors, Text
from cooc_engine.vectors.gensim_names import GensimNames
from cooc_engine.vectors.keyed import Keys
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.words import Answers

__all__ = ["Model", "import_vectors", "open_model"]


class Model(ModelFile, GensimNames):
    """An open model, which can be queried: `model.vectors.most_similar("ice")`, or `model.wv` and `model.dv` as in gensim.

    >>> model = open_model("model.h5")
    >>> model
    <Model: family glove, words 21, size 10, vectors w+c, loss 0.05... in epoch 25, file model.h5>
    >>> model.array("contexts").shape
    (21, 10)

    Its small parts are in memory; its parameters are mapped, read-only, and verified by their checksums before they are used,
    which raises `FormatError` if they are damaged. A model is accepted in place of its path, and pickled as its path.

    path, family, published, vocabulary, config, provenance, history, evaluation, axes, document_ids, codes, labels, kept,
    column_names: as in `ModelData`.
    """

    @functools.cached_property
    def vectors(self) -> Vectors:
        """The published vectors of words, and queries on them."""
        return Vectors.open(self)

    @property
    def wv(self) -> Vectors:
        """The vectors of words, under gensim's name."""
        return self.vectors

    @functools.cached_property
    def documents(self) -> DocumentVectors:
        """The vectors of documents, and queries on them; raises `UsageError` if there are none."""
        return DocumentVectors.open(self)

    @property
    def dv(self) -> DocumentVectors:
        """The vectors of documents, under gensim's name."""
        return self.documents

    @functools.cached_property
    def columns(self) -> ColumnVectors:
        """The vectors of columns, and queries on them; raises `UsageError` if there are none."""
        return ColumnVectors.open(self)

    def most_similar(self, positive: Keys = (), negative: Keys = (), topn: int = 10) -> Answers:
        """Return the `topn` nearest words, as `Vectors.most_similar` does."""
        return self.vectors.most_similar(positive, negative, topn)

    def infer_vector(self, text: Text, **how: Any) -> Matrix:
        """Return the vector (d,) of a new document, as `DocumentVectors.infer_vector` does."""
        return self.documents.infer_vector(text, **how)


@gated
def open_model(path: PathLike, *, verify: bool = False) -> Model:
    """Open a model without reading its parameters, which are mapped, and verified when they are first read.

    >>> open_model("model.h5").shapes["words"]
    (21, 10)

    Structure, vocabulary and records are checked now; with `verify` so are all parameters. Raises `InputError` if there is no
    such file and `FormatError`, naming file and element, if it is not a complete, undamaged model of a known version.
    """
    return Model.open(path, verify=verify)


@gated
def import_vectors(
    path: PathLike,
    output: PathLike,
    format: str | None = None,
    *,
    errors: Errors = "strict",
    vocab: PathLike | None = None,
    options: PathLike | None = None,
    force: bool = False,
) -> Model:
    """Convert a file of vectors to a model file; return the opened model.

    >>> path = export_vectors("model.h5", "vectors.txt")
    >>> import_vectors("vectors.txt", "imported.h5").most_similar("tea", topn=1)[0][0]
    'coffee'

    The format is recognised unless it is given. Few formats record how often words occur; `vocab` is a file with a word and
    its count per line, as GloVe's and word2vec's programs write it. Words that it lacks have count 0. The order is kept.
    With `errors` "skip", malformed lines and repeated words are left out, and counted by kind in
    `model.provenance["left_out"]`. For a file of ELMo's weights `vocab` is its vocabulary, a word per line, and `options` its
    options; both are found by their names if they lie beside it. `Vectors.from_gensim` takes gensim's vectors in memory. Raises
    what `read_vectors` raises.
    """
    return Model.of(convert(ForeignModel(path_of(path), format, errors, vocab, options), path_of(output), force=force))
