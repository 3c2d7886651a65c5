"""Words found in a sorted, mapped index instead of a dictionary."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import make_data

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError
from cooc_engine.models.file import open_model, save_model

words = st.lists(st.text(st.sampled_from("abé水") | st.characters(exclude_categories=["Cs"]), max_size=20), unique=True)


@given(words, st.lists(st.text(max_size=3)))
def test_order_is_that_of_the_bytes_and_finds_every_word(words, others):
    vocabulary = Vocabulary.from_words(words, [0] * len(words))
    order = vocabulary.sorted_rows()
    assert [words[row] for row in order] == sorted(words, key=str.encode)
    indexed = Vocabulary(vocabulary.text, vocabulary.offsets, vocabulary.counts, order)
    assert [indexed.find(word) for word in words] == list(range(len(words)))
    assert [indexed.word(row) for row in range(len(words))] == words
    assert all(indexed.find(word) == -1 for word in others if word not in words)
    assert "ids" not in vars(indexed)


def test_long_words_that_begin_alike():
    words = ["a" * n + end for n in range(15, 40) for end in ("b", "", "é")]
    vocabulary = Vocabulary.from_words(words, [1] * len(words))
    vocabulary.order = vocabulary.sorted_rows()
    assert [words[row] for row in vocabulary.order] == sorted(words, key=str.encode)
    assert [vocabulary.find(word) for word in words] == list(range(len(words)))
    assert vocabulary.find("\udc80") == -1


def test_a_model_file_has_it_and_one_without_opens(tmp_path):
    save_model(tmp_path / "m.h5", make_data(50))
    vocabulary = open_model(tmp_path / "m.h5").vocabulary
    assert vocabulary.order is not None and vocabulary.order.dtype == np.int32
    assert vocabulary.find("wört7") == 7 and vocabulary.find("wört") == -1
    assert "ids" not in vars(vocabulary) and "words" not in vars(vocabulary)
    assert vocabulary.ids["wört7"] == vocabulary.find("wört7") == 7


@pytest.mark.parametrize("row", [-1, 50])
def test_an_order_that_is_none_is_refused(tmp_path, row):
    save_model(tmp_path / "m.h5", make_data(50))
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        order = file["vocabulary/order"]
        order[7] = row
        order.attrs.modify("crc-32", np.uint32(zlib.crc32(order[:].tobytes())))
    with pytest.raises(FormatError, match="vocabulary/order: a value is outside 0 to 49"):
        open_model(tmp_path / "m.h5")


def test_words_are_found_beside_empty_ones():
    words = Vocabulary.from_words(["", "", "on", "", "one"], [0] * 5)
    words.order = None
    assert [words.find(word) for word in ("on", "one", "n", "")] == [2, 4, -1, -1]
