"""Values that are verified when they are first read: each block once, and none that is damaged or not finite is returned."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from cooc_engine.errors import FormatError
from cooc_engine.storage import hdf5
from cooc_engine.storage.hdf5 import Dataset, Element, read_elements, rows_of_a_block, write_elements
from cooc_engine.storage.verified import VerifiedArrays, VerifiedRows

VALUES = np.arange(60, dtype=np.float32).reshape(12, 5)
KNOWN = [("things", 1)]
DAMAGED = r"t\.h5: element things/x is damaged \(checksum differs\)$"


@pytest.fixture(params=[True, False], ids=["blocks", "whole"])
def path(tmp_path, monkeypatch, request) -> Path:
    """A file with a matrix of 12 rows, in blocks of 3 rows or with one checksum."""
    monkeypatch.setattr(hdf5, "BLOCK", 64)
    dataset = (Dataset.of_parameter if request.param else Dataset.of)(VALUES, "x")
    assert len(dataset.checksums) == (4 if request.param else 1)
    write_elements(tmp_path / "t.h5", "test", {"things": Element("things", "things", 1, {"x": dataset})})
    return tmp_path / "t.h5"


def rows_of(path: Path) -> VerifiedRows:
    return VerifiedArrays(read_elements(path, "test", KNOWN)["things"]).rows["x"]


def write(path: Path, row: int, value: float) -> None:
    with h5py.File(path) as file:
        place = file["things/x"].id.get_offset()
    with path.open("r+b") as file:
        file.seek(place + 20 * row)
        file.write(np.float32(value).tobytes())


READS = [
    3,
    -1,
    slice(2, 7),
    slice(None),
    slice(9, 2, -3),
    slice(5, 5),
    [0, 11, 0],
    [],
    np.arange(12) % 5 == 0,
    np.array([[1], [2]]),
]


@pytest.mark.parametrize("rows", READS, ids=str)
def test_rows_are_those_of_the_array(path, rows):
    if isinstance(rows, list):
        rows = np.array(rows, np.int64)
    assert np.array_equal(rows_of(path)[rows], VALUES[rows])
    assert rows_of(path).shape == (12, 5) and len(rows_of(path)) == 12


@pytest.mark.parametrize("rows", READS, ids=str)
def test_a_damaged_row_is_never_returned(path, rows):
    if isinstance(rows, list):
        rows = np.array(rows, np.int64)
    for bad in range(12):
        write(path, bad, -1.0)
        found = rows_of(path)
        for _ in range(2):
            try:
                assert np.array_equal(found[rows], VALUES[rows])
            except FormatError as error:
                assert str(error).endswith("things/x is damaged (checksum differs)")
            else:
                assert bad not in np.atleast_1d(np.arange(12)[rows])
        write(path, bad, VALUES[bad, 0])


def test_only_the_blocks_that_are_read_are_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "BLOCK", 64)
    element = Element("things", "things", 1, {"x": Dataset.of_parameter(VALUES, "x")})
    write_elements(tmp_path / "t.h5", "test", {"things": element})
    seen, verify = [], Dataset.verify_block
    monkeypatch.setattr(Dataset, "verify_block", lambda self, number, where: (seen.append(number), verify(self, number, where)))
    rows = rows_of(tmp_path / "t.h5")
    assert not seen
    rows[4], rows[3:6], rows[[5, 11]], rows[:]
    assert seen == [1, 3, 0, 2]
    assert rows.whole().tobytes() == VALUES.tobytes() and len(seen) == 4


def test_all_of_an_array_is_verified_when_it_is_taken(path):
    write(path, 7, -1.0)
    arrays = VerifiedArrays(read_elements(path, "test", KNOWN)["things"])
    assert [*arrays] == ["x"] and len(arrays) == 1
    with pytest.raises(FormatError, match=DAMAGED):
        arrays["x"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e15, -3e38])
def test_numbers_that_are_not_finite_are_refused_though_their_checksum_fits(path, value):
    write(path, 7, value)
    element = read_elements(path, "test", KNOWN)["things"]
    block = element.datasets["x"].block
    with h5py.File(path, "r+") as file:
        forged = file["things/x"][:]
        sums = [hdf5.crc32(part.tobytes()) for part in np.split(forged, 12 // (block or 12))]
        file["things/x"].attrs.modify("crc-32", np.asarray(sums if block else sums[0], np.uint32))
    with pytest.raises(FormatError, match=r"things/x holds numbers that are not finite, or beyond 1e\+15$"):
        rows_of(path)[7]
    if not np.isfinite(value):
        with pytest.raises(FormatError, match=r"things/x holds numbers that are not finite$"):
            read_elements(path, "test", KNOWN)["things"].verify()


def test_blocks_are_a_mebibyte_and_not_too_many():
    assert rows_of_a_block((400_000, 300), np.dtype("<f4")) == 873
    assert rows_of_a_block((10, 1 << 20), np.dtype("<f4")) == 1
    assert rows_of_a_block((30_000_000, 1000), np.dtype("<f4")) == 3663
    assert rows_of_a_block((0, 0), np.dtype("<f4")) == 1 << 20


@pytest.mark.parametrize("block", [12, 2**40, 2**64 - 1])
def test_a_block_may_have_room_for_more_rows_than_there_are(tmp_path, block):
    dataset = Dataset.of(VALUES, "x")
    write_elements(tmp_path / "t.h5", "test", {"things": Element("things", "things", 1, {"x": dataset})})
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        attributes = file["things/x"].attrs
        attributes["block"], attributes["crc-32"] = np.uint64(block), np.array([attributes["crc-32"]], np.uint32)
    assert np.array_equal(rows_of(tmp_path / "t.h5")[[11, 0]], VALUES[[11, 0]])
