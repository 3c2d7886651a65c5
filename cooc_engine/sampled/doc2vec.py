"""Doc2Vec (Le and Mikolov 2014): a document has a row of its own, which is an input wherever one of its words is the target.

PV-DBOW predicts each word of a document from the document alone (section 2.3); with `words`, skip-gram is trained on the
same examples. PV-DM predicts a word from the mean, the sum, or the concatenation of its document and its window; for a
concatenation, a padding row takes the place of words beyond the ends of the text (section 2.2).

A document with several tags has a row for each tag, which it shares with the other documents that have the tag. In PV-DBOW
each of these rows predicts the words by itself; in PV-DM all of them are inputs of each window.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from cooc_engine._kernels import rules
from cooc_engine._kernels.rules import CONCAT, SUM
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.document_ids import Tagging, tagging
from cooc_engine.errors import UsageError
from cooc_engine.models.file import ModelFile
from cooc_engine.models.sampled_options import Doc2vecOptions
from cooc_engine.sampled.inference import Inference, inferring_rate
from cooc_engine.sampled.lockstep import LockstepInference
from cooc_engine.sampled.model import Design, SampledModel
from cooc_engine.sampled.word2vec import design_words, floor_of, rule_and_tables

__all__ = ["design_doc2vec", "inference_doc2vec"]

MOST_ROWS = 2**31 - 1
COMBINED = {"mean": 1, "sum": SUM, "concat": CONCAT}
FROZEN = rules.OUTPUT_ROWS + rules.WORD_ROWS
# A new document gets this share of the training that those of the model got, whose first steps were short, since outputs begin
# at 0. Of 2,829 documents of 20 Newsgroups, trained with the defaults, known ones then come out at a cosine of .96 with PV-DBOW
# and of .93 with PV-DM; with 20 epochs at the full rate it was .88 and .86.
SHARE = 0.75


def design_doc2vec(corpus: Corpus, options: Doc2vecOptions) -> Design:
    """Return the design of PV-DBOW or PV-DM, whose rows of documents follow those of words, if there are any.

    Raises `UsageError` for more rows than 32-bit numbers can count, and for options that do not suit the corpus.
    """
    words, tagged = len(corpus.vocabulary) if options.has_words else 0, tagging(corpus)
    rows = corpus.documents if tagged is None else len(tagged.tags)
    if words + rows > MOST_ROWS:
        raise UsageError(f"{corpus.path}: {rows:,} documents are too many; Doc2Vec takes {MOST_ROWS - words:,}")
    if options.loss == "hs" and not np.array_equal(corpus.counts, corpus.vocabulary.counts):
        raise UsageError(f"{corpus.path}: has the vocabulary of another corpus, and so another tree for --loss=hs; use ns")
    interleaved = {"inputs": rules.CONTEXTS, "mean": 0, "document": words}
    changes = interleaved if options.architecture == "dbow" and words else _predicting(options, words)
    made = design_words(corpus, options, **changes)
    inputs, outputs = {"words": words} if words else {}, made.outputs
    if made.model.segments > 1:
        inputs, outputs = {**inputs, "padding": 1}, {f"window_{name}": rows for name, rows in outputs.items()}
    made = dataclasses.replace(made, inputs={**inputs, "documents": rows}, outputs=outputs)
    return made if tagged is None else dataclasses.replace(made, model=_with_tags(made.model, tagged), documents=tagged.tags)


def _with_tags(model: SampledModel, tagged: Tagging) -> SampledModel:
    """Return a model whose documents have the rows of their tags, as words have those of their subwords."""
    sizes, first = np.diff(tagged.starts), model.rule.document
    if model.segments > 1 and sizes.max() > 1:
        raise UsageError("--combine=concat has one place for the document; it goes with one tag for each")
    own = np.arange(first)  # the rows of words, one for each
    starts, rows = (np.concatenate([own, first + some]) for some in (tagged.starts, tagged.rows))
    if not np.array_equal(rows, np.arange(len(starts) - 1)):
        model = dataclasses.replace(model, tables=model.tables._replace(row_starts=starts, rows=rows.astype(np.int32)))
    turns = 1.0 if model.tags_together else float(sizes.mean())
    uses = model.uses._replace(
        longest=int(tagged.tags.counts.max()), word=turns * model.uses.word, frequent=turns * model.uses.frequent
    )
    return dataclasses.replace(model, uses=uses)


def inference_doc2vec(model: ModelFile, epochs: int, seed: int, threads: int) -> Inference | LockstepInference:
    """Return an object that infers the vectors of new documents; with more epochs its steps are shorter, no more training."""
    options = model.trained_with(Doc2vecOptions)
    inputs = ["words"] if options.architecture == "dm" else []
    output = "nodes" if options.loss == "hs" else "contexts"
    if options.combine == "concat":
        inputs, output = [*inputs, "padding"], f"window_{output}"
    rows = [np.empty((0, model.shapes["documents"][1]), np.float32), *(model.array(name) for name in inputs)]
    words, counts = len(model.vocabulary) if inputs else 0, model.vocabulary.counts
    rule, tables, _ = rule_and_tables(counts, options, **_predicting(options, words) | {"shared": 0, "frozen": FROZEN})
    lr = inferring_rate(options, epochs, SHARE)
    trained = SampledModel(rule, tables, epochs, lr, seed % 2**63, floor=floor_of(options))
    kind = Inference if trained.listed or trained.segments > 1 else LockstepInference
    return kind(trained, np.concatenate(rows), model.array(output), threads)


def _predicting(options: Doc2vecOptions, words: int) -> dict[str, int]:
    """Return the fields of `Rule` that train documents, whose rows come after those of `words` words.

    In PV-DBOW without words each target has noise words of its own: that is faster than sharing them among few windows.
    """
    if options.architecture == "dm":
        document = words + 1 if options.combine == "concat" else words  # after the padding row
        return {"inputs": rules.CONTEXTS, "mean": COMBINED[options.combine], "document": document}
    return {"inputs": rules.DOCUMENT, "mean": 1, "document": words, "shared": 0}
