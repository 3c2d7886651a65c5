"""JoSE, joint spherical embedding (Meng et al. 2019): words, their contexts and documents as vectors of length 1.

    separate  max(0, m − u·v + u'·v) for a word v as context, each neighbour u and noise words u';
              max(0, m − u·d + u'·d) for a word u of document d
    joint     max(0, m − u·v − u·d + u'·v + u'·d), the article's equation 3

The authors' program, which this follows, trains the two losses of `separate`. The step is that of `_kernels/margin.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from cooc_engine._kernels import margin, rules
from cooc_engine._kernels.margin import Margin
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.models.file import ModelFile
from cooc_engine.models.sampled_options import JoseOptions
from cooc_engine.runtime.types import Counts, Floats, Matrix, WordIds
from cooc_engine.sampled.inference import Inference, inferring_rate
from cooc_engine.sampled.model import Design, MarginModel
from cooc_engine.sampled.network import put_on_sphere
from cooc_engine.sampled.sampler import chances, keeping
from cooc_engine.sampled.word2vec import floor_of, rule_and_tables

__all__ = ["design_jose", "inference_jose"]

STEPS = {"program": margin.PROGRAM, "cosine": margin.COSINE, "plain": margin.PLAIN}
FROZEN = rules.OUTPUT_ROWS + rules.WORD_ROWS
# A new document begins near its end, and gets this share of the training that those of the model got. Trained with the defaults
# on 2,829 documents of 20 Newsgroups, known ones of less than 40 words then come out at a cosine of .62, and 2,000 others are
# classified by 5 nearest neighbours with .70; from a random start in 20 epochs at the full rate it was .54 and .67.
SHARE = 0.25


def design_jose(corpus: Corpus, options: JoseOptions) -> Design:
    """Return the design of JoSE: inputs are words, and outputs are contexts, followed by the rows of documents.

    Raises `UsageError` for a corpus whose documents have tags.
    """
    words = len(corpus.vocabulary)
    if corpus.options.tag_separator is not None:
        raise UsageError(f"{corpus.path}: its documents have tags; JoSE takes none; encode the text without them")

    def settle(arrays: Mapping[str, Matrix]) -> None:
        put_on_sphere(arrays, options.seed)

    def finish(vocabulary: Vocabulary, arrays: Mapping[str, Matrix]) -> Mapping[str, Matrix]:
        settle(arrays)  # threads that write a row at the same time may leave it with parts of two steps
        return arrays

    model = model_of(corpus.counts, options, document=words)
    return Design(model, {"words": words}, {"contexts": words, "documents": corpus.documents}, settle=settle, finish=finish)


def inference_jose(model: ModelFile, epochs: int, seed: int, threads: int) -> Inference:
    """Return an object that infers new documents with a trained model; only the joint loss needs its contexts."""
    options = model.trained_with(JoseOptions)
    words = model.array("words")
    contexts = model.array("contexts") if options.hinge == "joint" else np.empty((0, words.shape[1]), np.float32)
    # Places of a single document would share so few noise words that its vector would depend on them.
    trained = model_of(model.vocabulary.counts, options, document=len(contexts), frozen=FROZEN, shared=0)
    lr = inferring_rate(options, epochs, SHARE)
    trained = dataclasses.replace(trained, epochs=epochs, lr=lr, seed=seed % 2**63, deterministic=False)
    return MarginInference(trained, words, contexts, threads)


class MarginInference(Inference):
    """Infers documents, each of which begins in the direction of the descent of all its hinges, as if all were above 0.

    That is Σ (u − n) over its words u, as far as thinning keeps them, and noise words n. Short documents retain some of their
    beginning, and so this leaves more of their own in them than a random one, which they would all have in common.
    """

    def __init__(self, model: MarginModel, words: Matrix, contexts: Matrix, threads: int) -> None:
        super().__init__(model, words, contexts, threads)
        self._keep, self._words = keeping(model.tables, len(words)), self._matrices[0][:, : self._d]
        self._noise = _weighted(chances(model.tables.noise), self._words)

    def _begin(self, ids: WordIds) -> Matrix:
        """Return the direction as a vector of length 1; a random one if there is none."""
        words, counts = np.unique(ids, return_counts=True)
        kept = counts * self._keep[words]
        descent = _weighted(kept / kept.sum(), self._words[words]) - self._noise
        length = float(np.linalg.norm(descent))
        return (descent / length).astype(np.float32) if length else self._start


def _weighted(weights: Floats, rows: Matrix) -> Floats:
    """Return the weighted sum of rows, in one order everywhere: the bits of BLAS depend on its threads."""
    total: Floats = np.einsum("n,nd->d", weights, rows)
    return total


def model_of(counts: Counts, options: JoseOptions, **changes: int) -> MarginModel:
    """Return the model of words with these counts; `changes` are fields of `Rule`."""
    rule, tables, _ = rule_and_tables(counts, options, **changes)
    hinge = Margin(options.margin, STEPS[options.step], int(options.hinge == "joint"))
    how = options.epochs, options.lr, options.seed, options.deterministic
    return MarginModel(rule, tables, *how, floor=floor_of(options), hinge=hinge)
