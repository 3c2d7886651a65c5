"""Estimates what a text of any size takes on some machines: core hours, hours, bytes moved, and disk, stage by stage.

    scripts/plan --tokens 1e12 --words 2e6 --machines 16 --cores 32

The rates of a core, in plan.json, were measured on one machine (AMD EPYC). `scripts/plan_measure.py` measures them on another,
and records its runs, which a test compares with the estimates. What is marked `assumed` was not measured, and speed on many
cores and machines is taken for linear: hours are lower bounds. The number of different pairs follows a law that was fitted to
1 to 17 M tokens, where it errs by less than 1 %: a pair that is expected m times is seen with probability
1 - (1 + m/k)^-k, where k = 0.415 m^0.57. Far beyond that, expect a factor of 2 to 3.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Numbers of words of English, most frequent first, and the share of each in the text; rates; runs that were measured.
MEASURED = Path(__file__).with_name("plan.json")
IN_VOCABULARY = 0.98  # of the tokens
TAIL = 1.4  # exponent of the rank behind the words of the law
TEXT = 5.86  # bytes of a token
KINDS, GROWTH = 308_671 / 16e6**0.61, 0.61  # different words of a text, and how their number grows
RECORD, RANK = 32, 150e-9  # bytes of a word in a table; seconds to rank one, assumed
MANY_WORDS, SLOWER = 5e5, 2.0  # a vocabulary whose accumulators leave the cache, and what counting then takes
READ = {"plain": 3.7e9, "gz": 490e6, "xz": 70e6}  # bytes of text a second that one process unpacks
WRITE = 2.1e9  # bytes a second that one process writes, with checksums
POSITIONS, LAID_OUT = 2**31 - 2**16, 8  # of a run; bytes of a word that is laid out
CROWDED, CORES = 1.3, 2  # what sharing the memory of a machine costs training, assumed, on more cores than were measured
PANEL, WIDE = 32, 256  # columns of a block of a factorisation, for each so many components


@dataclass(frozen=True)
class Setup:
    """A text, and the machines: bytes of memory of each, bytes a second of its network and of the disk that all share.

    `entries` are different pairs of words, 0 to estimate them; `passes` those of a factorisation.
    """

    tokens: float = 1e12
    words: float = 2e6
    window: int = 10
    vector_size: int = 300
    entries: float = 0
    epochs: int = 25
    passes: int = 15
    machines: int = 16
    processes: int = 1
    cores: int = 32
    memory: float = 256e9
    network: float = 3e9
    disk: float = 20e9
    text: str = "gz"


@dataclass(frozen=True)
class Rates:
    """Seconds of a core for each unit of work.

    encode, renumber  encoding a token, and giving it its final id
    count, entry      counting a token, and writing an entry
    merge             merging an entry of a run
    pmi, product      the PMI of an entry, and its product with a column
    basis             making a row of a block orthogonal to those of one pass before, per column: a pass meets all before it
    glove             an entry and epoch of GloVe, by the size of vectors
    reload            a component of the rows that GloVe loads for a tile, per pair of words and epoch
    skipgram          a token and epoch of skip-gram, by the size of vectors
    """

    encode: float
    renumber: float
    count: float
    entry: float
    merge: float
    pmi: float
    product: float
    basis: float
    reload: float
    glove: dict[str, float]
    skipgram: dict[str, float]

    @classmethod
    def read(cls) -> Rates:
        """Return those of plan.json."""
        return cls(**json.loads(MEASURED.read_text())["rates"])


class Stage(NamedTuple):
    """What a stage takes: hours of a core, hours, bytes read and written, and bytes on the disk when it has ended."""

    name: str
    core_hours: float
    hours: float
    moved: float
    stands: float


def pairs(tokens: float, words: float, window: int) -> float:
    """Return the number of different pairs of word and context."""
    numbers, share = _shares(words)
    m = 2 * window * IN_VOCABULARY * tokens * np.outer(share, share)
    k = 0.415 * m**0.57
    return float((np.outer(numbers, numbers) * -np.expm1(-k * np.log1p(m / k))).sum())


def _shares(words: float) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of words that are alike, and the share of each in a text of so many words."""
    law = json.loads(MEASURED.read_text())
    numbers, share = np.array(law["words"], float), np.array(law["share"])
    known = numbers.sum()
    if words > known:
        edges = np.unique(np.geomspace(known, words, 40))
        middles = np.sqrt(edges[1:] * edges[:-1])
        numbers, share = np.append(numbers, np.diff(edges)), np.append(share, share[-1] * (middles / known) ** -TAIL)
    else:
        kept = np.cumsum(numbers) <= words
        numbers, share = numbers[kept], share[kept]
    return numbers, share / (numbers @ share)


def plan(of: Setup, rates: Rates | None = None) -> list[Stage]:
    """Return the stages from text to counts, and the trainings of models."""
    known, rates = of if of.entries else replace(of, entries=pairs(of.tokens, of.words, of.window)), rates or Rates.read()
    return [*_encoding(known, rates), *_counting(known, rates), *_training(known, rates)]


def _stage(of: Setup, name: str, core: float, read: float, written: float, stands: float, unpacked: float = 0.0) -> Stage:
    """Return a stage of so many core seconds, which is as slow as the slowest of cores, disk, network, readers and writers."""
    processes = of.machines * of.processes
    moving = (read + written) / min(of.disk, of.machines * of.network if of.machines > 1 else of.disk)
    serial = max(unpacked / READ[of.text], written / WRITE) / processes
    seconds = max(core / (of.machines * of.cores), moving, serial)
    return Stage(name, core / 3600, seconds / 3600, read + written, stands)


def _encoding(of: Setup, rates: Rates) -> Iterator[Stage]:
    text, ids = TEXT * of.tokens, 4 * of.tokens
    ranges = max(of.machines * of.processes, math.ceil(of.tokens / 4e9))
    tables = RECORD * ranges * KINDS * (of.tokens / ranges) ** GROWTH
    core = of.tokens * (rates.encode + TEXT / READ[of.text])
    yield _stage(of, "encode: words to ids", core, text, ids + tables, ids + tables, text)
    yield _stage(of, "encode: rank words", tables / RECORD * 2 * RANK, 2 * tables, 0, ids + tables)
    yield _stage(of, "encode: shards", of.tokens * rates.renumber, ids, ids, 2 * ids)


def _counting(of: Setup, rates: Rates) -> Iterator[Stage]:
    ids, entries = 4 * of.tokens, of.entries
    run = min(POSITIONS, of.memory / of.processes / 2 / LAID_OUT, max(1.0, of.tokens / (of.machines * of.processes)))
    runs, slow = math.ceil(of.tokens / run), SLOWER if of.words > MANY_WORDS else 1.0
    size = 8 if of.tokens < 1e10 else 10.5
    whole, parts = size * entries, size * runs * pairs(run, of.words, of.window)
    written = whole if runs == 1 else parts
    core = (of.tokens * rates.count + written / size * rates.entry) * slow
    yield _stage(of, "count" if runs == 1 else f"count: {runs:,} runs", core, ids, written, ids + written)
    if runs == 1:
        return
    yield _stage(of, "count: merge", parts / size * rates.merge * slow, parts, whole, ids + parts + whole)


def _training(of: Setup, rates: Rates) -> Iterator[Stage]:
    """GloVe is reckoned for one machine, PMI-SVD for all; skip-gram is never shared."""
    entries, alone = of.entries, replace(of, machines=1, processes=1)
    slow = CROWDED if of.cores > CORES else 1.0
    epoch = entries * _at(rates.glove, of.vector_size) + rates.reload * of.words**2 * of.vector_size
    core = epoch * slow * of.epochs
    yield _stage(alone, f"GloVe, {of.epochs} epochs, one machine", core, 12 * entries, 12 * entries, 12 * entries)
    columns, workers = PANEL * -(-of.vector_size // WIDE), of.machines * of.processes
    core = entries * (rates.pmi + rates.product * columns * of.passes * slow) + rates.basis * of.words * columns * of.passes**2
    blocks = 4 * of.words * columns * of.passes * (workers + 1 if workers > 1 else 0)
    yield _stage(of, f"or PMI-SVD, {of.passes} passes", core, 8 * entries + blocks, 0, 8 * entries)
    core = of.tokens * _at(rates.skipgram, of.vector_size) * slow
    yield _stage(alone, "or skip-gram, 1 epoch, one machine", core, 4 * of.tokens, 0, 0)


def _at(rates: dict[str, float], size: int) -> float:
    """Return the rate at a size of vectors, between and beyond those that were measured."""
    sizes = sorted(map(int, rates))
    return float(np.interp(size, sizes, [rates[str(one)] for one in sizes])) * max(1.0, size / sizes[-1])


def estimated(run: Mapping[str, Any], rates: Rates | None = None) -> dict[str, float]:
    """Return the seconds that each stage of a recorded run should have taken, by its name."""
    return _by_name(run, rates, lambda stage: stage.hours)


def worked(run: Mapping[str, Any], rates: Rates) -> dict[str, float]:
    """Return the seconds of these during which all cores work, which are in proportion to the rates."""
    return _by_name(run, rates, lambda stage: stage.core_hours / run["cores"])


def _by_name(run: Mapping[str, Any], rates: Rates | None, hours: Callable[[Stage], float]) -> dict[str, float]:
    facts = {name: value for name, value in run.items() if name != "seconds"}
    stages = plan(Setup(**facts, machines=1, text="plain"), rates)
    named = {"encode": "encode", "count": "count", "glove": "GloVe", "pmi-svd": "or PMI-SVD", "skipgram": "or skip-gram"}
    return {name: 3600 * sum(hours(one) for one in stages if one.name.startswith(title)) for name, title in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(Setup):
        choices = list(READ) if field.name == "text" else None
        flag, said = "--" + field.name.replace("_", "-"), "by default %(default)s"
        parser.add_argument(flag, type=type(field.default), default=field.default, choices=choices, help=said)
    of = Setup(**vars(parser.parse_args()))
    stages, entries = plan(of), of.entries or pairs(of.tokens, of.words, of.window)
    print(
        f"{of.tokens:.3g} tokens, {of.words:.3g} words, about {entries:.2g} entries; {of.machines} machines of {of.cores} cores"
    )
    print(f"{'':36}{'core h':>10}{'hours':>10}{'moved, GB':>12}{'disk, GB':>12}")
    for one in stages:
        moved, stands = one.moved / 1e9, one.stands / 1e9
        print(f"{one.name:36}{one.core_hours:10.3g}{one.hours:10.3g}{moved:12,.1f}{stands:12,.1f}")
    hours, most = sum(one.hours for one in stages[:-3]), max(one.stands for one in stages) / 1e9
    print(f"text to counts: {hours:.3g} hours; at most {most:,.1f} GB of disk")


if __name__ == "__main__":
    main()
