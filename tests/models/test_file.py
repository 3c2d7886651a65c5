"""Model and checkpoint files: whole or not there, mapped, and a clear word about every kind of damage."""

from __future__ import annotations

import itertools
import json
import mmap
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from support.models import make_data

import cooc_engine
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import (
    CoocError,
    DivergenceError,
    FormatError,
    InputError,
    InterruptedRun,
    ResourceError,
    UsageError,
)
from cooc_engine.models import file as file_module
from cooc_engine.models.families import FAMILIES
from cooc_engine.models.file import ModelData, append_evaluation, load_arrays, open_model, save_arrays, save_model
from cooc_engine.storage import hdf5

ARCHIVE = Path(__file__).parents[1] / "archive" / "model-v1.h5"
NAMES = ("words", "contexts", "word_bias", "context_bias")


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "m.h5"
    save_model(path, make_data())
    return path


def assert_same(model, data: ModelData) -> None:
    assert model.vocabulary.words == data.vocabulary.words
    assert np.array_equal(model.vocabulary.counts, data.vocabulary.counts)
    assert model.vocabulary.digest == data.vocabulary.digest
    assert model.names == sorted(data.arrays)
    for name, values in data.arrays.items():
        assert np.array_equal(model.array(name), values)
    assert (model.family, model.published) == (data.family, data.published)


def place_of(path: Path, name: str) -> int:
    with h5py.File(path) as file:
        return int(file["parameters"][name].id.get_offset())


def fails(path, kind: type[CoocError] = FormatError, *says: str, verify: bool = True) -> str:
    with pytest.raises(kind) as caught:
        open_model(path, verify=verify)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for text in says:
        assert text in message
    return message


# ------------------------------------------------------------------------------------------------- writing, reading


def test_the_tokens_of_counts_may_be_a_sum_beyond_64_bits(tmp_path):
    save_model(tmp_path / "m.h5", make_data(provenance={"tokens": 2**63}))
    assert open_model(tmp_path / "m.h5").provenance == {"tokens": 2**63}


def test_round_trip(model):
    opened = open_model(model, verify=True)
    assert_same(opened, make_data())
    assert opened.config == make_data().config
    assert opened.provenance == {"seed": 3, "corpus": "a/b"}
    assert opened.history == [{"epoch": 1, "loss": 0.5, "seconds": 1.5, "items": 10, "lr": 0.05}]
    assert opened.evaluation == []
    assert sorted(p.name for p in model.parent.iterdir()) == ["m.h5"]


@pytest.mark.parametrize(("size", "width"), [(1, 1), (3, 100), (5000, 300)])
def test_sizes(tmp_path, size, width):
    save_model(tmp_path / "m.h5", make_data(size, width))
    assert_same(open_model(tmp_path / "m.h5", verify=True), make_data(size, width))


def test_any_hdf5_reader_sees_the_values(model):
    with h5py.File(model) as file:
        for name in NAMES:
            assert np.array_equal(file["parameters"][name][:], make_data().arrays[name])
        assert file["vocabulary/counts"][0] == make_data().vocabulary.counts[0]


def test_arrays_are_mapped_aligned_and_read_only(model):
    words = open_model(model).array("words")
    assert words.dtype == np.dtype("<f4") and words.flags.c_contiguous and not words.flags.writeable
    with h5py.File(model) as file:
        places = [file["parameters"][name].id.get_offset() for name in NAMES]
    assert all(place % 64 == 0 for place in places)
    base = words
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def test_opening_reads_no_parameter(model):
    """A damaged parameter is noticed when it is read: until then it may be there, and others are as they were."""
    flip(model, place_of(model, "words") + 2)
    opened = open_model(model)
    assert opened.shapes == {name: values.shape for name, values in make_data().arrays.items()}
    assert np.array_equal(opened.array("contexts"), make_data().arrays["contexts"])
    for read in (
        lambda: opened.array("words"),
        lambda: opened.arrays["words"],
        lambda: opened.matrix,
        lambda: opened.rows()[3],
    ):
        with pytest.raises(FormatError, match=r"m\.h5: element parameters/words is damaged \(checksum differs\)$"):
            read()
    fails(model, FormatError, "parameters/words", "checksum")


def test_equal_content_gives_equal_bytes(tmp_path):
    save_model(tmp_path / "a.h5", make_data())
    time.sleep(1.1)  # HDF5's time stamps are in seconds
    shuffled = dict(reversed(make_data().arrays.items()))
    save_model(tmp_path / "b.h5", make_data(arrays=shuffled))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_padded_wide_and_swapped_arrays_are_stored_plainly(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "CHUNK", 64)
    data = make_data()
    padded = np.full((12, 16), np.nan, np.float32)
    padded[:, :5] = data.arrays["words"]
    arrays = {**data.arrays, "words": padded[:, :5], "word_bias": data.arrays["word_bias"].astype(">f8")}
    save_model(tmp_path / "m.h5", make_data(arrays=arrays))
    assert_same(open_model(tmp_path / "m.h5", verify=True), data)


@pytest.mark.parametrize("published", ["w+c", "w", "c", "concat"])
def test_published_vectors(tmp_path, published):
    save_model(tmp_path / "m.h5", make_data(published=published))
    words, contexts = (make_data().arrays[name] for name in ("words", "contexts"))
    wanted = {"w": words, "c": contexts, "w+c": words + contexts, "concat": np.hstack([words, contexts])}
    opened = open_model(tmp_path / "m.h5")
    assert opened.matrix.dtype == np.float32
    assert np.array_equal(opened.matrix, wanted[published])
    assert opened.matrix is opened.matrix


def test_a_model_stays_open_while_it_is_replaced(model):
    opened = open_model(model)
    save_model(model, make_data(published="w", arrays={k: v + 1 for k, v in make_data().arrays.items()}))
    assert_same(opened, make_data())
    assert open_model(model).array("words")[0, 0] == make_data().arrays["words"][0, 0] + 1


def test_no_such_parameter(model):
    with pytest.raises(FormatError, match=r"m\.h5: has no parameter x; it has context_bias, contexts, word_bias, words"):
        open_model(model).array("x")


def test_appended_evaluation(model):
    first = {"model": "m", "dataset": "men", "kind": "spearman", "value": 0.5, "covered": 2, "total": 3}
    other = first | {"kind": "pearson", "value": None}
    append_evaluation(model, [first, other])
    append_evaluation(model, [first | {"value": 0.6}])
    opened = open_model(model, verify=True)
    assert opened.evaluation == [first | {"value": 0.6}, other]
    assert_same(opened, make_data())


# ------------------------------------------------------------------------------------------------- what is not written


@pytest.mark.parametrize("named", ["labels", "document_ids"])
def test_names_of_rows_that_the_family_does_not_have_are_refused(tmp_path, named):
    """Neither a classifier nor documents are made of a model of words by adding names and arrays."""
    arrays = {**make_data().arrays, "labels": np.ones((2, 5)), "documents": np.ones((2, 5))}
    data = make_data(arrays=arrays, **{named: Vocabulary.from_words(["x", "y"], [1, 1])})
    with pytest.raises(FormatError, match="of which family 'glove' has no rows"):
        save_model(tmp_path / "m.h5", data)


def test_a_tree_has_one_node_fewer_than_words(tmp_path):
    arrays = {"words": np.ones((12, 5)), "nodes": np.ones((10, 5))}
    with pytest.raises(FormatError, match="parameters/nodes"):
        save_model(tmp_path / "m.h5", make_data(family="cbow", published="w", arrays=arrays))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(tmp_path, name, bad):
    path = tmp_path / "m.h5"
    save_model(path, make_data())
    before = path.read_bytes()
    arrays = {key: values.astype(np.float64) for key, values in make_data().arrays.items()}
    arrays[name].flat[-1] = bad
    with pytest.raises(DivergenceError, match=f"{name} .*not finite"):
        save_model(path, make_data(arrays=arrays))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.h5"]


def test_a_loss_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(DivergenceError, match="history"):
        save_model(tmp_path / "m.h5", make_data(history=[{"epoch": 1, "loss": float("nan")}]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"family": "word2vex"}, UsageError, "word2vex"),
        ({"published": "c+w"}, UsageError, "c+w"),
        ({"arrays": {}}, FormatError, "has no words"),
        (
            {"arrays": {**make_data().arrays, "contexts": np.zeros((12, 4))}},
            FormatError,
            "contexts has the shape 12 x 4",
        ),
        ({"arrays": {**make_data().arrays, "words": np.zeros((11, 5))}}, FormatError, "words has the shape 11 x 5"),
        ({"arrays": {**make_data().arrays, "word_bias": np.zeros((12, 1))}}, FormatError, "word_bias"),
    ],
)
def test_content_that_the_format_does_not_have(tmp_path, changes, error, says):
    with pytest.raises(error, match=says.replace("+", r"\+")):
        save_model(tmp_path / "m.h5", make_data(**changes))
    assert not list(tmp_path.iterdir())


def test_no_directory(tmp_path):
    with pytest.raises(UsageError, match="no such directory"):
        save_model(tmp_path / "none" / "m.h5", make_data())


def test_interrupted_writing_leaves_nothing(model, monkeypatch):
    def interrupt(self, file):
        raise KeyboardInterrupt

    before = model.read_bytes()
    monkeypatch.setattr(hdf5.Dataset, "write", interrupt)
    with pytest.raises(InterruptedRun):
        save_model(model, make_data(published="w"))
    assert model.read_bytes() == before
    assert [p.name for p in model.parent.iterdir()] == ["m.h5"]


def test_a_leftover_is_written_over(model):
    left = model.with_name("m.h5.part")
    left.write_bytes(b"left by a killed run" * 5000)
    save_model(model, make_data())
    assert_same(open_model(model, verify=True), make_data())
    assert not left.exists()


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from support.models import make_data
from cooc_engine.errors import ResourceError
from cooc_engine.models.file import save_model
path = Path({path!r})
before = path.read_bytes()
for limit in (0, 100, 1000, 2500, 3000, 4000, len(before) - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save_model(path, make_data())
    except ResourceError as error:
        message = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert "File too large" in message and "run again" in message, message
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
save_model(path, make_data())
"""


def test_no_room_at_any_point(model):
    """In a process of its own, since HDF5 must survive it until the interpreter ends."""
    code = FULL.format(tests=str(Path(__file__).parents[1]), path=str(model))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("r+b", buffering=0) as file, pytest.raises(OSError, match="No space"):
        hdf5.Dataset.of(np.ones(5), "x").write(file)


# ------------------------------------------------------------------------------------------------------------ damage


def flip(path: Path, place: int, bits: int = 0xFF) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        value = file.read(1)[0]
        file.seek(place)
        file.write(bytes([value ^ bits]))


def test_missing(tmp_path):
    fails(tmp_path / "none.h5", InputError, "no such file")


def test_a_directory(tmp_path):
    fails(tmp_path, InputError, "cannot be read")


def test_empty(tmp_path):
    path = tmp_path / "m.h5"
    path.touch()
    fails(path, FormatError, "empty file")


@pytest.mark.parametrize("content", [b"some text\n", b"\x89HDF", b"\x89HDF\r\n\x1a\n", b"PK\3\4" * 100])
def test_not_hdf5(tmp_path, content):
    path = tmp_path / "m.h5"
    path.write_bytes(content)
    fails(path)


def test_truncated_anywhere(model):
    whole = model.read_bytes()
    for length in [*range(1, 200, 7), *range(200, len(whole), 131), len(whole) - 1]:
        model.write_bytes(whole[:length])
        message = fails(model)
        if length >= 96:  # from the superblock on, which knows the file's size
            assert "truncated" in message


def test_grown(model):
    whole = model.read_bytes()
    model.write_bytes(whole + bytes(100))
    assert_same(open_model(model, verify=True), make_data())


@pytest.mark.parametrize("bits", [0xFF, 0x01])
def test_a_flipped_byte_is_found_or_harmless(model, bits):
    """Bytes that nothing refers to may change; any other is found, and never by a traceback."""
    whole = model.read_bytes()
    found = 0
    for place in range(bits % 11, len(whole), 11):
        model.write_bytes(whole)
        flip(model, place, bits)
        try:
            opened = open_model(model, verify=True)
        except FormatError as error:
            assert "\n" not in str(error)
            found += 1
        else:
            assert_same(opened, make_data())
            assert opened.history == [dict(make_data().history[0])]
    assert found > 100


@pytest.mark.parametrize("bits", [0xFF, 0x10])
def test_what_a_flipped_byte_makes_of_a_file_is_told_in_a_line(model, bits):
    """Whatever h5py raises for the structure, at each byte of it."""
    whole = model.read_bytes()
    for place in range(bits % 37, 2600, 37):
        model.write_bytes(whole)
        flip(model, place, bits)
        for read in (hdf5.form_of, cooc_engine.info):
            try:
                read(model)
            except InputError as error:
                assert "\n" not in str(error)


def test_zeroed_pieces(model):
    whole = model.read_bytes()
    for start in range(0, len(whole), 256):
        model.write_bytes(whole[:start] + bytes(256) + whole[start + 256 :])
        try:
            assert_same(open_model(model, verify=True), make_data())
        except FormatError as error:
            assert "\n" not in str(error)


def edit(path: Path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def replace_dataset(place: str, values, crc: bool = True, **options):
    def change(file):
        old = dict(file[place].attrs)
        del file[place]
        created = file.create_dataset(place, data=values, **options)
        if crc:
            created.attrs.update(old)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.attrs.pop("format"), "not of cooc-engine"),
        (lambda f: f.attrs.update({"format": "cooc-engine checkpoint"}), "is a cooc-engine checkpoint, expected"),
        (lambda f: f.attrs.update({"format": 3}), "format is missing or not a string"),
        (lambda f: f.attrs.update({"format-version": 2}), "version 2; this program reads version 1"),
        (lambda f: f.attrs.update({"format-version": "1"}), "format-version"),
        (lambda f: f.attrs.update({"complete": np.uint8(0)}), "half-written"),
        (lambda f: f.attrs.pop("complete"), "complete"),
        (
            lambda f: f["vocabulary"].attrs.update({"element-version": 9}),
            "element vocabulary is of type 'vocabulary' version 9",
        ),
        (lambda f: f["parameters"].attrs.update({"element-type": "tensors"}), "'tensors' version 3"),
        (lambda f: f["config"].attrs.update({"element-type": "vocabulary"}), "element config"),
        (lambda f: f["config"].attrs.pop("element-type"), "element config: attribute element-type"),
        (lambda f: f["parameters"].attrs.update({"family": "glovex"}), "family is 'glovex'"),
        (lambda f: f["parameters"].attrs.pop("published"), "published is ''"),
        (lambda f: f.pop("vocabulary"), "has no element vocabulary"),
        (lambda f: f.pop("parameters"), "has no element parameters"),
        (lambda f: f.pop("history"), "has no element history"),
        (lambda f: f.pop("config/json"), "element config has no json"),
        (lambda f: f.pop("vocabulary/counts"), "element vocabulary has no counts"),
        (lambda f: f.pop("parameters/contexts"), "element parameters has no contexts"),
        (lambda f: f["parameters/words"].attrs.pop("crc-32"), "parameters/words: attribute crc-32"),
        (lambda f: f["parameters/words"].attrs.pop("block"), "parameters/words: attribute crc-32 is missing or not a whole"),
        (lambda f: f["parameters/words"].attrs.update({"block": 0}), "crc-32 does not hold a checksum of each 0 rows"),
        (lambda f: f["parameters/words"].attrs.update({"block": 6}), "crc-32 does not hold a checksum of each 6 rows"),
        (lambda f: f["parameters/words"].attrs.update({"crc-32": [1.5]}), "crc-32 does not hold a checksum of each"),
        (lambda f: f.create_dataset("extra", data=[1]), "element extra is not a group"),
        (lambda f: f.create_group("parameters/more"), "parameters/more is not a dataset"),
        (lambda f: f.update({"gone": h5py.SoftLink("/nowhere")}), "element gone is a link"),
        (lambda f: f.update({"gone": h5py.ExternalLink("none.h5", "/x")}), "element gone is a link"),
        (replace_dataset("parameters/words", np.zeros((12, 5), np.float64)), "words holds float64, expected float32"),
        (replace_dataset("parameters/words", np.zeros((12, 5), ">f4")), "words holds >f4"),
        (
            replace_dataset("parameters/words", np.zeros((11, 5), np.float32)),
            "words has the shape 11 x 5, expected 12 x any",
        ),
        (replace_dataset("parameters/words", np.zeros((12, 6), np.float32)), "12 x 5, expected 12 x 6"),
        (replace_dataset("parameters/words", np.zeros((12, 5), np.float32), chunks=(3, 5)), "not contiguous"),
        (replace_dataset("parameters/words", np.zeros((12, 5), np.float32), compression="gzip"), "not contiguous"),
        (replace_dataset("parameters/words", np.zeros((12, 5), np.float32)), "checksum"),
        (replace_dataset("parameters/words", ["a"] * 12, dtype=h5py.string_dtype()), "no plain values"),
        (replace_dataset("parameters/words", h5py.Empty("f4")), "no plain values"),
        (replace_dataset("vocabulary/offsets", np.zeros(13, np.int64)), "vocabulary/offsets"),
        (replace_dataset("vocabulary/offsets", np.zeros(12, np.int64)), "offsets has the shape 12, expected 13"),
        (replace_dataset("config/json", np.bytes_(b"{}")), "element config/json is damaged"),
    ],
)
def test_wrong_structure(model, change, says):
    edit(model, change)
    fails(model, FormatError, says)


@pytest.mark.parametrize(
    ("element", "name", "values", "says"),
    [
        ("vocabulary", "offsets", np.r_[0, 9, 4, np.arange(10)], "its numbers do not rise to"),
        ("vocabulary", "offsets", np.arange(13), "its numbers do not rise to"),
        ("config", "json", np.bytes_(b"[1]"), "element config: the content is a list of 1; it must be an object"),
        ("history", "json", np.bytes_(b"{}"), "element history: "),
        ("history", "json", np.bytes_(b"[1]"), "element history: "),
        ("history", "json", np.bytes_(b"[1"), "not JSON that can be read"),
        ("history", "json", np.bytes_(b"\xff"), "not JSON that can be read"),
    ],
)
def test_wrong_meaning(model, element, name, values, says):
    def change(file):
        del file[element][name]
        crc = hdf5.Dataset.of(np.asarray(values), "").crc
        file[element].create_dataset(name, data=values).attrs["crc-32"] = np.uint32(crc)

    edit(model, change)
    fails(model, FormatError, says)


def test_foreign_hdf5(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5)
    fails(path, FormatError, "an HDF5 file, but not of cooc-engine")


def test_a_half_written_file_of_ours(model):
    """What a killed run leaves as .part does not open, should someone rename it."""
    data = make_data()
    datasets = {name: hdf5.Dataset.of(values, name) for name, values in data.arrays.items()}
    element = hdf5.Element("", "parameters", 1, datasets)
    hdf5._write_structure(model, file_module.MODEL, {"parameters": element})
    fails(model, FormatError, "half-written")


# ------------------------------------------------------------------------------------------------------- checkpoints


def test_checkpoint_round_trip(tmp_path):
    path = tmp_path / "c.h5"
    arrays = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "state": np.array([2**64 - 1, 0], np.uint64),
        "none": np.empty((0, 3), np.float32),
        "scalar": np.array(2.5),
        "flags": np.array([1, -1], np.int8),
    }
    save_arrays(path, "glove", arrays, {"epoch": 3, "history": [{"loss": 0.1}]})
    loaded, meta = load_arrays(path, "glove")
    assert meta == {"epoch": 3, "history": [{"loss": 0.1}]}
    assert loaded.keys() == arrays.keys()
    for name, values in arrays.items():
        assert loaded[name].dtype == values.dtype and loaded[name].shape == values.shape
        assert np.array_equal(loaded[name], values)


def test_checkpoint_of_another_kind(tmp_path, model):
    path = tmp_path / "c.h5"
    save_arrays(path, "glove", {"w": np.ones(3)}, {})
    with pytest.raises(FormatError, match="a checkpoint of glove, expected one of skipgram"):
        load_arrays(path, "skipgram")
    with pytest.raises(FormatError, match="is a cooc-engine model, expected a cooc-engine checkpoint"):
        load_arrays(model, "glove")
    with pytest.raises(FormatError, match="is a cooc-engine checkpoint, expected a cooc-engine model"):
        open_model(path)
    with pytest.raises(InputError, match="no such file"):
        load_arrays(tmp_path / "none", "glove")


def test_checkpoint_damage_is_found_on_loading(tmp_path):
    path = tmp_path / "c.h5"
    values = np.arange(500, dtype=np.float32)
    save_arrays(path, "glove", {"w": values}, {"epoch": 1})
    place = path.read_bytes().index(values.tobytes())
    flip(path, place + 1000)
    with pytest.raises(FormatError, match=r"arrays/w is damaged"):
        load_arrays(path, "glove")


def test_a_checkpoint_survives_a_failed_one(tmp_path):
    path = tmp_path / "c.h5"
    save_arrays(path, "glove", {"w": np.ones(3)}, {"epoch": 1})
    with pytest.raises(DivergenceError, match="w holds values that are not finite"):
        save_arrays(path, "glove", {"w": np.array([1, np.nan])}, {"epoch": 2})
    assert load_arrays(path, "glove")[1] == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.h5"]


def test_errors_of_hdf5_keep_their_number():
    with pytest.raises(OSError, match="No space") as caught, hdf5.writing():
        raise RuntimeError("Can't decrement id ref count (write failed: errno = 28, error message = 'x')")
    assert caught.value.errno == 28
    with pytest.raises(RuntimeError), hdf5.writing():
        raise RuntimeError("something else")


# -------------------------------------------------------------------------------------------------------------- axes

AXES = {"words": "V d", "contexts": "V d", "word_bias": "V", "context_bias": "V"}


def test_axes_are_recorded_and_an_array_that_the_family_does_not_know_has_its_own(tmp_path):
    path = tmp_path / "m.h5"
    data = make_data()
    save_model(path, make_data(arrays={**data.arrays, "extra": np.ones((3, 2)), "more": np.ones((3, 5))}, axes={"more": "B d"}))
    wanted = {**AXES, "extra": "extra-0 extra-1", "more": "B d"}
    with h5py.File(path) as file:
        assert file["parameters"].attrs["element-version"] == 3
        assert json.loads(file["parameters"].attrs["axes"]) == wanted
    assert open_model(path).axes == wanted
    append_evaluation(path, [])
    assert open_model(path).axes == wanted
    with pytest.raises(FormatError, match="more has the shape 3 x 4, expected any x 5"):
        save_model(path, make_data(arrays={**data.arrays, "more": np.ones((3, 4))}, axes={"more": "B d"}))


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ("", "attribute axes"),
        ("[1]", "attribute axes"),
        (json.dumps({**AXES, "more": "V"}), "attribute axes"),
        (json.dumps({**AXES, "words": 3}), "attribute axes"),
        (json.dumps({**AXES, "words": "D d"}), "parameters/words has the axes 'D d', expected 'V d'"),
    ],
)
def test_axes_that_do_not_fit(model, axes, says):
    edit(model, lambda file: file["parameters"].attrs.update({"axes": axes}))
    fails(model, FormatError, says)


def test_version_1_has_the_axes_of_its_family(model):
    def older(file):
        del file["parameters"].attrs["axes"]
        file["parameters"].attrs["element-version"] = np.uint32(1)

    edit(model, older)
    assert open_model(model, verify=True).axes == AXES


def test_format_md_has_a_row_for_each_family_as_the_registry_says():
    rows = (Path(cooc_engine.__file__).parent / "FORMAT.md").read_text("utf-8").splitlines()
    start = rows.index("| family | datasets | may have | `published` |")
    table = list(itertools.takewhile(lambda line: line.startswith("|"), rows[start + 2 :]))
    assert len(table) == len(FAMILIES)
    for line, (name, family) in zip(table, FAMILIES.items(), strict=True):
        named = {array: f"`{array}` ({axes})" for array, axes in family.arrays.items()}
        required = ", ".join(text for array, text in named.items() if array not in family.optional)
        if family.rows == "sparse":
            required = f"one matrix ({family.arrays['vectors']}), of type `csr`"
        columns = [f"`{name}`", required, ", ".join(named[array] for array in family.optional)]
        columns.append(", ".join(f"`{choice}`" for choice in family.published))
        assert [part.strip() for part in line.strip("|").split("|")] == columns


# ----------------------------------------------------------------------------------------------------------- archive


def test_archived_model_v1_still_opens(tmp_path):
    model = open_model(ARCHIVE, verify=True)
    assert (model.family, model.published) == ("glove", "w+c")
    assert model.vocabulary.words == ["the", "Köln", "水", "ice", "steam", "naïve"]
    assert model.vocabulary.counts.tolist() == [90, 40, 40, 7, 5, 5]
    assert model.array("words")[5].tolist() == [1.875, 2.0, 2.125]
    assert model.array("contexts")[0].tolist() == [1.0, 0.9375, 0.875]
    assert model.array("word_bias").tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert model.array("context_bias")[4] == -1
    assert model.matrix[1].tolist() == [1.1875, 1.25, 1.3125]
    assert model.config["glove"] == {"vector_size": 3, "lr": 0.05, "vectors": "w+c"}
    assert model.provenance == {"seed": 1, "program": "0.1.0", "corpus": "Zürich"}
    assert model.history == [{"epoch": 1, "loss": 0.5, "seconds": 0.25, "items": 36, "lr": 0.05}]
    assert model.evaluation == [{"dataset": "men", "kind": "spearman", "value": None, "covered": 0, "total": 3000}]
    copy = tmp_path / "copy.h5"
    shutil.copy(ARCHIVE, copy)
    append_evaluation(copy, [])
    assert_same(open_model(copy, verify=True), model.data())


def test_resource_error_is_raised_for_a_full_disk(model, monkeypatch):
    def full(self, file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hdf5.Dataset, "write", full)
    with pytest.raises(ResourceError, match="No space left"):
        save_model(model, make_data())


def test_what_was_checked_is_given_back(tmp_path):
    """Checks read all words of a model, and with `verify` all vectors; none of it stays in the process."""
    size = 400_000
    vocabulary = Vocabulary.from_words([f"word{i}" for i in range(size)], range(2 * size, size, -1))
    rows = np.ones((size, 20), np.float32)
    save_model(tmp_path / "m.h5", ModelData("imported", vocabulary, {"words": rows}, "w", {}, {}))
    save_model(tmp_path / "small.h5", make_data())
    process = psutil.Process()
    for verify in (False, True):
        open_model(tmp_path / "small.h5", verify=verify)  # what is loaded on the way stays, whatever the size
        before = process.memory_info().rss
        model = open_model(tmp_path / "m.h5", verify=verify)
        assert process.memory_info().rss - before < 4 << 20
        assert model.vocabulary.word(7) == "word7"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vocabulary": Vocabulary(np.zeros(3, np.uint8), np.array([0, 5, 3]), np.array([1, 1]))}, "do not rise to 3"),
        ({"vocabulary": Vocabulary(np.full(2, 255, np.uint8), np.array([0, 1, 2]), np.array([1, 1]))}, "not UTF-8"),
        ({"history": [{"epoch": 1}]}, r"element history: \[0\] has no loss"),
        ({"config": {"train": 5}}, "element config: train is 5; it must be an object"),
        ({"provenance": {"tokens": -1}}, "element provenance: tokens is -1"),
    ],
)
def test_a_model_that_would_be_refused_is_not_written(tmp_path, changes, says):
    with pytest.raises(FormatError, match=says):
        save_model(tmp_path / "m.h5", make_data(2, **changes))
    assert not list(tmp_path.iterdir())
