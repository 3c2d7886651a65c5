"""Embedding a text of any size: an HDF5 file with the vectors of each line's words, in the layout of `allennlp elmo`.

While it is made, `OUTPUT.part` holds the lines, the numbers of their words, the file with room for all vectors, and a
checkpoint that says how many lines are done.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

import numpy as np

from cooc_engine.contextual.network import LANES, STEPS, States
from cooc_engine.contextual.shape import Shape
from cooc_engine.models.file import load_arrays, save_arrays
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.budget import Plan
from cooc_engine.runtime.keywords import Run, RunKeywords
from cooc_engine.runtime.machine import usable_threads
from cooc_engine.runtime.options import defaulted
from cooc_engine.runtime.paths import listed, path_of
from cooc_engine.runtime.types import Matrix, Rows
from cooc_engine.storage.arrays import Bound, torn
from cooc_engine.storage.outputs import building_file
from cooc_engine.storage.plain_hdf5 import Places, lay_out
from cooc_engine.storage.relations import check_array
from cooc_engine.storage.schema import Crc, Natural, fitted
from cooc_engine.storage.scratch import map_raw
from cooc_engine.text.files import stamps
from cooc_engine.text.readers import LONGEST_LINE, line_batches
from cooc_engine.vectors.contextual import KNOWN, WINDOW, ContextualVectors, Layers, Reader, chosen, reading, windows
from cooc_engine.vectors.embed_options import EmbedOptions
from cooc_engine.vectors.layer_mix import LayerMix

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Embedded", "embed"]

KIND = "embedding"
LINES, SIZES, DONE = "lines", "sizes", "done"  # files of the work directory
INDEX = "sentence_to_index"
SECONDS = 2.0  # between checkpoints
OF_INDEX = 6  # bytes that the index of lines takes with its JSON, per byte of the lines
OF_LINE = 300  # and per line


class Embedded(NamedTuple):
    """The result of `embed`: numbers of lines and words written, and the length of a vector."""

    lines: int
    words: int
    vector_size: int

    def record(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        return self._asdict()


class _Done(TypedDict):
    """The record of a checkpoint: the number of lines written, and checksums of the files of the run."""

    lines: Natural
    files: dict[str, Bound]
    structure: Crc
    written: Crc


@gated
def embed(
    model: str | PathLike[str],
    texts: str | PathLike[str] | Sequence[str | PathLike[str]],
    output: str | PathLike[str],
    options: EmbedOptions | None = None,
    *,
    trust_tokenizer: bool = False,
    **run: Unpack[RunKeywords],
) -> Embedded:
    """Write the vectors of the words of each line of text files, plain or compressed, or `-` for stdin, to an HDF5 file.

    It has a float32 dataset for each line, "0", "1" and so on: (L + 1, n, d) for all layers, else (n, d), n being 0 for a blank
    line; and `sentence_to_index`, one string, the JSON of the number of each line by its text, of equal lines the last.
    `run` takes threads, memory, force, resume and progress. Raises `UsageError` for a budget that is too small and for a model
    that is none of ELMo, `InputError` for a text that cannot be read.
    """
    how, output, options = Run.of("embed", run), path_of(output), defaulted("embed", EmbedOptions, options)
    vectors = ContextualVectors.open(model, trust_tokenizer=trust_tokenizer)
    mix = LayerMix.open(options.mix) if options.mix else None
    choose = mix.mixed if mix else chosen(cast("Layers", options.layers))
    blank = choose(np.empty((vectors.layers, 0, vectors.vector_size), np.float32))
    paths = listed(texts)
    named = {"texts": [*map(str, paths)], "stamps": stamps(paths), "model": vectors.digest, "mix": str(mix)}
    plan = {"kind": KIND, **named, "options": options.record()}
    with building_file(output, plan, (LINES, SIZES, DONE), **how.claim) as work:
        task = _Task(vectors, choose, options, work, output.name)
        if (work / DONE).exists():
            task.check()
        else:
            _take_in(paths, vectors, work)
        sizes = task.sizes()
        window, needed = task.memory(sizes, usable_threads(how.threads), how.budget)
        needed.check()
        how.shown.say(needed.line())
        if not (work / DONE).exists():
            task.lay_out(sizes, blank.shape)
        with how.shown.stage("embed", int(sizes.sum()), "words") as stage, reading(vectors.network, how.threads) as reader:
            for words in task.write(reader, window):
                stage.advance(words)
        return Embedded(len(sizes), int(sizes.sum()), vectors.vector_size)


def _take_in(paths: Sequence[Path], vectors: ContextualVectors, work: Path) -> None:
    """Copy the lines of texts to `work`, and write the number of words of each."""
    sizes = array("q")
    with (work / LINES).open("wb") as file:
        for lines in line_batches(paths, LONGEST_LINE):
            file.writelines(f"{line}\n".encode() for line in lines)
            sizes.extend(len(vectors.words_of(line)) for line in lines)
    (work / SIZES).write_bytes(sizes.tobytes())


@dataclass(frozen=True)
class _Task:
    """A text to embed, whose lines and numbers of words are in `work`, and the output file that is written there."""

    vectors: ContextualVectors
    choose: Callable[[Matrix], Matrix]
    options: EmbedOptions
    work: Path
    name: str

    def sizes(self) -> Rows:
        """Return how many words each line has; raises `FormatError` if the file does not hold numbers."""
        path = self.work / SIZES
        if path.stat().st_size % np.dtype(np.int64).itemsize:
            raise torn(path)
        return map_raw(path, np.int64)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text; raises `FormatError` if they are not text."""
        with (self.work / LINES).open("rb") as file:
            for line in file:
                try:
                    yield line.decode().removesuffix("\n")
                except UnicodeDecodeError:
                    raise torn(self.work / LINES) from None

    def sentences(self, done: int) -> Iterator[list[str]]:
        """Yield the words of each line that is not done; raises `FormatError` unless they are as many as was noted."""
        sizes = self.sizes()[done:].tolist()
        for line, size in zip_longest(islice(self.lines(), done, None), sizes):
            words = [] if line is None else self.vectors.words_of(line)
            if line is None or len(words) != size:
                raise torn(self.work / LINES)
            yield words

    def memory(self, sizes: Rows, threads: int, budget: int) -> tuple[int, Plan]:
        """Return the number of words that are embedded together before they are written, and the plan of the memory."""
        shape, text = self.vectors.network.shape, (self.work / LINES).stat().st_size
        word = 4 * (2 * (shape.layers + 1) * 2 + 4) * shape.vector_size  # its layers, what is chosen of them, its input
        longest = int(sizes.max(initial=0)) + 2
        fixed = {
            "index of lines": OF_INDEX * text + OF_LINE * len(sizes),
            "vectors of words": 2 * KNOWN * (4 * shape.vector_size + 200),
            "sentences side by side": threads * _reading_bytes(shape, min(longest, STEPS)),
        }
        room = (budget - sum(fixed.values())) // word - longest
        window = min(WINDOW, max(room, 1))
        return window, Plan("embed", budget, {**fixed, "longest line": (window + longest) * word})

    def lay_out(self, sizes: Rows, blank: tuple[int, ...]) -> None:
        """Write the structure of the file, with the index of lines, and a checkpoint of nothing done.

        `blank` is the shape of the vectors of a blank line.
        """
        *before, _, size = blank
        shapes = ((str(line), (*before, n, size)) for line, n in enumerate(sizes.tolist()))
        index = {line.strip(): str(number) for number, line in enumerate(self.lines())}
        lay_out(self.work / self.name, shapes, {INDEX: json.dumps(index, ensure_ascii=False)})
        with Places(self.work / self.name) as places:
            structure = places.structure(map(str, range(len(sizes))))
        files = {name: Bound.of(self.work / name) for name in (LINES, SIZES)}
        self._save(self._states(), _Done(lines=0, files=files, structure=structure, written=0))

    def _states(self) -> States:
        """Return the states in which the text begins, of no sentence unless they are carried."""
        return States.zero(self.vectors.network.shape, self.options.batch if self.options.state == "carry" else 0)

    def _save(self, states: States, done: _Done) -> None:
        save_arrays(self.work / DONE, KIND, states._asdict(), done)

    def _done(self) -> tuple[States, _Done]:
        path, states = self.work / DONE, self._states()
        arrays, meta = load_arrays(path, KIND)
        for name, values in states._asdict().items():
            try:
                check_array(arrays, name, values.dtype, values.shape)
            except ValueError:
                raise torn(path) from None
            values[:] = arrays[name]
        return states, fitted(meta, _Done, f"{path}")

    def check(self) -> None:
        """Raise `FormatError` if anything that an interrupted run left is damaged, except values that are written again."""
        _, done = self._done()
        for name in (self.name, LINES, SIZES):
            path = self.work / name
            if not path.is_file() or (name != self.name and Bound.of(path) != done["files"].get(name)):
                raise torn(path)
        path, lines = self.work / self.name, len(self.sizes())
        with Places(path) as places:
            places.go_on(map(str, range(done["lines"])))
            if (places.structure(map(str, range(lines))), places.written) != (done["structure"], done["written"]):
                raise torn(path)

    def write(self, reader: Reader, window: int) -> Iterator[int]:
        """Write the vectors of the remaining lines; yields the number of words done before, and then of each part written."""
        states, before = self._done()
        done, saved = before["lines"], time.monotonic()
        sentences = self.sentences(done)
        carrying = self.options.state == "carry"
        yield sum(self.sizes()[:done].tolist())
        with Places(self.work / self.name) as places:
            places.written = before["written"]
            for part in _batches(sentences, self.options.batch) if carrying else windows(sentences, window):
                found = reader.carry(part, self.choose, states) if carrying else reader.read(part, self.choose)
                for number, values in enumerate(found, done):
                    places.put(str(number), values)
                done += len(part)
                if time.monotonic() - saved >= SECONDS:
                    places.sync()
                    self._save(states, {**before, "lines": done, "written": places.written})
                    saved = time.monotonic()
                yield sum(map(len, part))
            places.sync()


def _batches(sentences: Iterable[list[str]], size: int) -> Iterator[list[list[str]]]:
    rest = iter(sentences)
    while part := list(islice(rest, size)):
        yield part


def _reading_bytes(shape: Shape, steps: int) -> int:
    """Return the bytes that reading `LANES` sentences takes."""
    per_word = 3 * shape.vector_size  # what a layer reads, what it writes, and their sum
    return 4 * LANES * (steps * per_word + 8 * shape.cells + 4 * shape.layers * (shape.vector_size + shape.cells))
