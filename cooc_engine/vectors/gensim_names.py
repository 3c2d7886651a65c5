"""Hints, for error messages, at what vectors and models offer in place of attributes of gensim's and fastText's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["GensimNames"]

READ_ONLY = "vectors are read-only: make new ones with Vectors(words, matrix), or change those of to_gensim()"
SAVED = "export_vectors() writes vectors for other programs, and the model is a file already"
TRAINED = "train() makes a model in one go; its option init begins with the vectors of an older one"
NORMALISED = "lengths are computed when they are needed; leave it out"
WORDS, UNIT, OF_WV = "index_to_key has the words", "get_normed_vectors() has them", "it is a method of wv"
OPTIONS = "config['train'] has the options"
PREDICTS = "Classifier.open() opens a model that predicts labels"
INSTEAD = {
    "vocab": "key_to_index has the words", "index2word": WORDS, "index2entity": WORDS, "syn0": "vectors has the matrix",
    "syn0norm": UNIT, "vectors_norm": UNIT, "init_sims": NORMALISED, "fill_norms": NORMALISED,
    "add_vector": READ_ONLY, "add_vectors": READ_ONLY, "set_vecattr": READ_ONLY, "resize_vectors": READ_ONLY,
    "sort_by_descending_frequency": READ_ONLY, "unit_normalize_all": READ_ONLY, "intersect_word2vec_format": READ_ONLY,
    "words_closer_than": "it is called closer_than", "wmdistance": "to_gensim() has it",
    "similarity_unseen_docs": "n_similarity compares lists of words",
    "save": SAVED, "train": TRAINED, "build_vocab": TRAINED, "syn1neg": "array('contexts') has the output vectors",
    "get_latest_training_loss": "history has the loss of each epoch",
    "docvecs": "dv has the vectors of documents",
    "epochs": OPTIONS, "window": OPTIONS, "options": OPTIONS, "similarity": OF_WV, "doesnt_match": OF_WV,
    "most_similar_cosmul": OF_WV, "n_similarity": OF_WV, "get_word_vector": OF_WV, "key_to_index": "it belongs to wv",
    "get_nearest_neighbors": "most_similar() has the answers, each a word and its cosine",
    "get_analogies": "analogy() has the answers", "get_sentence_vector": "sentence_vector(text, 'unit') has it",
    "get_words": WORDS, "get_word_id": "key_to_index has the row of each word", "get_dimension": "vector_size has it",
    "predict": PREDICTS, "get_labels": PREDICTS, "save_model": SAVED, "shape": "vectors.shape has it",
}  # fmt: skip


class GensimNames:
    """Base of the classes that have gensim's methods; type checkers do not see it, so that they report such attributes."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Raise `AttributeError`, with a hint if the attribute is one of another program's."""
            hint = f"; {INSTEAD[name]}" if name in INSTEAD else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)
