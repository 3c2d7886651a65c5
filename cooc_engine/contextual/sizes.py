"""The sizes of a network as ELMo's programs write them, in `options.json`."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypedDict

from cooc_engine.contextual.shape import CHARACTERS, Shape
from cooc_engine.errors import FormatError
from cooc_engine.models.elmo_options import MOST_CHARACTERS
from cooc_engine.runtime.options import Above, AtLeast, Below
from cooc_engine.storage.schema import read_json

__all__ = ["shape_of_sizes", "sizes_of"]

MOST = 99  # layers, highways and widths of filters
Size = Annotated[int, AtLeast(1), Below(2**24)]
Width = Annotated[int, AtLeast(1), Below(MOST_CHARACTERS + 1)]
Clip = Annotated[float, Above(0)]


class _Embedding(TypedDict):
    dim: Size


class _CnnRequired(TypedDict):
    embedding: _Embedding
    filters: list[tuple[Width, Size]]
    n_characters: Literal[261, 262]
    max_characters_per_token: Literal[50]
    activation: Literal["relu", "tanh"]


class _Cnn(_CnnRequired, total=False):
    n_highway: Annotated[int, AtLeast(0), Below(MOST + 1)]


class _LstmRequired(TypedDict):
    cell_clip: Clip
    proj_clip: Clip
    dim: Size
    projection_dim: Size
    n_layers: Annotated[int, AtLeast(1), Below(MOST + 1)]


class _Lstm(_LstmRequired, total=False):
    use_skip_connections: bool


class _Sizes(TypedDict):
    char_cnn: _Cnn
    lstm: _Lstm


def shape_of_sizes(content: bytes, where: str) -> Shape:
    """Return the shape, without a softmax, from the JSON of `options.json`; raises `FormatError`, naming the option."""
    sizes = read_json(content, _Sizes, where)
    cnn, lstm = sizes["char_cnn"], sizes["lstm"]
    if not 1 <= len(cnn["filters"]) <= MOST:
        raise FormatError(f"{where}: char_cnn.filters has {len(cnn['filters'])} widths; there must be 1 to {MOST}")
    return Shape(
        cnn["embedding"]["dim"], tuple(cnn["filters"]), cnn.get("n_highway", 0), lstm["projection_dim"], lstm["dim"],
        lstm["n_layers"], 0, cnn["activation"], lstm.get("use_skip_connections", False), lstm["cell_clip"], lstm["proj_clip"],
    )  # fmt: skip


def sizes_of(shape: Shape) -> dict[str, dict[str, Any]]:
    """Return the content of `options.json`."""
    lstm = {
        "cell_clip": _plain(shape.cell_clip),
        "proj_clip": _plain(shape.projection_clip),
        "dim": shape.cells,
        "projection_dim": shape.vector_size,
        "n_layers": shape.layers,
        "use_skip_connections": shape.residual,
    }
    cnn = {
        "embedding": {"dim": shape.characters},
        "filters": [list(pair) for pair in shape.filters],
        "n_highway": shape.highways,
        "n_characters": CHARACTERS + 1,  # includes the id of a missing word, for which no file holds a vector
        "max_characters_per_token": MOST_CHARACTERS,
        "activation": shape.activation,
    }
    return {"lstm": lstm, "char_cnn": cnn}


def _plain(value: float) -> float | int:
    """Return a number without a fraction as the programs write it."""
    return int(value) if value == math.floor(value) else value
