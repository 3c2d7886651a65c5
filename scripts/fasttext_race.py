"""Races fastText's program on word vectors, a classifier, and its quantised model; whole commands, and training alone.

    COOC_PEERS=DIR python scripts/fasttext_race.py TEXT TRAIN TEST      DIR has `fasttext`; TRAIN and TEST are labelled

Whole commands include the start of the program, reading the text and writing the model. Ours and the program take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bench

VECTORS = "--vector-size 100 --window 5 --min-n 3 --max-n 6 --subsample 1e-4 --epochs 1 --min-count 5"
PROGRAM_VECTORS = "-dim 100 -ws 5 -minn 3 -maxn 6 -t 1e-4 -epoch 1 -minCount 5"
CLASSIFIER = "--vector-size 10 --lr 0.5 --epochs 5 --min-count 2"
PROGRAM_CLASSIFIER = "-dim 10 -lr 0.5 -epoch 5 -minCount 2"
PROGRESS = b"Progress"


@dataclass(frozen=True)
class Files:
    """The texts, the directory of what is made, the program, and the number of threads."""

    text: Path
    train: Path
    test: Path
    work: Path
    program: Path
    threads: int

    def ours(self, *words: str | Path) -> float:
        """Run one of our commands; return its wall time."""
        begin = time.perf_counter()
        bench.run([*bench.OURS, *map(str, words), "--threads", str(self.threads)])
        return time.perf_counter() - begin

    def ours_trained(self, *words: str | Path) -> tuple[float, float]:
        """Run one of our trainings; return its wall time, and the seconds of its epochs."""
        begin = time.perf_counter()
        box = bench.Bench(self.text, self.work, threads=self.threads)
        made = box.ours("train", *words)
        return time.perf_counter() - begin, sum(epoch["seconds"] for epoch in made["history"])

    def theirs(self, *words: str | Path) -> float:
        """Run the program; return its wall time."""
        begin = time.perf_counter()
        bench.run([str(self.program), *map(str, words)])
        return time.perf_counter() - begin

    def theirs_trained(self, *words: str | Path) -> tuple[float, float]:
        """Run a training of the program; return its wall time, and that from its first report of progress to the last."""
        command = [str(self.program), *map(str, words), "-thread", str(self.threads)]
        begin, seen = time.perf_counter(), []
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0) as process:
            assert process.stderr is not None
            while chunk := process.stderr.read(4096):
                if PROGRESS in chunk:
                    seen.append(time.perf_counter())
        if process.returncode or not seen:
            sys.exit(f"fasttext_race: {' '.join(command)}: exit code {process.returncode}")
        return time.perf_counter() - begin, seen[-1] - seen[0]


def races(files: Files) -> dict[str, tuple[Callable[[], tuple[float, ...]], Callable[[], tuple[float, ...]]]]:
    """Return the sides of each race, ours and the program's; each returns wall time and perhaps the time of training alone."""
    work, found = files.work, {}
    for model in ("skipgram", "cbow"):
        ours = ("fasttext", files.text, "--model", model, *VECTORS.split(), "--output", work / f"{model}.h5")
        theirs = (model, "-input", files.text, "-output", work / model, *PROGRAM_VECTORS.split())
        found[f"{model}, 3- to 6-grams"] = (lambda a=ours: files.ours_trained(*a)), (lambda a=theirs: files.theirs_trained(*a))
    for grams in (1, 2):
        name = f"grams{grams}"
        ours = ("supervised", files.train, *CLASSIFIER.split(), "--word-ngrams", str(grams), "--output", work / f"{name}.h5")
        theirs = ("supervised", "-input", files.train, "-output", work / name, *PROGRAM_CLASSIFIER.split())
        theirs = (*theirs, "-wordNgrams", str(grams))
        title = f"classifier, words{' and bigrams' if grams == 2 else ''}"
        found[title] = (lambda a=ours: files.ours_trained(*a)), (lambda a=theirs: files.theirs_trained(*a))
    for verb in ("test", "predict-prob"):
        found[verb] = (
            (lambda v=verb: (files.ours(v, work / "grams2.h5", files.test),)),
            (lambda v=verb: (files.theirs(v, work / "grams2.bin", files.test),)),
        )
    small = ("--cutoff", "100000", "--retrain", files.train, "--output", work / "small.h5", "--force")
    program = ("-input", files.train, "-output", work / "grams2", "-cutoff", "100000", "-retrain")
    found["quantize, retrained"] = (
        (lambda: (files.ours("quantize", work / "grams2.h5", *small),)),
        (lambda: (files.theirs("quantize", *program, "-thread", str(files.threads)),)),
    )
    return found


def row(title: str, ours: list[tuple[float, ...]], theirs: list[tuple[float, ...]]) -> tuple[str, ...]:
    """Return a line of the table: medians, ranges and their ratio, of wall time and of training alone."""
    cells = []
    for mine, other in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        medians = statistics.median(mine), statistics.median(other)
        ranges = [
            f"{middle:.2f} ({min(runs):.2f}-{max(runs):.2f})" for middle, runs in zip(medians, (mine, other), strict=True)
        ]
        cells += [*ranges, f"{medians[1] / medians[0]:.1f}x"]
    return title, *cells, *["-"] * (6 - len(cells))


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fasttext_race.py", description=__doc__)
    for name in ("text", "train", "test"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="races whose names contain one of these, separated by commas")
    given = parser.parse_args()
    program = Path(os.environ.get("COOC_PEERS", ".")) / "fasttext"
    if not program.is_file():
        parser.error(f"{program}: no such file; COOC_PEERS names the directory of the program")
    with tempfile.TemporaryDirectory(prefix="fasttext-race-") as work:
        files = Files(given.text, given.train, given.test, Path(work), program, given.threads)
        rows = [("race", "ours, s", "fastText, s", "ratio", "training alone, s", "fastText, s", "ratio")]
        for title, (ours, theirs) in races(files).items():
            if any(part in title for part in given.only.split(",")):
                pairs = [(ours(), theirs()) for _ in range(given.runs)]
                rows.append(row(title, *map(list, zip(*pairs, strict=True))))
                print(f"{title} done", file=sys.stderr, flush=True)
    print("; ".join(f"{name} {value}" for name, value in bench.machine().items()), end="\n\n")
    print(bench.table(rows))


if __name__ == "__main__":
    main()
