"""Counts that are not what they claim to be: every relation that a kernel relies on is checked before it is followed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support import forge
from support.counts import TEXTS, counted, integers

from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError
from cooc_engine.formats.hdf5_counts import CountFile, export_hdf5, import_hdf5
from cooc_engine.matrix.glove import train_glove
from cooc_engine.matrix.pmi_svd import train_pmi_svd
from cooc_engine.models.matrix_options import GloveOptions, PmiSvdOptions

OPTIONS = CountOptions(window=2)
READERS = {
    "merge": lambda path, output: merge([path, path], output, threads=1),
    "glove": lambda path, output: train_glove(path, output, GloveOptions(vector_size=2, epochs=1), threads=1),
    "pmi-svd": lambda path, output: train_pmi_svd(path, output, PmiSvdOptions(vector_size=2), threads=1),
    "export": lambda path, output: export_hdf5(path, output),
    "row": lambda path, output: Cooc(path).row(0),
    "rows": lambda path, output: list(Cooc(path).rows()),
}


@pytest.fixture
def path(tmp_path) -> Path:
    return counted(TEXTS, tmp_path / "one", OPTIONS).path


def refused(path: Path, says: str) -> None:
    for name, read in READERS.items():
        with pytest.raises(FormatError, match=says) as failure:
            read(path, path.parent / name)
        assert len(str(failure.value).splitlines()) == 1
        assert not (path.parent / name).exists(), name


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"entries": 13}, "row-offsets.bin: its numbers do not rise to 13"),
        ({"entries": 2**40}, "entries is 1099511627776; it must be at most the rows times the columns"),
        ({"total": 1}, "the values do not sum to 1"),
        ({"columns": 5}, "columns is 5; it must be the words times the slots"),
        ({"denominator": 3}, "its denominator or slots are not those of its options"),
        ({"blocks": []}, "blocks is a list of 0; it must be all rows, one block after another"),
        ({"blocks": [[0, 2, False], [3, 4, False]]}, "it must be all rows, one block after another"),
        ({"blocks": [[0, 4]]}, r"blocks\[0\] is a list of 2; it must be a list of 3"),
        ({"blocks": [[0, 4, True]]}, "values-00000.bin: .*expected"),
        ({"corpus": {"digest": "", "options": {}}}, 'corpus.digest is ""; it must be a SHA-256'),
        ({"options": {"window": 10**9}}, "window is 1e.09; it must be below 100000"),
        ({"options": {"window": 10**400}}, "window is a number of more than 300 digits"),
        ({"options": {"subsample": 10**400}}, "subsample is a number of more than 300 digits"),
        ({"files": {}}, "is not the file that the manifest names"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused(path, changed, says):
    forge.remake(path, **changed)
    refused(path, says)


NAMES = ("row-offsets", "row-sums", "column-sums", "columns-00000", "values-00000")


def altered(path: Path, name: str, **changed: int) -> np.ndarray:
    values = forge.values_of(path / name)
    for place, value in changed.items():
        values[int(place.lstrip("_"))] = value
    return values


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("row-offsets.bin", {"_1": -(2**63)}, "row-offsets.bin: its numbers do not rise"),
        ("row-offsets.bin", {"_1": 10**12}, "row-offsets.bin: its numbers do not rise"),
        ("row-offsets.bin", {"_0": 1}, "row-offsets.bin: the first offset is not 0"),
        ("row-offsets.bin", {"_1": 0, "_2": 0, "_3": 0}, "row-offsets.bin: a row has more than 4 entries"),
        ("columns-00000.bin", {"_0": 2**31 - 1}, "columns-00000.bin: row 0 does not fit the sums of the rows"),
        ("columns-00000.bin", {"_0": -1}, "columns-00000.bin: row 0 does not fit the sums of the rows"),
        ("columns-00000.bin", {"_1": 0}, "columns-00000.bin: row 0 does not fit the sums of the rows"),
        ("values-00000.bin", {"_0": 2**32 - 1}, "columns-00000.bin: row 0 does not fit the sums of the rows"),
        ("values-00000.bin", {"_0": 0}, "columns-00000.bin: row 0 does not fit the sums of the rows"),
        ("row-sums.bin", {"_0": -1}, "row-sums.bin: a value is negative"),
        ("row-sums.bin", {"_0": 2**62}, "row-sums.bin: the values do not sum to"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(path, version, name, change, says):
    forge.put(path / name, altered(path, name, **change))
    forge.remake(path, version)
    refused(path, says)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_another_length_are_refused(path, name):
    forge.put(path / f"{name}.bin", forge.values_of(path / f"{name}.bin")[:-1])
    forge.remake(path)
    with pytest.raises(FormatError, match=f"{name}.bin: .* values where there must be"):
        cooc = Cooc(path)
        _ = cooc.row_offsets, cooc.row_integers, cooc.column_integers, integers(cooc)


@pytest.mark.parametrize(
    "other", [CountOptions(window=2, window_weight="uniform"), CountOptions(window=2, context_side="left")]
)
def test_entries_of_other_counts_are_not_taken(tmp_path, path, other):
    """The weights, and the side: counts of as many entries, whose checksums fit."""
    left = counted(TEXTS, tmp_path / "left", CountOptions(window=2, context_side="right")).path
    victim = left if other.context_side == "left" else path
    donor = counted(TEXTS, tmp_path / "two", other).path
    for name in ("columns-00000.bin", "values-00000.bin"):
        shutil.copy(donor / name, victim / name)
    refused(victim, "columns-00000.bin: is not the file that the manifest names|values-00000.bin: is not the file")
    forge.remake(victim, version=1)
    refused(victim, "does not fit the sums of the rows|values where there must be")


def test_columns_that_only_their_sums_tell_apart(tmp_path):
    """Without the manifest of version 2, rows with other columns have the same sums."""
    path = counted([["a", "b"], ["c", "d"]], tmp_path / "one", CountOptions(window=1)).path
    columns = forge.values_of(path / "columns-00000.bin")
    forge.put(path / "columns-00000.bin", np.array([2, 2, 2, 2], np.int32))
    forge.remake(path, version=1)
    with pytest.raises(FormatError, match="its entries are not those that its columns' sums say"):
        integers(Cooc(path))
    forge.put(path / "columns-00000.bin", columns)
    forge.remake(path, version=1)
    assert len(integers(Cooc(path))) == 4


def test_counts_of_version_1_are_restored_as_version_2(tmp_path, path):
    """A file that was exported by an older version holds the manifest of one."""
    whole = {file.name: file.read_bytes() for file in path.iterdir()}
    forge.remake(path, version=1)
    export_hdf5(path, tmp_path / "counts.h5")
    assert CountFile(tmp_path / "counts.h5").manifest["version"] == 1
    restored = import_hdf5(tmp_path / "counts.h5", tmp_path / "restored")
    assert {file.name: file.read_bytes() for file in restored.path.iterdir()} == whole
