"""Compares the scores of our fastText and of its program over several seeds, by a paired bootstrap of the test items.

    COOC_PEERS=DIR python scripts/fasttext_scores.py TEXT TRAIN TEST --eval-dir DIR --work DIR

DIR of COOC_PEERS has `fasttext`; TRAIN and TEST are labelled lines; the test sets are `*.tsv`, word pairs, and `*analog*.txt`,
questions. Options are those of `fasttext_race.py`. A score is the mean over seeds; the difference has the 95 % interval of
resamples of the items, on which all models are scored. What each model answers is kept in the work directory, and the model
is not, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench
import numpy as np
from fasttext_race import CLASSIFIER, PROGRAM_CLASSIFIER, PROGRAM_VECTORS, VECTORS

from cooc_engine import Vectors
from cooc_engine.evaluation.analogies import answered
from cooc_engine.evaluation.bootstrap import difference, draws_of, resampled_correlations, resampled_means
from cooc_engine.evaluation.correlation import spearman
from cooc_engine.evaluation.judge import pair_cosines
from cooc_engine.evaluation.sets import read_analogies, read_pairs
from cooc_engine.vectors.classifier import Classifier

SIDES = ("ours", "program")
WORDS = {"skipgram": "--model skipgram", "cbow": "--model cbow"}
LINES = {"words": "1", "bigrams": "2"}
RESTRICT = 30_000  # most frequent words among which questions are answered
UNCOVERED = -9.0
Answers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Trial:
    """The files, the program, and how much to run."""

    text: Path
    train: Path
    test: Path
    eval_dir: Path
    work: Path
    program: Path
    threads: int
    samples: int

    def answers(self, side: str, name: str, seed: int) -> Answers:
        """Return what one model answers by test set, from an earlier run or by training it."""
        kept = self.work / f"{name}-{side}-{seed}.npz"
        if not kept.exists():
            print(f"{name}, {side}, seed {seed}", file=sys.stderr, flush=True)
            model = self.ours(name, seed) if side == "ours" else self.theirs(name, seed)
            found = self.of_words(model) if name in WORDS else self.of_lines(model)
            part = kept.with_suffix(".part.npz")
            np.savez(part, **found)
            part.rename(kept)
            for file in self.work.glob("model.*"):
                file.unlink()
        with np.load(kept) as found:
            return dict(found)

    def ours(self, name: str, seed: int) -> Path:
        """Train one of our models."""
        model = self.work / "model.h5"
        what = ["fasttext", self.text, *VECTORS.split(), *WORDS[name].split()] if name in WORDS else None
        what = what or ["supervised", self.train, *CLASSIFIER.split(), "--word-ngrams", LINES[name]]
        box = bench.Bench(self.text, self.work, threads=self.threads)
        box.ours("train", *what, "--seed", str(seed), "--output", model)
        return model

    def theirs(self, name: str, seed: int) -> Path:
        """Train a model of the program."""
        what = [name, "-input", self.text, *PROGRAM_VECTORS.split()] if name in WORDS else None
        what = what or ["supervised", "-input", self.train, *PROGRAM_CLASSIFIER.split(), "-wordNgrams", LINES[name]]
        how = ["-output", self.work / "model", "-thread", self.threads, "-seed", seed]
        bench.run([str(part) for part in (self.program, *what, *how)])
        return self.work / "model.bin"

    def of_words(self, model: Path) -> Answers:
        """Return the cosines of word pairs, and which questions are answered right, `UNCOVERED` where a word is missing."""
        vectors, found = Vectors.open(model), {}
        for path in sorted(self.eval_dir.glob("*.tsv")):
            cosines, known = pair_cosines(vectors, read_pairs(path))
            found[path.name] = np.where(known, cosines, UNCOVERED)
        for path in sorted(self.eval_dir.glob("*analog*.txt")):
            right, known = answered(vectors, read_analogies(path), min(RESTRICT, len(vectors)))
            found[path.name] = np.where(known, right[0], UNCOVERED)
        return found

    def of_lines(self, model: Path) -> Answers:
        """Return whether the best label of each test line is right."""
        return {self.test.name: Classifier.open(model).right(self.test).astype(np.float64)}

    def rows(self, name: str, seeds: int) -> Iterator[tuple[str, ...]]:
        """Yield a row for each test set of a kind of model: scores, their difference, its interval, and covered items."""
        found = [self.answers(side, name, seed) for side in SIDES for seed in range(1, seeds + 1)]
        for test in found[0]:
            series = np.stack([answers[test] for answers in found])
            covered = (series != UNCOVERED).all(axis=0)
            for part, inside in self.parts(test):
                yield (name, part, *self.compared(test, series, covered & inside, seeds))

    def parts(self, test: str) -> Iterator[tuple[str, np.ndarray | bool]]:
        """Yield a test set, and the grammatical and the other sections of a set of questions, as name and items."""
        yield test, True
        if "analog" in test:
            grammar = np.array([one.startswith("gram") for one in read_analogies(self.eval_dir / test).sections])
            if grammar.any() and not grammar.all():
                yield f"{test}: syntactic", grammar
                yield f"{test}: semantic", ~grammar

    def compared(self, test: str, series: np.ndarray, inside: np.ndarray, seeds: int) -> tuple[str, ...]:
        """Return the cells of a row; `series` has the answers of ours, then of the program, for each seed."""
        draws, ones = draws_of(test, self.samples, 1), list(series[:, inside])
        if test.endswith(".tsv"):
            wanted = np.array(read_pairs(self.eval_dir / test).scores)[inside]
            drawn = resampled_correlations("spearman", ones, wanted, *draws)
            scores = np.array([spearman(one, wanted) for one in ones], np.float64)
        else:
            drawn, scores = resampled_means(ones, *draws), np.array([one.mean() for one in ones])
        ours, theirs = scores[:seeds], scores[seeds:]
        gap = difference(float(ours.mean() - theirs.mean()), drawn[:seeds].mean(axis=0), drawn[seeds:].mean(axis=0))
        assert gap is not None
        cells = [f"{side.mean():.4f} ± {side.std(ddof=min(1, seeds - 1)):.4f}" for side in (ours, theirs)]
        interval = f"{gap['value']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"
        verdict = ("above" if gap["value"] > 0 else "below") if gap["clear"] else "within noise"
        return *cells, interval, f"{gap['p']:.3f}", verdict, f"{inside.sum():,} of {len(inside):,}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fasttext_scores.py", description=__doc__.partition("\n")[0])
    for name in ("text", "train", "test"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--eval-dir", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=[*WORDS, *LINES], default=[*WORDS, *LINES])
    given = parser.parse_args()
    program = Path(os.environ.get("COOC_PEERS", ".")) / "fasttext"
    if not program.is_file():
        parser.error(f"{program}: no such file; COOC_PEERS names the directory of the program")
    given.work.mkdir(parents=True, exist_ok=True)
    files = (given.text, given.train, given.test, given.eval_dir, given.work)
    trial = Trial(*files, program, given.threads, given.samples)
    rows = [("model", "test set", "ours", "fastText", "ours − fastText", "p", "ours is", "items")]
    for name in given.only:
        rows += trial.rows(name, given.seeds)
    print(bench.table(rows))


if __name__ == "__main__":
    main()
