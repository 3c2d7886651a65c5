"""What `info` prints: sizes with what they are of, long lists cut, settings as one writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cooc_engine.errors import FormatError
from cooc_engine.pipeline.describe import info, lines


def test_lines_of_a_record():
    record = {
        "tokens": 14_079_468,
        "arrays": {"words": [88_090, 100]},
        "shards": [(14_079_468, 985_177)],
        "blocks": [(0, 4, True)],
        "config": {"train": {"lr": 0.05, "min_lr": None, "deterministic": True, "loss": "hs"}},
        "filters": [[1, 32], [2, 64]],
        "texts": [f"{number}.txt" for number in range(100)],
        "history": [{"epoch": 1, "loss": 0.25}],
        "evaluation": [],
    }
    assert list(lines(record)) == [
        "tokens: 14,079,468",
        "arrays:",
        "  words: 88,090 × 100",
        "shards: 1",
        "  tokens 14,079,468, documents 985,177",
        "blocks: 1",
        "  first row 0, end 4, of wide values on",
        "config:",
        "  train:",
        "    lr: 0.05",
        "    min_lr: –",
        "    deterministic: on",
        "    loss: hs",
        "filters: 2",
        "  1, 32",
        "  2, 64",
        "texts: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt, 6.txt, 7.txt, 8.txt, 9.txt and 90 more",
        "history: 1",
        "  epoch 1, loss 0.25",
        "evaluation: –",
    ]


def test_lines_of_a_record_that_was_forged():
    record = {"arrays": {"words": "V d", "more": 5}, "new": [[], {}, 1, "a"], "shards": [[1], 2, [1, 2]]}
    assert list(lines(record)) == [
        "arrays:",
        "  words: V d",
        "  more: 5",
        "new: 4",
        "  ",
        "  ",
        "  1",
        "  a",
        "shards: 3",
        "  1",
        "  2",
        "  tokens 1, documents 2",
    ]


def test_a_file_of_another_program_is_named_with_the_way_on(tmp_path: Path):
    (tmp_path / "other.vec").write_text("2 2\na 1 2\nb 3 4\n")
    with pytest.raises(FormatError, match=r"other\.vec: is a file of another program, in the format word2vec; import makes"):
        info(tmp_path / "other.vec")
    (tmp_path / "text").write_text("neither one nor the other\n")
    with pytest.raises(FormatError, match="text: not an HDF5 file"):
        info(tmp_path / "text")
