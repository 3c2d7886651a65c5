"""Makes a large text for scaling tests: copies of a corpus, each with its documents in a different order and with new words.

    python scripts/grow.py text.txt --tokens 340M > large.txt

The first copy is the corpus itself. In each later copy, a word is kept or, with the probability that a text of this
size has a new word there (extrapolating the growth of the corpus' vocabulary, a power of the tokens read), replaced by a word
not seen before: the old one and a number. Most of these stay rare, some occur again, as in real text. The same
seed gives the same bytes; memory holds the offsets of the documents and the new words that may occur again.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
AGAIN = 0.5  # probability that a word of the tail is an earlier one
KEPT = 1 << 16  # number of words of the tail that may occur again


def size(text: str) -> int:
    """Return the number written as 340M, 1.5G or 1000."""
    unit = text[-1:].upper() if text[-1:].isalpha() else ""
    if unit not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 340M")
    return round(float(text[: -1 if unit else None]) * UNITS[unit])


def line_offsets(path: Path) -> np.ndarray:
    """Return the offset of each line, and of the end of the file."""
    data = np.memmap(path, np.uint8, "r")
    ends = [np.flatnonzero(data[at : at + (1 << 24)] == 10) + at + 1 for at in range(0, len(data), 1 << 24)]
    offsets = np.concatenate([[0], *ends])
    return offsets if offsets[-1] == len(data) else np.append(offsets, len(data))


def growth(path: Path) -> tuple[int, int, float]:
    """Return tokens, distinct words, and the exponent of vocabulary growth in the second half of a corpus."""
    seen: set[bytes] = set()
    tokens, points = 0, [(0, 0)]
    with path.open("rb") as file:
        for line in file:
            words = line.split()
            seen.update(words)
            tokens += len(words)
            points.append((tokens, len(seen)))
    if not tokens:
        raise SystemExit(f"{path}: no words in it")
    half = next(point for point in points if 2 * point[0] >= tokens)
    power = math.log(len(seen) / half[1]) / math.log(tokens / half[0]) if half[0] < tokens else 0.5
    return tokens, len(seen), power


class Tail:
    """New words: how often one is due at a place in the text, and which one."""

    def __init__(self, tokens: int, words: int, power: float, chance: np.random.Generator) -> None:
        self._tokens, self._words, self._power, self._chance = tokens, words, power, chance
        self._recent: list[bytes] = []
        self.made = 0

    def rate(self, tokens: int) -> float:
        """Return new words per token after `tokens` tokens: the derivative of words · (n / tokens) ^ power."""
        return self._power * self._words / self._tokens * (tokens / self._tokens) ** (self._power - 1)

    def change(self, words: list[bytes], read: int) -> list[bytes]:
        """Return the words of a document, some of them replaced by words of the tail."""
        places = np.flatnonzero(self._chance.random(len(words)) < self.rate(read) / (1 - AGAIN))
        for place in places.tolist():
            if self._recent and self._chance.random() < AGAIN:
                words[place] = self._recent[int(len(self._recent) * self._chance.random() ** 2)]
                continue
            self.made += 1
            words[place] = b"%s_%d" % (words[place], self.made)
            if len(self._recent) < KEPT:
                self._recent.append(words[place])
            else:
                self._recent[int(KEPT * self._chance.random())] = words[place]
        return words


def grown(path: Path, target: int, seed: int) -> Iterator[bytes]:
    """Yield lines of text with `target` tokens in all; the last line is cut to it."""
    offsets, chance = line_offsets(path), np.random.default_rng(seed)
    tail = Tail(*growth(path), chance)
    read = copy = 0
    with path.open("rb") as file:
        while read < target:
            order = chance.permutation(len(offsets) - 1) if copy else np.arange(len(offsets) - 1)
            for line in order.tolist():
                file.seek(offsets[line])
                words = file.read(int(offsets[line + 1] - offsets[line])).split()[: target - read]
                if copy:
                    words = tail.change(words, read)
                read += len(words)
                yield b" ".join(words) + b"\n"
                if read >= target:
                    return
            copy += 1


def main(arguments: list[str], output: BinaryIO) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--tokens", type=size, required=True, help="such as 340M")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    for line in grown(given.corpus, given.tokens, given.seed):
        output.write(line)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout.buffer)
