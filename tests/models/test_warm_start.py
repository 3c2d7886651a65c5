"""What goes by words touches arrays whose first axis is V, and no other: a family with buckets and documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.checkpoints import claimed
from cooc_engine.models.families import FAMILIES, Family
from cooc_engine.models.file import ModelData, ModelFile, open_model, save_model
from cooc_engine.models.warm_start import begin_with, extended, open_older
from cooc_engine.runtime.keywords import Run

OLD = Vocabulary.from_words(["the", "cat", "sat", "mat"], [9, 5, 4, 1])
NEW = Vocabulary.from_words(["the", "dog", "sat"], [8, 7, 1])
AXES = {"words": "V d", "contexts": "V d", "subwords": "B d", "documents": "D d", "bias": "V"}
TOY = Family(arrays=AXES, published=("w",))
D = 3
KILLED = """
import os
from pathlib import Path
from cooc_engine.models.warm_start import open_older
from cooc_engine.storage import hdf5
hdf5._write_structure = lambda *_: os._exit(9)
open_older("v.txt", 2, Path("m.h5"))
"""


@pytest.fixture(autouse=True)
def toy(monkeypatch) -> None:
    monkeypatch.setitem(FAMILIES, "toy", TOY)


def make_arrays(words: int, start: float) -> dict[str, np.ndarray]:
    """As many buckets and documents as words: only the axis tells them apart."""
    shapes = {name: (words, D) if "d" in axes else (words,) for name, axes in AXES.items()}
    return {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + start for name, shape in shapes.items()}


@pytest.fixture
def older(tmp_path) -> ModelFile:
    save_model(tmp_path / "old.h5", ModelData("toy", OLD, make_arrays(len(OLD), 1000), "w", {}, {}, document_ids=OLD))
    return open_model(tmp_path / "old.h5")


def test_words_begin_where_they_were_and_the_rest_stays(older):
    arrays, before = make_arrays(len(NEW), 0), make_arrays(len(NEW), 0)
    begin_with(older, NEW, Path("corpus"), arrays, AXES)
    for name in ("words", "contexts", "bias"):
        assert np.array_equal(arrays[name][[0, 2]], older.array(name)[[0, 2]])
        assert np.array_equal(arrays[name][1], before[name][1])
    for name in ("subwords", "documents"):
        assert np.array_equal(arrays[name], before[name])


def test_rows_in_another_order(older):
    arrays = {"words": np.zeros((5, D), np.float32)}
    begin_with(older, NEW, Path("corpus"), arrays, AXES, lambda rows: 4 - rows)
    assert np.array_equal(arrays["words"][[4, 2]], older.array("words")[[0, 2]])
    assert not arrays["words"][[0, 1, 3]].any()


def test_no_word_in_common(older):
    with pytest.raises(InputError, match="has no word in common with corpus"):
        begin_with(older, Vocabulary.from_words(["x"], [1]), Path("corpus"), {}, AXES)


def test_extension_orders_words_alone(older):
    mine = make_arrays(len(NEW), 0)
    vocabulary, arrays = extended(older, NEW, mine, AXES)
    assert vocabulary.words == ["the", "dog", "cat", "sat", "mat"]
    assert vocabulary.counts.tolist() == [17, 7, 5, 5, 1]
    for name in ("words", "contexts", "bias"):
        theirs = older.array(name)
        assert np.array_equal(arrays[name], np.stack([mine[name][0], mine[name][1], theirs[1], mine[name][2], theirs[3]]))
    for name in ("subwords", "documents"):
        assert np.array_equal(arrays[name], make_arrays(len(NEW), 0)[name])


def test_contexts_that_are_positions_are_not_words(tmp_path):
    """PMI-SVD has a context vector for each word, or for each word and position."""
    for columns, copied in ((len(OLD), True), (2 * len(OLD), False)):
        shapes = {"words": (4, D), "contexts": (columns, D), "singular_values": D, "residuals": D}
        arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
        save_model(tmp_path / "svd.h5", ModelData("pmi-svd", OLD, arrays, "w", {}, {}))
        mine = {"words": np.zeros((3, D), np.float32), "contexts": np.zeros((3, D), np.float32)}
        begin_with(open_model(tmp_path / "svd.h5"), NEW, Path("cooc"), mine, FAMILIES["glove"].arrays)
        assert mine["words"].any()
        assert mine["contexts"].any() == copied


def test_a_family_without_words(tmp_path, monkeypatch):
    """Pure PV-DBOW: documents, and output vectors of words."""
    monkeypatch.setitem(FAMILIES, "dbow", Family(arrays={"documents": "D d", "contexts": "V d"}, published=("c",)))
    arrays = {"documents": np.ones((7, D), np.float32), "contexts": np.full((4, D), 2, np.float32)}
    ids = Vocabulary.from_words("1234567", [1] * 7)
    save_model(tmp_path / "m.h5", ModelData("dbow", OLD, arrays, "c", {}, {}, document_ids=ids))
    model = open_model(tmp_path / "m.h5", verify=True)
    assert (model.names, model.matrix.shape) == (["contexts", "documents"], (4, D))
    assert open_older(str(tmp_path / "m.h5"), D, tmp_path) is not None
    with pytest.raises(UsageError, match="vectors='w': the model has only contexts, documents"):
        model.rows("w")


def test_what_a_kill_leaves_of_a_file_of_vectors_goes_with_the_next_run(tmp_path):
    (tmp_path / "v.txt").write_text("2 2\na 1 2\nb 2 3\n")
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, check=False).returncode == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5.init", "v.txt"]
    with claimed(tmp_path / "m.h5", Run()):
        assert not (tmp_path / "m.h5.init").exists(), "even if this training starts from nothing"
        older = open_older(str(tmp_path / "v.txt"), 2, tmp_path / "m.h5")
        assert (older.path, older.array("words").tolist()) == (tmp_path / "v.txt", [[1, 2], [2, 3]])
    assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]
