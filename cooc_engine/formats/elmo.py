"""The files in which ELMo's programs, AllenNLP and bilm-tf, publish a model, both ways.

`options.json` has the sizes, `weights.hdf5` the parameters without the softmax, `vocabulary.txt` a word per line after `<S>`,
`</S>` and `<UNK>`, and `token_embeddings.hdf5` the vector of each of these words without context. They lie side by side: the name
of a file of weights says the others' (`small_weights.hdf5`: `small_options.json`).
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import numpy as np

from cooc_engine.contextual.characters import MARKS
from cooc_engine.contextual.shape import CHARACTERS, Shape
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.formats.incoming import is_utf8, repeated
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.models.elmo_options import MOST_CHARACTERS
from cooc_engine.runtime.options import Above, AtLeast, Below
from cooc_engine.runtime.types import Matrix
from cooc_engine.storage.plain_hdf5 import read_plain, write_plain
from cooc_engine.storage.schema import fitted, parse_json
from cooc_engine.text.bounded import lines, whole
from cooc_engine.text.compression import opened
from cooc_engine.text.tokenizers import LONGEST_WORD

__all__ = [
    "ElmoFiles", "check_publishable", "options_of", "read_elmo_vocabulary", "read_options", "read_weights",
    "write_elmo_vocabulary", "write_options", "write_token_embeddings", "write_weights",
]  # fmt: skip

LONGEST = 1 << 20  # bytes of a file of options
MOST_LAYERS = 8  # that bilm-tf gives names to
EMBEDDING = "embedding"  # the dataset of token embeddings
Size = Annotated[int, AtLeast(1), Below(2**24)]
Few = Annotated[int, AtLeast(0), Below(100)]
Clip = Annotated[float, Above(0)]


class _Embedding(TypedDict):
    dim: Size


class _CharCnn(TypedDict):
    embedding: _Embedding
    filters: list[tuple[Annotated[int, AtLeast(1), Below(MOST_CHARACTERS + 1)], Size]]
    n_characters: Literal[261, 262]
    max_characters_per_token: Literal[50]
    activation: Literal["relu", "tanh"]


class _Lstm(TypedDict):
    cell_clip: Clip
    proj_clip: Clip
    dim: Size
    projection_dim: Size
    n_layers: Annotated[int, AtLeast(1), Below(100)]


class _Options(TypedDict):
    """What `options.json` must have; what may be left out is in `_Optional`."""

    char_cnn: _CharCnn
    lstm: _Lstm


class _OptionalCnn(TypedDict, total=False):
    n_highway: Few


class _OptionalLstm(TypedDict, total=False):
    use_skip_connections: bool


class ElmoFiles(NamedTuple):
    """The names of the files that belong to a file of weights."""

    weights: Path
    options: Path
    vocabulary: Path
    token_embeddings: Path

    @classmethod
    def beside(cls, weights: Path) -> ElmoFiles:
        """Return the names: that of the weights with another word for `weights`, or with one more."""

        def named(kind: str, suffix: str) -> Path:
            stem = weights.stem.replace("weights", kind) if "weights" in weights.stem else f"{weights.stem}_{kind}"
            return weights.with_name(stem + suffix)

        return cls(weights, named("options", ".json"), named("vocabulary", ".txt"), named("token_embeddings", weights.suffix))


# ---------------------------------------------------------------------------------------------------------- reading


def read_options(path: Path) -> Shape:
    """Return the sizes of a model, without a softmax, from `options.json`; raises `FormatError`, naming the option."""
    content = parse_json(whole(path, LONGEST), f"{path}")
    if isinstance(content, dict) and "char_cnn" not in content:
        raise FormatError(f"{path}: has no char_cnn; a model that knows words only as a whole is not read")
    options = fitted(content, _Options, f"{path}")
    cnn, lstm = options["char_cnn"], options["lstm"]
    highways = fitted(cnn, _OptionalCnn, f"{path}: char_cnn").get("n_highway", 0)
    residual = fitted(lstm, _OptionalLstm, f"{path}: lstm").get("use_skip_connections", False)
    if not 0 < len(cnn["filters"]) < 100:
        raise FormatError(f"{path}: char_cnn.filters has {len(cnn['filters'])} widths; there can be 1 to 99")
    return Shape(
        cnn["embedding"]["dim"], tuple(cnn["filters"]), highways, lstm["projection_dim"], lstm["dim"], lstm["n_layers"],
        activation=cnn["activation"], residual=residual, cell_clip=lstm["cell_clip"], projection_clip=lstm["proj_clip"],
    )  # fmt: skip


def read_weights(path: Path, shape: Shape) -> dict[str, Matrix]:
    """Return the parameters by our names; raises `FormatError`, naming the dataset that is missing or does not fit the options."""
    table = {parameter.name: parameter for parameter in shape.parameters}
    found = read_plain(path, {parameter.published: parameter.published_shape for parameter in table.values()})
    return {name: found[parameter.published].reshape(parameter.shape) for name, parameter in table.items()}


def read_elmo_vocabulary(path: Path) -> Vocabulary:
    """Return the words of a vocabulary file after the three marks, all with the count 0.

    Raises `InputError`, naming the line, for an empty, repeated or undecodable word, and if the marks do not stand first.
    """
    text, ends = bytearray(), array("q", [0])
    with opened(path) as file:
        for number, line in lines(file, LONGEST_WORD + 2, path):
            word = line.strip()
            if number <= len(MARKS) and word.decode(errors="replace") != MARKS[number - 1]:
                raise InputError(f"{path}:{number}: a vocabulary of ELMo begins with the lines {', '.join(MARKS)}")
            if not word or not is_utf8(word):
                raise InputError(f"{path}:{number}: {'not UTF-8' if word else 'no word'}")
            if number > len(MARKS):
                text += word
                ends.append(len(text))
    vocabulary = Vocabulary(np.frombuffer(text, np.uint8), np.frombuffer(ends, np.int64), np.zeros(len(ends) - 1, np.int64))
    vocabulary.order = vocabulary.sorted_rows()
    for second, first in repeated(vocabulary):
        at, before = second + len(MARKS) + 1, first + len(MARKS) + 1
        raise InputError(f"{path}:{at}: the word {vocabulary.word(second)!r} stands twice (first in line {before})")
    return vocabulary


# ---------------------------------------------------------------------------------------------------------- writing


def check_publishable(shape: Shape) -> None:
    """Raise `UsageError`, naming the option, for a model that AllenNLP or bilm-tf would refuse or read wrongly."""
    options = options_of(shape)
    cnn, lstm = options["char_cnn"], options["lstm"]
    P, F = shape.vector_size, shape.features
    refused = {
        "lstm.use_skip_connections": "" if shape.residual else "AllenNLP reads only true",
        "lstm.projection_dim": "" if F > P else f"it must be below the number of all filters, {F}",
        "lstm.dim": "" if shape.cells > P else f"it must be above projection_dim, {P}",
        "lstm.n_layers": "" if shape.layers <= MOST_LAYERS else f"bilm-tf reads at most {MOST_LAYERS}",
    }
    for name, reason in refused.items():
        if reason:
            part, _, key = name.partition(".")
            value = json.dumps({"lstm": lstm, "char_cnn": cnn}[part][key])
            raise UsageError(f"{name} is {value}: {reason}; the other programs cannot take this model")


def options_of(shape: Shape) -> dict[str, dict[str, Any]]:
    """Return the content of `options.json`."""
    lstm = {
        "cell_clip": _number(shape.cell_clip),
        "proj_clip": _number(shape.projection_clip),
        "dim": shape.cells,
        "projection_dim": shape.vector_size,
        "n_layers": shape.layers,
        "use_skip_connections": shape.residual,
    }
    cnn = {
        "embedding": {"dim": shape.characters},
        "filters": [list(pair) for pair in shape.filters],
        "n_highway": shape.highways,
        "n_characters": CHARACTERS + 1,  # with the one that stands for a missing word, which no file holds
        "max_characters_per_token": MOST_CHARACTERS,
        "activation": shape.activation,
    }
    return {"lstm": lstm, "char_cnn": cnn}


def _number(value: float) -> float | int:
    return int(value) if value == math.floor(value) else value


def write_options(path: Path, shape: Shape) -> None:
    """Write `options.json`."""
    path.write_text(json.dumps(options_of(shape), indent=1) + "\n")


def write_weights(path: Path, shape: Shape, parameters: Mapping[str, Any]) -> None:
    """Write `weights.hdf5` from parameters by our names; the softmax is left out."""
    table = [parameter for parameter in shape.parameters if parameter.published]
    write_plain(path, {each.published: parameters[each.name].reshape(each.published_shape) for each in table})


def write_elmo_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Write the three marks and all words, one per line."""
    with path.open("wb") as file:
        file.writelines(mark.encode() + b"\n" for mark in MARKS)
        outgoing = Outgoing(vocabulary, np.empty((len(vocabulary), 1), np.float32))
        for block in outgoing.starts():
            file.writelines(word + b"\n" for word in outgoing.words(*block))


def write_token_embeddings(path: Path, vectors: Matrix) -> None:
    """Write the vectors of the marks and of all words without context, (V + 3, P), in the order of the vocabulary file."""
    write_plain(path, {EMBEDDING: vectors})
