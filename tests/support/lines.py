"""The rows that a classifier reads of a line, from its kernel and from the twin."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numba import float32, int32, int64
from twins.lines import Lines

from cooc_engine._kernels.jit import array, kernel
from cooc_engine._kernels.lines import INPUTS, LINE, LINES, list_line
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.supervised_options import SupervisedOptions
from cooc_engine.text.readers import Piece
from cooc_engine.text.tokenizer_worker import LINES as KIND
from cooc_engine.vectors.line_reader import Dictionary, LineReader

WORDS, LABELS = ["good", "</s>", "ab", "é映"], ["__label__a"]


@kernel(int64(array(int32), int64, LINES, LINE, array(float32, 2)))
def listed(ids, words, lines, line, rows):
    """The number of input rows of a line of words, which are then in `line.inputs`."""
    list_line(ids, 0, words, lines, line, rows, rows)
    return line.sizes[INPUTS]


def rows_of(chosen: SupervisedOptions, text: str) -> tuple[list[int], list[int]]:
    vocabulary, labels = (Vocabulary.from_words(words, [1] * len(words)) for words in (WORDS, LABELS))
    reader = LineReader(Dictionary(SimpleNamespace(vocabulary=vocabulary, kept=None), labels, chosen))
    words = reader.read(Piece(text.encode(), KIND, "text", 1, 0))
    line = words.line()
    n = listed(words.ids, len(words.ids), words.lines, line, np.zeros((len(WORDS), 1), np.float32))
    sizes = chosen.word_ngrams, chosen.min_n, chosen.max_n, chosen.buckets
    twin = Lines({w: i for i, w in enumerate(WORDS)}, {"__label__a": 0}, chosen.label, *sizes)
    return line.inputs[:n].tolist(), twin.of(text)[0]
