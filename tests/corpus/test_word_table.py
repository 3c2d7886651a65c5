"""Word tables on disk: in groups by hash, of which the ranking of a part reads its own and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cooc_engine.corpus.ranking import rank_part, rank_tables, write_rows
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.corpus.word_table import GROUPS, HEAD_BYTES, Words, WordTable
from cooc_engine.errors import FormatError

MASK = 2**64 - 1


@pytest.fixture(scope="module")
def words() -> Words:
    """3,000 words of 1 to 40 bytes; the count of each is its number plus one."""
    found = [f"{'long' * (i % 10)}{i}" for i in range(3000)]
    return Words(WordTable.of(Vocabulary.from_words(found, [0] * 3000), np.arange(1, 3001)).words)


def records(found: np.ndarray) -> list[bytes]:
    """Cut records apart, slowly."""
    cut, place = [], 0
    while place < len(found):
        size = 2 + (int(found[place]) % 2**32 + 7) // 8
        cut.append(found[place : place + size].tobytes())
        place += size
    return cut


def group(record: bytes) -> int:
    """Return the group of a record by the definition of its hash."""
    hash_ = 0
    for chunk in np.frombuffer(record, np.uint64)[2:].tolist():
        hash_ = (hash_ ^ chunk) * 0x9E3779B97F4A7C15 & MASK
        hash_ ^= hash_ >> 32
    return hash_ % 2**32 * GROUPS >> 32


def test_a_file_has_the_records_in_groups(words, tmp_path):
    words.save(tmp_path / "t")
    stored, expected = Words.stored(tmp_path / "t", 3000), sorted(records(words.records), key=group)
    assert records(stored.records) == expected
    sizes = np.bincount([group(one) for one in expected], [len(one) // 8 for one in expected], GROUPS).astype(int)
    assert stored.starts.tolist() == [0, *np.cumsum(sizes)]
    assert (tmp_path / "t").stat().st_size == HEAD_BYTES + words.records.nbytes


@pytest.mark.parametrize("parts", [1, 2, 7, 256, 300])
def test_each_part_reads_its_own_groups_alone(words, tmp_path, parts):
    """All parts together read every group once, and one that lies in two of them twice."""
    words.save(tmp_path / "t")
    stored = Words.stored(tmp_path / "t")
    largest = int(np.diff(stored.starts).max())
    read = sum(len(stored.part(part, parts)) for part in range(parts))
    assert len(words.records) <= read <= len(words.records) + (parts - 1) * largest
    if GROUPS % parts == 0:
        assert read == len(words.records)
    found = [rank_part([stored], part, parts, 1, None) for part in range(parts)]
    assert sorted(count for one in found for count in one.counts.tolist()) == list(range(1, 3001))


def test_what_is_ranked_and_found_does_not_depend_on_groups(words, tmp_path):
    words.save(tmp_path / "t")
    made = []
    for number, table in enumerate((words, Words.stored(tmp_path / "t"))):
        at = tmp_path / f"{number}"
        at.mkdir()
        ranked = rank_tables([table, table], at, 5, 100, 2000)
        write_rows(ranked, [(table, 3000, at / "rows")], len(ranked.text))
        made.append({path.name: path.read_bytes() for path in at.iterdir()})
    assert made[0] == made[1]
    rows = np.frombuffer(made[0]["rows"], np.int32)
    assert rows.tolist() == [-1] * 1000 + [2999 - i for i in range(1000, 3000)]


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 1), (1, 3), (1, -1), (100, 2**40), (GROUPS, 5), (GROUPS + 1, 2**32 - 1), (GROUPS + 1, 3000 << 32), (-1, None)],
)
def test_a_file_that_cannot_be_followed_is_refused(words, tmp_path, place, value):
    words.save(tmp_path / "t")
    values = np.fromfile(tmp_path / "t", np.int64)
    if value is None:
        values = values[:place]
    else:
        values[place] = value
    values.tofile(tmp_path / "t")
    refused(tmp_path / "t")


@pytest.mark.parametrize("size", [0, 8, HEAD_BYTES - 8, HEAD_BYTES + 4])
def test_a_file_without_room_for_its_groups_is_refused(tmp_path, size):
    (tmp_path / "t").write_bytes(bytes(size))
    refused(tmp_path / "t")


def refused(path: Path) -> None:
    with pytest.raises(FormatError, match="t: is not what the interrupted run left"):
        Words.stored(path, 3000)


def test_no_words_are_a_table_too(tmp_path):
    Words(WordTable().words).save(tmp_path / "t")
    assert len(Words.stored(tmp_path / "t", 0).part(0, 3)) == 0
