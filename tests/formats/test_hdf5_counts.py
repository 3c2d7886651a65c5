"""Counts in a file of HDF5 come back byte for byte, and a damaged file is named."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from support.counts import SLOW, TEXTS, counted, cut_by, files, integers, options_of, texts_of

from cooc_engine.counts import directory
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InputError
from cooc_engine.formats import hdf5_counts
from cooc_engine.formats.hdf5_counts import CountFile, export_hdf5, import_hdf5
from cooc_engine.pipeline.describe import info
from cooc_engine.pipeline.stages import append
from cooc_engine.storage.hdf5 import Dataset, Stream


@SLOW
@given(texts_of, options_of, st.booleans(), st.integers(1, 3), st.sampled_from([5, 10**6]))
def test_a_directory_comes_back_byte_for_byte(texts, options, positional, threads, run):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        at = Path(name)
        patch.setattr(directory, "BLOCK_ENTRIES", 20)
        patch.setattr(hdf5_counts, "CHUNK", 7)
        patch.setattr(hdf5_counts, "LEAST_CHUNK", 7)
        cooc = counted(texts, at, CountOptions(**options.record() | {"positional": positional}))
        export_hdf5(cooc, at / "counts.h5")
        cut_by(patch, run)
        back = import_hdf5(at / "counts.h5", at / "back", threads=threads)
        assert files(back.path) == files(cooc.path)
        opened, whole = CountFile(at / "counts.h5"), cooc.csr()
        np.testing.assert_array_equal(opened.csr().toarray(), whole.toarray())
        with h5py.File(at / "counts.h5") as file:
            group = file["counts"]
            parts = tuple(group[part][:] for part in ("data", "indices", "indptr"))
            np.testing.assert_array_equal(scipy.sparse.csr_array(parts, group["shape"][:]).toarray(), whole.toarray())
            assert all(group[part].chunks is None for part in group)
            found = {key: group.attrs[key] for key in ("encoding-type", "encoding-version", "shape")}
        assert (found["encoding-type"], found["encoding-version"]) == (b"csr_matrix", b"0.1.0")
        assert tuple(found["shape"]) == whole.shape


def test_integers_that_float64_does_not_hold_come_back(tmp_path):
    random = np.random.default_rng(0)
    texts = [random.permutation([*"aaaabbbbccdefff"]).tolist() for _ in range(1)]
    cooc = counted(texts, tmp_path, CountOptions(window=41))
    assert max(integers(cooc).values()) > 2**53
    export_hdf5(cooc, tmp_path / "counts.h5")
    with h5py.File(tmp_path / "counts.h5") as file:
        assert file["counts"]["remainders"][:].any()
    assert files(import_hdf5(tmp_path / "counts.h5", tmp_path / "back").path) == files(cooc.path)


def test_merged_and_appended_counts_come_back(tmp_path):
    one = counted(TEXTS, tmp_path, CountOptions(window=2))
    (tmp_path / "new.txt").write_text("a b b b a c\n" * 9)
    both = append(one, tmp_path / "new.txt", tmp_path / "both")
    export_hdf5(both, tmp_path / "counts.h5")
    assert files(import_hdf5(tmp_path / "counts.h5", tmp_path / "back").path) == files(both.path)
    assert info(tmp_path / "counts.h5")["kind"] == "counts"


def test_a_damaged_file_of_counts_is_named(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    path, out = tmp_path / "counts.h5", tmp_path / "out"
    export_hdf5(cooc, path)
    whole = path.read_bytes()
    with h5py.File(path) as file:
        places = {f"{group}/{name}": file[group][name].id.get_offset() for group in file for name in file[group]}
    for name, place in places.items():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(FormatError, match=rf"counts.h5: element {name.split('/')[0]}"):
            import_hdf5(path, out)
    path.write_bytes(whole[:-8])
    with pytest.raises(FormatError, match=r"counts.h5: .*truncated"):
        import_hdf5(path, out)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        file["counts"].attrs["shape"] = np.array([4, 5])
    with pytest.raises(FormatError, match="shape"):
        CountFile(path)
    with pytest.raises(InputError, match="no such file"):
        CountFile(tmp_path / "none.h5")
    assert not out.exists() and not list(tmp_path.glob("*.part"))


def test_a_manifest_of_other_counts_is_refused(tmp_path):
    cooc = counted(TEXTS, tmp_path, CountOptions())
    list(cooc.rows())  # so that it is not compared with its manifest later
    cooc.manifest["total"] += 1
    export_hdf5(cooc, tmp_path / "counts.h5")
    with pytest.raises(FormatError, match="does not hold the counts that it claims"):
        import_hdf5(tmp_path / "counts.h5", tmp_path / "out")
    for field, value, message in (
        ("version", 4, "version is 4; it must be that of counts, 1 or 2 or 3"),
        ("version", 3, "version is 3; it must be 3 if and only if there is a column_vocabulary"),
        ("options", {"newer": 1}, "options of another version"),
        ("options", 5, "options is 5; it must be an object"),
        ("entries", 1, "do not match its manifest"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(cooc.manifest, field, value)
            export_hdf5(cooc, tmp_path / "counts.h5", force=True)
        with pytest.raises(FormatError, match=message):
            CountFile(tmp_path / "counts.h5")


def test_streams_are_written_as_arrays_are(tmp_path):
    values = np.arange(10, dtype=np.float64)
    stream = Stream((10,), np.dtype(np.float64), lambda: iter(np.split(values, [3, 3, 7])))
    one, other = Dataset.of(values, "x"), Dataset.of(stream, "x")
    assert (one.crc, one.dtype) == (other.crc, other.dtype)
    with (tmp_path / "x").open("wb") as file:
        other.write(file)
    assert (tmp_path / "x").read_bytes() == values.tobytes()


def test_a_column_outside_the_matrix_is_not_followed(tmp_path, monkeypatch):
    export_hdf5(counted(TEXTS, tmp_path, CountOptions()), tmp_path / "counts.h5")
    found = CountFile(tmp_path / "counts.h5")
    monkeypatch.setitem(found._values, "indices", found._values["indices"] + np.int32(1))
    with pytest.raises(FormatError, match=r"element counts/indices: a value is outside 0 to 3"):
        found.csr()
