"""Checking the graph file of an index as a whole, before the C++ library maps it, which trusts every number in it.

The layout is that of usearch 2: the vectors, a head of 64 bytes, five numbers, the level of each node, and the nodes. A node
consists of its key, its level, and for each of its levels, from 0 up, the number of its neighbours and room for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine.errors import FormatError
from cooc_engine.runtime.offsets import offsets_of

__all__ = ["Form", "check_graph"]

NODES = 1 << 14  # nodes checked at a time
SHAPE = struct.Struct("<2I")  # vectors, and bytes of each
HEAD = struct.Struct("<7s6x4s3QB22x")  # after three version numbers: kinds of numbers, then nodes, deleted nodes, dimensions
KINDS = b"i\x0c\x0e\x0f"  # inner product, float16, keys of 64 bits, slots of 32 bits
GRAPH = struct.Struct("<5Q")  # nodes, most neighbours above level 0 and on it, the highest level, the node to begin at
NODE = 10  # bytes of the key and the level of a node
HIGHEST = 32  # level; each has a sixteenth of the nodes of the one below

Positions = npt.NDArray[np.int64]


class Form(NamedTuple):
    """The expected form of a graph: the number of its vectors, their `width`, and the most `links` of a node above level 0."""

    vectors: int
    width: int
    links: int


def check_graph(path: Path, form: Form) -> None:
    """Raise `FormatError` unless a file is a graph of this form whose links lead to nodes that have the link's level."""
    try:
        sound = _is_sound(np.memmap(path, np.uint8, "r"), form)
    except (struct.error, ValueError, IndexError):
        sound = False
    if not sound:
        raise FormatError(f"{path}: damaged; build it again with --force")


def _is_sound(data: npt.NDArray[np.uint8], form: Form) -> bool:
    size, row = form.vectors, 2 * form.width
    place = SHAPE.size + size * row
    found = tuple(part.unpack_from(data.data, at) for part, at in ((SHAPE, 0), (HEAD, place), (GRAPH, place + HEAD.size)))
    highest, first = found[2][3:]
    head = (b"usearch", KINDS, size, 0, form.width, 0)
    if found != ((size, row), head, (size, form.links, 2 * form.links, highest, first)) or highest > HIGHEST:
        return False
    place += HEAD.size + GRAPH.size
    levels = np.frombuffer(data, "<i2", size, place).astype(np.int64)
    if levels.min() < 0 or levels.max() != highest or first >= size or levels[first] != highest:
        return False
    sizes = NODE + _room(2 * form.links) + levels * _room(form.links)
    nodes = place + 2 * size + offsets_of(sizes)
    if nodes[-1] != len(data) or not all(_links_fit(data, nodes[:-1], levels, form)):
        return False
    return np.array_equal(np.sort(_at(data, "<u8", nodes[:-1])), np.arange(size))  # keys are the numbers of rows


def _room(links: int) -> int:
    """Return the bytes of a list of neighbours: their number, and the neighbours."""
    return 4 * (1 + links)


def _at(data: npt.NDArray[np.uint8], kind: str, places: Positions) -> npt.NDArray[Any]:
    """Return the numbers of a type at any places, aligned or not."""
    sliding = np.ndarray(len(data) - np.dtype(kind).itemsize + 1, kind, data, strides=1)
    return sliding[places]


def _links_fit(data: npt.NDArray[np.uint8], nodes: Positions, levels: Positions, form: Form) -> Iterator[bool]:
    """Yield for parts of the nodes on each level whether their neighbours have that level too."""
    yield np.array_equal(_at(data, "<i2", nodes + 8), levels)
    for level in range(int(levels.max()) + 1):
        links = form.links if level else 2 * form.links
        skipped = NODE + (_room(2 * form.links) + (level - 1) * _room(form.links) if level else 0)
        lists = nodes[levels >= level] + skipped
        for start in range(0, len(lists), NODES):
            part = lists[start : start + NODES]
            counts = _at(data, "<u4", part)
            neighbours = _at(data, "<u4", part[:, None] + 4 * np.arange(1, links + 1))
            used = neighbours[np.arange(links) < counts[:, None]]
            yield bool((counts <= links).all() and (used < len(nodes)).all() and (levels[used] >= level).all())
