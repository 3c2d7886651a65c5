"""Vectors of documents: queries on those of the training by their ids, and inference for new documents."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from cooc_engine.errors import UnknownWordError, UsageError
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.models.sampled_options import INFER_EPOCHS, INFER_SEED
from cooc_engine.runtime.arguments import gated, items
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.options import AtLeast, Below
from cooc_engine.runtime.types import Matrix, PathLike, WordIds
from cooc_engine.text.readers import document_words
from cooc_engine.text.reading import Reading
from cooc_engine.text.tagged import untagged
from cooc_engine.text.tokenizers import Splitting
from cooc_engine.vectors.query import Vectors
from cooc_engine.vectors.words import Key

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DocumentVectors", "Text", "infer"]

Text = str | Iterable[str]


class DocumentVectors(Vectors):
    """The documents of a model and their vectors: all methods of `Vectors`, with document ids in place of words.

    >>> doc2vec = train("doc2vec", corpus, "doc2vec.h5", vector_size=4, threads=1)
    >>> documents = DocumentVectors.open("doc2vec.h5")
    >>> len(documents), documents["1"].shape, len(documents.most_similar("1", topn=3))
    (40, (4,), 3)

    Ids are strings: without any in the text, the numbers of its lines, from "1" on. A number is that of a row, from 0 on; only
    where ids are numbers (`--doc-id-type=int64`) it is an id.

    words    `Vectors` of the same model's words, so that `documents.most_similar(documents.words["ice"])` are the documents
             nearest to a word, and `documents.words.most_similar(documents["77"])` the words nearest to a document
    reading  how the files of the text were read
    """

    item = "document"
    reading: Reading
    _model: ModelFile | None = None
    _numbered = False

    @classmethod
    @gated
    def open(cls, source: PathLike, *, trust_tokenizer: bool = False) -> Self:
        """Open the documents of a model, or of its file; raises `UsageError` if it has none, and what `Vectors.open` raises."""
        model = source if isinstance(source, ModelFile) else open_model(source)
        ids, rows = model.document_rows()
        splitting = Splitting(model.config.get("encode", {}), model.path, trust_tokenizer)
        reading = Reading.of(splitting.options, model.path)
        how: dict[str, Any] = {"family": model.family, "splitting": splitting}
        opened = cls(ids, rows, **how)
        opened._model, opened._path = model, model.path.absolute()
        opened._numbered = model.config.get("encode", {}).get("doc_id_type") == "int64"
        opened.reading = reading
        return opened

    @functools.cached_property
    def words(self) -> Vectors:
        """`Vectors` of the same model's words; raises `UsageError` if it has none."""
        return Vectors.open(self._opened(), trust_tokenizer=self._splitting.trusted)

    def _opened(self) -> ModelFile:
        """Return the model of the documents."""
        if self._model is None:
            raise UsageError("these are vectors without their model; DocumentVectors.open(model) opens both")
        return self._model

    @functools.cached_property
    def _inference(self) -> Callable[[int, int, int], Any]:
        """Function of epochs, seed and threads that returns what infers documents; the last of these is kept."""
        inference = FAMILIES[self.family].inference
        assert inference is not None, "a family with documents infers them"
        return functools.lru_cache(1)(functools.partial(inference, self._opened()))

    def infer_vector(self, text: Text, *, epochs: int = INFER_EPOCHS, seed: int = INFER_SEED) -> Matrix:
        """Return the vector (d,) of a new document, a string or a list of words; equal arguments give equal vectors."""
        vector: Matrix = self.infer_vectors([text], epochs=epochs, seed=seed, threads=1)[0]
        return vector

    @gated
    def infer_vectors(
        self,
        texts: Sequence[Text],
        *,
        epochs: Annotated[int, AtLeast(1), Below(1 << 31)] = INFER_EPOCHS,
        seed: int = INFER_SEED,
        threads: int | None = None,
    ) -> Matrix:
        """Return the vectors (n, d) of new documents, each a string or a list of words.

        A vector depends only on the model, the text, `epochs` and `seed`: not on the other texts, their order, or the number
        of `threads`, at most and by default one per core. A document without a known word gets zeros. Strings are split as the
        model's text was; the words of a list are taken unchanged.
        """
        wanted = "a list of documents, each a string or a list of words"
        known = self._opened().vocabulary.ids
        documents = (self._ids(known, number, untagged(text)) for number, text in enumerate(items("texts", texts, wanted), 1))
        found: Matrix = self._inference(epochs, seed, usable_threads(threads)).vectors(documents)
        return found

    def _find(self, word: Key) -> int:
        return super()._find(str(word) if self._numbered and not isinstance(word, str) else word)

    def _unknown(self, word: Key, hint: bool) -> UnknownWordError:
        if not (self._numbered or isinstance(word, str)):
            return super()._unknown(word, hint)
        return UnknownWordError(f"there is no document {word!r}; the first ids are {self.vocabulary.beginning()}")

    def _with(self, words: Sequence[str], vectors: Any) -> Self:
        made = super()._with(words, vectors)
        made._model, made._numbered, made.reading = self._model, self._numbered, self.reading
        return made

    def _ids(self, known: Mapping[str, int], number: int, text: Text) -> WordIds:
        """Return the ids of the known words of the text with this number; raises `InputError` if it is no text."""
        words = self.words_of(text) if isinstance(text, str) else document_words(number, text)
        return np.array([row for row in map(known.get, words) if row is not None], np.int32)


@gated
def infer(
    model_path: PathLike,
    texts: Sequence[Text],
    *,
    epochs: int = INFER_EPOCHS,
    seed: int = INFER_SEED,
    threads: int | None = None,
    trust_tokenizer: bool = False,
) -> Matrix:
    """Return the vectors (n, d) of new documents by a model file, as `DocumentVectors.infer_vectors` does.

    >>> doc2vec = train("doc2vec", corpus, "inferring.h5", vector_size=4, threads=1)
    >>> infer("inferring.h5", ["we drink tea", "the cold river"]).shape
    (2, 4)
    """
    documents = DocumentVectors.open(model_path, trust_tokenizer=trust_tokenizer)
    return documents.infer_vectors(texts, epochs=epochs, seed=seed, threads=threads)
