"""Damaged vectors: every command that would use them says so in a line, and writes nothing on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.command import assert_one_line, copied, left
from support.models import make_data

from cooc_engine.errors import DivergenceError, FormatError
from cooc_engine.models.file import open_model, save_model
from cooc_engine.vectors.query import Vectors

ARCHIVE = Path(__file__).parents[1] / "archive"
COMMANDS = {
    "export": "export model.h5 out",
    "export to npz": "export model.h5 out.npz",
    "align": "align model.h5 other.h5 out.h5",
    "align to": "align other.h5 model.h5 out.h5",
    "eval": "eval model.h5 --pairs pairs",
    "compare": "compare model.h5 other.h5 --pairs pairs --output page.html --progress none",
    "index": "index model.h5 --progress none",
    "nn": "nn model.h5 w1",
    "ratio": "ratio model.h5 w1 w2 w3",
    "vector": "vector model.h5 w1",
    "norms": "norms model.h5",
    "sentence-vector": "sentence-vector model.h5 w1",
    "similar": "similar model.h5 w1",
    "train": "train glove cooc --init model.h5 --vector-size 8 --epochs 1 --output out.h5 --progress none",
}


def overwrite(path: Path, name: str, value: float) -> None:
    """Write a number over the first of a parameter, but leave its checksum."""
    with h5py.File(path) as file:
        place = file["parameters"][name].id.get_offset()
    with path.open("r+b") as file:
        file.seek(place)
        file.write(np.float32(value).tobytes())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_damaged_vectors_are_never_used(made, call, command):
    if command.startswith("compare"):
        pytest.importorskip("matplotlib")
    for name in ("model.h5", "cooc"):
        copied(made, name)
    shutil.copy("model.h5", "other.h5")
    Path("pairs").write_text("w1\tw2\t1\nw2\tw3\t2\nw0\tw3\t3\n")
    overwrite(Path("model.h5"), "words", -1.5e36)
    before = left()
    assert_one_line(*call(*command.split()), 1, "model.h5: element parameters/words is damaged (checksum differs)")
    assert left() == before


@pytest.mark.parametrize("version", [1, 2])
def test_older_files_have_one_checksum_which_is_compared_before_the_first_use(call, version):
    shutil.copy(ARCHIVE / f"families-v{version}" / "glove.h5", "m.h5")
    assert call("nn", "m.h5", "cat")[0] == 0
    overwrite(Path("m.h5"), "contexts", 3.0)
    assert_one_line(*call("nn", "m.h5", "cat"), 1, "m.h5: element parameters/contexts is damaged")
    assert call("info", "m.h5")[0] == 0, "which reads no vectors"


def test_python_gets_no_damaged_vectors(made):
    copied(made, "model.h5")
    overwrite(Path("model.h5"), "words", 1.0)
    asked = [
        lambda: Vectors.open("model.h5")["w1"],
        lambda: Vectors.open("model.h5").vectors,
        lambda: Vectors.open("model.h5").part(0, 1),
        lambda: open_model("model.h5").array("words"),
        lambda: open_model("model.h5").arrays["words"],
        lambda: open_model("model.h5").data().arrays["words"],
    ]
    for ask in asked:
        with pytest.raises(FormatError, match="parameters/words is damaged"):
            ask()


@pytest.mark.parametrize("value", [2e15, -3e38])
def test_numbers_whose_sums_and_squares_are_none_are_refused(tmp_path, call, value):
    with pytest.raises(DivergenceError, match=r"words holds values that are not finite, or beyond 1e\+15; nothing was written"):
        save_model(Path("m.h5"), make_data(arrays={**make_data().arrays, "words": np.full((12, 5), value)}))
    Path("v.txt").write_text(f"a 1 2\nb 3 {value}\n")
    says = "v.txt:2: the vector of 'b' holds a number that is not finite, or beyond 1e+15"
    assert_one_line(*call("import", "v.txt", "m.h5"), 1, says)
    assert_one_line(*call("nn", "v.txt", "a"), 1, says)


def test_a_ratio_beyond_all_numbers_is_a_large_one(call):
    words = np.zeros((12, 5))
    words[:3, 0] = [1e6, -1e6, 1]
    save_model(Path("m.h5"), make_data(arrays={**make_data().arrays, "words": words, "contexts": words}))
    code, out, err = call("ratio", "m.h5", *make_data().vocabulary.words[:3], "--json")
    assert (code, err) == (0, "") and 1e300 < json.loads(out)[0]["model"] < np.inf
