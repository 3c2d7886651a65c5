"""Embedding a text to a file: what other programs read, resuming after a kill, budgets, and faults."""

from __future__ import annotations

import json
import lzma
import shutil
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.elmo import TINY, random_network

from cooc_engine.contextual.file import elmo_data, imported_config
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.models.file import load_arrays, save_arrays, save_model
from cooc_engine.storage import plain_hdf5
from cooc_engine.storage.arrays import Bound
from cooc_engine.vectors import contextual, embedding
from cooc_engine.vectors.contextual import ContextualVectors
from cooc_engine.vectors.embed_options import EmbedOptions
from cooc_engine.vectors.embedding import embed
from cooc_engine.vectors.layer_mix import LayerMix

LINES = ["the bank of the river", "", "the bank paid", "日本語 🙂", "the bank of the river", "  ", "a"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "elmo.h5"
    words = Vocabulary.from_words(["the", "bank"], [2, 1])
    save_model(path, elmo_data(random_network(), words, {"import": imported_config(TINY)}, {}))
    return path


@pytest.fixture
def text(tmp_path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def small_windows(monkeypatch):
    """Vectors are written after each line, and so are checkpoints."""
    monkeypatch.setattr(embedding, "WINDOW", 1)
    monkeypatch.setattr(embedding, "SECONDS", 0)


def test_the_file_is_read_as_users_of_allennlp_do(tmp_path, model, text):
    done = embed(model, text, tmp_path / "vectors.h5")
    assert (done.lines, done.words, done.vector_size) == (7, 16, 8)
    wanted = ContextualVectors.open(model).embed(LINES)
    with h5py.File(tmp_path / "vectors.h5") as file:
        index = json.loads(file["sentence_to_index"][0])
        assert index == {"the bank of the river": "4", "the bank paid": "2", "日本語 🙂": "3", "a": "6", "": "5"}
        assert {*file} == {"sentence_to_index", *map(str, range(7))}
        for number, layers in enumerate(wanted):
            assert file[str(number)].dtype == np.float32
            assert np.array_equal(file[str(number)][...], layers)
        assert file["1"].shape == (3, 0, 8)
    assert not (tmp_path / "vectors.h5.part").exists()


@pytest.mark.parametrize("layers", ["top", "average"])
def test_one_vector_per_word_may_be_written(tmp_path, model, text, layers):
    embed(model, text, tmp_path / "vectors.h5", EmbedOptions(layers=layers))
    wanted = ContextualVectors.open(model).embed(LINES, layers)
    with h5py.File(tmp_path / "vectors.h5") as file:
        assert all(np.array_equal(file[str(number)][...], each) for number, each in enumerate(wanted))
        assert file["1"].shape == (0, 8)


def test_a_mix_comes_from_its_file(tmp_path, model, text):
    mix = LayerMix(1.5, (0.25, -1.0, 2.0))
    mix.save(tmp_path / "mix.json")
    embed(model, text, tmp_path / "vectors.h5", EmbedOptions(layers="mix", mix=str(tmp_path / "mix.json")))
    with h5py.File(tmp_path / "vectors.h5") as file:
        assert np.array_equal(file["0"][...], ContextualVectors.open(model).embed(LINES[:1], mix)[0])


def test_states_are_carried_from_batch_to_batch(tmp_path, model, small_windows):
    lines = ["the bank", "a river", "the bank", "of", "the bank"]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    embed(model, tmp_path / "text.txt", tmp_path / "vectors.h5", EmbedOptions(state="carry", batch=2))
    alone = ContextualVectors.open(model).embed(lines)
    with h5py.File(tmp_path / "vectors.h5") as file:
        found = [file[str(number)][...] for number in range(5)]
    assert np.array_equal(found[0], alone[0])
    assert np.array_equal(found[1], alone[1])
    for number in (2, 4):
        assert np.array_equal(found[number][0], alone[number][0])  # without context
        assert np.abs(found[number][1:] - alone[number][1:]).max() > 1e-3
    assert np.abs(found[4][1:] - found[2][1:]).max() > 1e-3


@pytest.mark.parametrize("options", [EmbedOptions(), EmbedOptions(state="carry", batch=2)])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, model, text, monkeypatch, small_windows, options, after):
    embed(model, text, tmp_path / "whole.h5", options)
    put, written = plain_hdf5.Places.put, []

    def stop(self, name, values):
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(name)
        put(self, name, values)

    monkeypatch.setattr(plain_hdf5.Places, "put", stop)
    with pytest.raises(InterruptedRun, match="resume"):
        embed(model, text, tmp_path / "vectors.h5", options)
    assert not (tmp_path / "vectors.h5").exists()
    with pytest.raises(UsageError, match="left by an interrupted run"):
        embed(model, text, tmp_path / "vectors.h5", options)
    again = []
    monkeypatch.setattr(plain_hdf5.Places, "put", lambda self, name, values: (again.append(name), put(self, name, values)))
    embed(model, text, tmp_path / "vectors.h5", options, resume=True)
    assert (tmp_path / "vectors.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert again[-1] == "6"
    assert len(again) >= 7 - after
    assert after < 3 or "0" not in again


@pytest.fixture
def stopped(tmp_path, model, text, monkeypatch, small_windows) -> Path:
    """What a run leaves that is interrupted behind its third line."""
    put = plain_hdf5.Places.put

    def stop(self, name, values):
        if name == "3":
            raise KeyboardInterrupt
        put(self, name, values)

    with monkeypatch.context() as patched, pytest.raises(InterruptedRun):
        patched.setattr(plain_hdf5.Places, "put", stop)
        embed(model, text, tmp_path / "vectors.h5")
    return tmp_path / "vectors.h5.part"


@pytest.mark.parametrize(("damaged", "place"), [("lines", b"river"), ("sizes", b"\5"), ("vectors.h5", b"river")])
def test_what_an_interrupted_run_left_is_compared_with_its_checksums(tmp_path, model, text, stopped, damaged, place):
    data = bytearray((stopped / damaged).read_bytes())
    data[data.index(place)] ^= 1
    (stopped / damaged).write_bytes(data)
    with pytest.raises(FormatError, match=rf"{damaged}: is not what the interrupted run left"):
        embed(model, text, tmp_path / "vectors.h5", resume=True)


def test_vectors_that_an_interrupted_run_wrote_are_compared_too(tmp_path, model, text, stopped):
    with h5py.File(stopped / "vectors.h5", "r+") as file:
        file["2"][0, 0, 0] += 1
    with pytest.raises(FormatError, match=r"vectors\.h5: is not what"):
        embed(model, text, tmp_path / "vectors.h5", resume=True)


def forge(work: Path, **arrays: np.ndarray) -> None:
    """Make anew what a checkpoint says of the files beside it, and exchange arrays in it."""
    had, meta = load_arrays(work / "done", "embedding")
    lines = (work / "sizes").stat().st_size // 8
    with plain_hdf5.Places(work / "vectors.h5") as places:
        places.go_on(map(str, range(meta["lines"])))
        meta |= {"structure": places.structure(map(str, range(lines))), "written": places.written}
    meta["files"] = {name: Bound.of(work / name) for name in ("lines", "sizes")}
    save_arrays(work / "done", "embedding", {name: values.copy() for name, values in had.items()} | arrays, meta)


def test_forged_leftovers_are_refused(tmp_path, model, text, stopped):
    def exchange(name: str, old: bytes, new: bytes) -> None:
        data = (stopped / name).read_bytes()
        assert old in data
        (stopped / name).write_bytes(data.replace(old, new))

    def write_anew(**how: object) -> None:
        with h5py.File(stopped / "vectors.h5", "r+") as file:
            values = file["4"][...]
            del file["4"]
            file.create_dataset("4", data=values, **how)

    other, no_room = "is not what the interrupted run left", "4 does not have the size reserved for it"
    forgeries = {
        "no UTF-8": (lambda: exchange("lines", "日".encode(), b"\xe6a"), {}, f"lines: {other}"),
        "fewer words": (lambda: exchange("lines", b"of the river\n  ", b"of the-river\n  "), {}, f"lines: {other}"),
        "more lines": (lambda: exchange("lines", b"\na\n", b"\na\nb\n"), {}, f"lines: {other}"),
        "half a number": (lambda: exchange("sizes", bytes([1] + 7 * [0]), b"\1"), {}, f"sizes: {other}"),
        "other states": (lambda: None, {"cells": np.zeros((2, 1, 0, 7), np.float32)}, f"done: {other}"),
        "chunks": (lambda: write_anew(chunks=True), {}, no_room),
        "double precision": (lambda: write_anew(dtype="f8"), {}, no_room),
    }
    shutil.copytree(stopped, tmp_path / "kept")
    for change, arrays, says in forgeries.values():
        shutil.rmtree(stopped, ignore_errors=True)
        shutil.copytree(tmp_path / "kept", stopped)
        change()
        forge(stopped, **arrays)
        with pytest.raises(FormatError, match=says):
            embed(model, text, tmp_path / "vectors.h5", resume=True)


def test_a_run_with_other_options_does_not_go_on(tmp_path, model, text, monkeypatch):
    def stop(self, name, values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(InterruptedRun):
        patched.setattr(plain_hdf5.Places, "put", stop)
        embed(model, text, tmp_path / "vectors.h5")
    with pytest.raises(UsageError, match="begun with different"):
        embed(model, text, tmp_path / "vectors.h5", EmbedOptions(layers="top"), resume=True)


def test_a_full_disk_can_be_resumed(tmp_path, model, text, monkeypatch, small_windows):
    def full(*given):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(ResourceError, match="No space left"):
        patched.setattr(plain_hdf5, "write_values", full)
        embed(model, text, tmp_path / "vectors.h5")
    embed(model, text, tmp_path / "vectors.h5", resume=True)
    with h5py.File(tmp_path / "vectors.h5") as file:
        assert np.array_equal(file["6"][...], ContextualVectors.open(model).embed(["a"])[0])


def test_compressed_and_several_texts_and_windows_of_any_size_give_the_same_bytes(tmp_path, model, text, monkeypatch):
    embed(model, text, tmp_path / "a.h5")
    for part, lines in (("1", LINES[:3]), ("2", LINES[3:])):
        (tmp_path / f"{part}.xz").write_bytes(lzma.compress(("\n".join(lines) + "\n").encode()))
    monkeypatch.setattr(embedding, "WINDOW", 1)
    embed(model, [tmp_path / "1.xz", tmp_path / "2.xz"], tmp_path / "b.h5", threads=1)
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()


def test_a_budget_too_small_for_the_longest_line_is_refused(tmp_path, model):
    (tmp_path / "text.txt").write_text("a\n" + "b " * 100_000)
    with pytest.raises(UsageError, match=r"is too little to embed.*longest line"):
        embed(model, tmp_path / "text.txt", tmp_path / "vectors.h5", memory="20M")
    assert not [*tmp_path.glob("vectors*")]


def test_embedding_keeps_within_its_budget(tmp_path, monkeypatch):
    """What NumPy allocates at most, for a text that is read in one window if there is room."""
    monkeypatch.setattr(contextual, "KNOWN", 100)
    monkeypatch.setattr(embedding, "KNOWN", 100)
    shape, words = replace(TINY, vector_size=64), Vocabulary.from_words([], [])
    save_model(tmp_path / "elmo.h5", elmo_data(random_network(shape), words, {"import": imported_config(shape)}, {}))
    (tmp_path / "text.txt").write_text("the bank of the river paid\n" * 1500)
    peaks = []
    for number, memory in enumerate(("1G", "1G", "8M")):  # the first has what is allocated once
        tracemalloc.start()
        embed(tmp_path / "elmo.h5", tmp_path / "text.txt", tmp_path / f"{number}.h5", memory=memory, threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 8 << 20 < peaks[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "mix"}, "go together"),
        ({"mix": "mix.json"}, "go together"),
        ({"batch": 3}, "goes with"),
        ({"layers": "bottom"}, "must be one of"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        EmbedOptions(**options)


def test_a_mix_of_another_number_of_layers_is_refused_before_anything_is_read(tmp_path, model):
    LayerMix.mean(2).save(tmp_path / "mix.json")
    with pytest.raises(UsageError, match="weights for 2 layers, but there are 3"):
        embed(model, tmp_path / "missing", tmp_path / "v.h5", EmbedOptions(layers="mix", mix=str(tmp_path / "mix.json")))


@pytest.mark.parametrize(
    "content",
    ['{"gamma": 1}', '{"gamma": NaN, "scores": [1]}', "[]", '{"gamma": 1, "scores": ["a"]}', '{"gamma": 1e39, "scores": [1]}'],
)
def test_a_file_that_is_no_mix_is_refused(tmp_path, content):
    (tmp_path / "mix.json").write_text(content)
    with pytest.raises(InputError, match=r"mix\.json"):
        LayerMix.open(tmp_path / "mix.json")


def test_an_empty_text_has_no_vectors(tmp_path, model):
    (tmp_path / "text.txt").write_text("")
    assert embed(model, tmp_path / "text.txt", tmp_path / "vectors.h5").lines == 0
    with h5py.File(tmp_path / "vectors.h5") as file:
        assert [*file] == ["sentence_to_index"]


def test_text_that_is_not_utf8_is_refused(tmp_path, model):
    (tmp_path / "text.txt").write_bytes(b"a\n\xff\n")
    with pytest.raises(InputError, match=r"text\.txt"):
        embed(model, tmp_path / "text.txt", tmp_path / "vectors.h5")
    assert not [*tmp_path.glob("vectors*")]


def test_two_runs_do_not_write_the_same_file(tmp_path, model, text, monkeypatch):
    within, on = threading.Event(), threading.Event()
    lay_out = embedding.lay_out

    def wait(*given):
        within.set()
        on.wait(10)
        lay_out(*given)

    monkeypatch.setattr(embedding, "lay_out", wait)
    first = threading.Thread(target=embed, args=(model, text, tmp_path / "vectors.h5"))
    first.start()
    within.wait(10)
    with pytest.raises(UsageError, match="another run"):
        embed(model, text, tmp_path / "vectors.h5", resume=True)
    on.set()
    first.join()
    assert (tmp_path / "vectors.h5").exists()
