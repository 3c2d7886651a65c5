"""Files of fastText's program: there and back, exchanged with its own package, and refused when they are damaged."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.formats.fasttext import ARGUMENTS, Arguments, FastTextFile, parse_fasttext, read_fasttext, write_fasttext
from cooc_engine.formats.incoming import Faults
from cooc_engine.linalg.quantisation import Quantised, quantise

PATH = Path("m.bin")
USUAL = Arguments(4, 5, 5, 1, 5, 2, 3, 3, 30, 2, 3, 100, 1e-4)
WORDS, LABELS = ["the", "</s>", "Köln", "水", "x y"], ["__label__a", "__label__ü"]


def made(quantised: bool = False, **changes) -> FastTextFile:
    """A small classifier, with all that a file can hold."""
    random = np.random.default_rng(5)
    arguments = USUAL._replace(**changes)
    inputs = random.normal(size=(35, 4)).astype(np.float32)
    outputs = random.normal(size=(2, 4)).astype(np.float32)
    words, labels = Vocabulary.from_words(WORDS, [9, 5, 3, 2, 1]), Vocabulary.from_words(LABELS, [3, 2])
    whole = FastTextFile(arguments, words, labels, 25, None, inputs, outputs)
    if not quantised:
        return whole
    kept = np.array([0, 3, 7, 29])
    pruned = quantise(inputs[[*range(5), *(kept + 5)]], 3, norms=True)
    return replace(whole, kept=kept, inputs=pruned, outputs=quantise(outputs, 2))


def written(whole: FastTextFile) -> bytes:
    file = io.BytesIO()
    write_fasttext(file, whole)
    return file.getvalue()


def parsed(data: bytes, *, skip: bool = False) -> FastTextFile:
    return parse_fasttext(data, Faults(PATH, skip=skip))


# ---------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("quantised", [False, True])
def test_what_is_written_is_read(tmp_path, quantised):
    whole, path = made(quantised), tmp_path / "m"
    path.write_bytes(written(whole))
    again = read_fasttext(path)
    assert (again.arguments, again.tokens, again.supervised) == (whole.arguments, 25, True)
    assert (again.words.words, again.labels.words) == (WORDS, LABELS)
    assert again.words.counts.tolist() == [9, 5, 3, 2, 1] and again.labels.counts.tolist() == [3, 2]
    assert (again.kept is None) == (whole.kept is None) and np.array_equal(again.kept, whole.kept)
    assert isinstance(again.inputs, Quantised) == quantised
    assert np.array_equal(again.inputs[:], whole.inputs[:]) and np.array_equal(again.outputs[:], whole.outputs[:])
    assert np.array_equal(again.inputs[[3, 0]], whole.inputs[[3, 0]])
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert written(read_fasttext(path)) == written(whole)


def test_version_11_has_no_character_ngrams_of_classifiers():
    data = bytearray(written(made()))
    data[4] = 11
    assert parsed(data).arguments.maxn == 0
    data[8:64] = ARGUMENTS.pack(*USUAL._replace(model=2))
    with pytest.raises(InputError, match="the output matrix has 2 rows"):  # of words, if it is not a classifier
        parsed(data)


def test_words_that_are_not_utf8_are_left_out_with_their_rows():
    whole, data = made(), written(made()).replace("Köln".encode(), b"K\xf6lln")
    with pytest.raises(InputError, match=r"^m.bin:word 3: b'K\\xf6lln' is not UTF-8$"):
        parsed(data)
    found = parsed(data, skip=True)
    assert found.words.words == [word for word in WORDS if word != "Köln"]
    assert np.array_equal(found.inputs[:], np.delete(whole.inputs, 2, 0))
    assert len(found.outputs) == 2


def test_ngrams_in_another_order_are_sorted_with_their_rows():
    whole = made(quantised=True)
    order = np.array([2, 0, 3, 1])
    shuffled = replace(whole, kept=whole.kept[order], inputs=whole.inputs.of(np.concatenate([np.arange(5), 5 + order])))
    again = parsed(written(shuffled))
    assert np.array_equal(again.kept, whole.kept) and np.array_equal(again.inputs[:], whole.inputs[:])


# ------------------------------------------------------------------------------------------------------ damaged files


FIELDS = [*range(0, 56, 4), *range(64, 96, 4)]  # all numbers before the words but the version, and t, a double


@pytest.mark.parametrize("place", FIELDS)
def test_absurd_numbers_in_the_header_take_no_memory(place):
    data = written(made())
    for value in (-1, -(2**31), 2**31 - 1, 2**20 + 1, 10**9):
        forged = data[:place] + struct.pack("<i", value) + data[place + 4 :]
        tracemalloc.start()
        try:
            found = parsed(forged)
        except InputError as error:
            assert "\n" not in str(error)
        else:  # a number that only training uses, or that is smaller than what is there
            assert written(found) == forged
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


def mutated(data: bytes, chance: Random) -> bytes:
    """One plain change of some bytes."""
    found, place = bytearray(data), chance.randrange(len(data))
    how = chance.randrange(6)
    if how == 0:
        found[place] ^= 1 << chance.randrange(8)
    elif how == 1:
        form = chance.choice(["<i", "<q", "<f"])
        value = chance.choice([0, 1, -1, 2**31 - 1, -(2**31), 2**30]) if form != "<f" else chance.choice([np.nan, np.inf, 1e30])
        found[place : place + struct.calcsize(form)] = struct.pack(form, value)
    elif how == 2:
        del found[place:]
    elif how == 3:
        del found[place : place + chance.randint(1, 9)]
    elif how == 4:
        found[place:place] = chance.randbytes(chance.randint(1, 9))
    else:
        found[place : place + 8] = chance.randbytes(8)
    return bytes(found)


@pytest.mark.parametrize("quantised", [False, True])
def test_a_mutated_file_is_read_or_refused_in_one_line(quantised):
    data, chance, refused = written(made(quantised)), Random(6), 0
    head = data[: 64 + 28 + 60]  # most of a file is numbers, of which any are fine: damage to the head is likelier
    for number in range(5000):
        changed = mutated(head, chance) + data[len(head) :] if number % 2 else mutated(data, chance)
        try:
            found = parsed(changed)
            rows = found.inputs[:], found.outputs[:]
        except InputError as error:
            assert "\n" not in str(error) and str(error).startswith("m.bin:")
            refused += 1
        else:
            assert all(np.isfinite(each).all() for each in rows)
            assert len(rows[0]) >= len(found.words)
    assert 2000 < refused < 5000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data + b"\0", "1 bytes follow the end"),
        (lambda data: b"\0" * 100, "byte 0: not a model file"),
        (lambda data: b"", "the header takes 8 bytes, and 0 are left"),
        (lambda data: data[:4] + b"\x0d" + data[5:], "version 13 of fastText's files; this program reads 11 and 12"),
        (lambda data: data.replace(b"the\0", b"the\0\xff\xff\xff\xff\xff\xff\xff\xff", 1)[: len(data)], "count -1"),
        (lambda data: data.replace(b"the\0", b"thethethe", 1), "word 1"),
        (lambda data: data.replace("水".encode(), b"the"), "the word 'the' stands twice, as 1 and 4"),
        (lambda data: data[:-3], "the output matrix takes 32 bytes, and 29 are left; truncated or damaged"),
    ],
)
def test_faults_are_named(change, words):
    with pytest.raises(InputError, match=f"^m.bin:.*{words}"):
        parsed(change(written(made())))


def test_numbers_that_are_not_finite_are_found_when_their_row_is_read():
    whole = made()
    whole.inputs[20, 1] = np.nan
    found = parsed(written(whole))
    assert np.array_equal(found.inputs[:20], whole.inputs[:20])
    with pytest.raises(InputError, match=r"m\.bin: the input matrix holds a number that is not finite"):
        found.inputs[[1, 20]]


def test_what_the_files_cannot_hold_is_refused():
    whole = made(quantised=True)
    with pytest.raises(UsageError, match="quantise both"):
        write_fasttext(io.BytesIO(), replace(whole, inputs=whole.inputs[:]))


# ---------------------------------------------------------------------------------------------------- the other program


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("fasttext")


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path, chance = tmp_path_factory.mktemp("text") / "text.txt", Random(7)
    kinds = "ab"
    lines = [f"__label__{kind} " + " ".join(f"{kind}{chance.randint(0, 150)}" for _ in range(8)) for kind in kinds * 150]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("loss", ["hs", "ns", "softmax", "ova"])
@pytest.mark.parametrize("quantised", [False, True])
def test_classifiers_there_and_back_predict_the_same(tmp_path, package, text, loss, quantised):
    theirs = package.train_supervised(
        str(text), dim=5, epoch=3, wordNgrams=2, bucket=500, minn=2, maxn=3, loss=loss, thread=1, verbose=0
    )
    if quantised:
        theirs.quantize(input=str(text), cutoff=400, retrain=True, qnorm=True, dsub=2, epoch=1, thread=1, verbose=0)
    theirs.save_model(str(tmp_path / "theirs"))
    whole = read_fasttext(tmp_path / "theirs")
    assert whole.words.words == theirs.words and whole.labels.words == theirs.labels
    assert whole.inputs.shape == ((400 if quantised else len(theirs.words) + 500), 5)
    (tmp_path / "ours").write_bytes(written(whole))
    ours = package.load_model(str(tmp_path / "ours"))
    for line in ("a1 a2 b3", "b5", "unknown a7 words"):
        (labels, wanted), (found_labels, found) = (model.predict(line, k=2) for model in (theirs, ours))
        assert labels == found_labels and np.array_equal(wanted, found)
    assert all(np.array_equal(ours[word], theirs[word]) for word in (*theirs.words[:5], "ab12"))


def test_vectors_there_and_back_are_the_same(tmp_path, package, text):
    theirs = package.train_unsupervised(str(text), dim=5, epoch=1, bucket=500, minCount=1, thread=1, verbose=0)
    theirs.save_model(str(tmp_path / "theirs"))
    whole = read_fasttext(tmp_path / "theirs")
    assert (whole.words.words, whole.supervised, whole.kept) == (theirs.words, False, None)
    assert np.array_equal(whole.inputs[:], theirs.get_input_matrix())
    assert np.array_equal(whole.outputs[:], theirs.get_output_matrix())
    (tmp_path / "ours").write_bytes(written(whole))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    ours = package.load_model(str(tmp_path / "ours"))
    assert ours.get_nearest_neighbors("a1") == theirs.get_nearest_neighbors("a1")
