"""Reading and writing the files in which AllenNLP and bilm-tf, ELMo's programs, publish a model.

`options.json` has the sizes, `weights.hdf5` the parameters without the softmax, `vocabulary.txt` a word per line after `<S>`,
`</S>` and `<UNK>`, and `token_embeddings.hdf5` the vector of each of these words without context. They lie side by side, and
the name of the file of weights determines the others' (`small_weights.hdf5`: `small_options.json`).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cooc_engine.contextual.characters import MARKS
from cooc_engine.contextual.file import elmo_data, imported_config, network_of, vectors_without_context
from cooc_engine.contextual.network import Network
from cooc_engine.contextual.shape import Shape
from cooc_engine.contextual.sizes import shape_of_sizes, sizes_of
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.formats.incoming import is_utf8, repeated
from cooc_engine.formats.outgoing import Outgoing
from cooc_engine.formats.vectors_text import WHITE_SPACE
from cooc_engine.models.file import ModelData, ModelFile
from cooc_engine.runtime.types import Matrix
from cooc_engine.runtime.versions import versions
from cooc_engine.storage.outputs import writing_files
from cooc_engine.storage.plain_hdf5 import read_plain, write_plain
from cooc_engine.text.bounded import lines, whole
from cooc_engine.text.compression import opened
from cooc_engine.text.tokenizers import LONGEST_WORD

__all__ = ["ElmoFiles", "elmo_model", "write_elmo"]

LONGEST = 1 << 20  # bytes of a file of options
MOST_LAYERS = 8  # that bilm-tf gives names to
EMBEDDING = "embedding"  # the dataset of token embeddings


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

    def options_found(self) -> Path:
        """Return the file of options that is there, by its name beside the weights, or `options.json`."""
        for path in (self.options, self.weights.with_name("options.json")):
            if path.exists():
                return path
        raise InputError(f"{self.weights}: weights without {self.options.name} beside them; pass --options FILE")


# ---------------------------------------------------------------------------------------------------------- reading


def elmo_model(weights: Path, options: Path | None = None, vocabulary: Path | None = None) -> ModelData:
    """Return the content of a model file for a published model: its network, and the words of its vocabulary, if it has one.

    options     the file of options; by default the one beside the weights
    vocabulary  a file of words; by default the one beside the weights, if it is there

    Raises `InputError` for a file that is missing, damaged or does not fit the options, naming what it is.
    """
    files = ElmoFiles.beside(weights)
    shape = read_options(options or files.options_found())
    words = vocabulary or (files.vocabulary if files.vocabulary.exists() else None)
    network = Network(shape, read_weights(weights, shape))
    known = read_elmo_vocabulary(words) if words else Vocabulary.from_words([], [])
    return elmo_data(network, known, {"import": imported_config(shape)}, {"file": str(weights), **versions()})


def read_options(path: Path) -> Shape:
    """Return the sizes of a model, without a softmax, from `options.json`; raises `FormatError`, naming the option."""
    return shape_of_sizes(whole(path, LONGEST), f"{path}")


def read_weights(path: Path, shape: Shape) -> dict[str, Matrix]:
    """Return the parameters by our names; raises `FormatError`, naming a dataset that is missing or does not fit `shape`."""
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
                raise InputError(f"{path}:{number}: a vocabulary for ELMo begins with the lines {', '.join(MARKS)}")
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
    P, F = shape.vector_size, shape.features
    refused = {
        "use_skip_connections": "" if shape.residual else "AllenNLP reads only true",
        "projection_dim": "" if P < F else f"it must be below the number of all filters, {F}",
        "dim": "" if shape.cells > P else f"it must be above projection_dim, {P}",
        "n_layers": "" if shape.layers <= MOST_LAYERS else f"bilm-tf reads at most {MOST_LAYERS}",
    }
    for name, reason in refused.items():
        if reason:
            value = json.dumps(sizes_of(shape)["lstm"][name])
            raise UsageError(f"lstm.{name} is {value}: {reason}; the other programs cannot take this model")


def write_elmo(model: ModelFile, weights: Path, *, force: bool) -> ElmoFiles:
    """Write the files of a model and return their names.

    Raises `UsageError` for a model that the programs would refuse, naming the option, and if a file exists, unless `force`.
    """
    network, files = network_of(model), ElmoFiles.beside(weights)
    check_publishable(network.shape)
    Outgoing(model.vocabulary, model.reader("words")).refuse(WHITE_SPACE, "a vocabulary of ELMo")
    with writing_files(files, force=force) as (of_weights, of_options, of_words, of_vectors):
        of_options.write_text(json.dumps(sizes_of(network.shape), indent=1) + "\n")
        write_weights(of_weights, network.shape, network.parameters)
        write_elmo_vocabulary(of_words, model.vocabulary)
        write_plain(of_vectors, {EMBEDDING: vectors_without_context(network, model.vocabulary)})
    return files


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
