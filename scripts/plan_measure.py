"""Measures what `scripts/plan` estimates, and writes the runs and the rates fitted to them into plan.json.

    python scripts/plan_measure.py text.txt --work /tmp/plan

The text is grown to each size by grow.py. Each command runs several times, alone, and the quickest counts; whatever else the
machine does makes the rates worse. `scripts/plan_measure.py --fit` only fits the rates to the runs that are recorded.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grow
from plan import MEASURED, Rates, estimated

SIZES = ["17M", "85M", "340M"]
EPOCHS, SIZE = 3, 100
RATES = {  # those that a stage's time is proportional to, but for what it reads and writes
    "encode": ("encode", "renumber"), "count": ("count", "merge"), "glove": ("glove",), "pmi-svd": ("pmi", "product"),
    "skipgram": ("skipgram",),
}  # fmt: skip
ROUNDS = 8  # of fitting: what a stage reads is not scaled


def carried_out(*arguments: object) -> dict[str, Any]:
    """Run a command of cooc-engine; returns what it says of itself."""
    line = [sys.executable, "-m", "cooc_engine", *map(str, arguments), "--force", "--json", "--progress", "none"]
    found: dict[str, Any] = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return found


def measure(text: Path, tokens: int, work: Path, rounds: int) -> dict[str, Any]:
    """Return the record of a run from a text of so many tokens to models."""
    grown = work / f"text-{tokens}.txt"
    if not grown.exists():
        with grown.with_suffix(".part").open("wb") as file:
            file.writelines(grow.grown(text, tokens, 1))
        grown.with_suffix(".part").rename(grown)
    corpus, cooc = work / "corpus", work / "cooc"
    models = {"glove": ["--epochs", EPOCHS], "pmi-svd": [], "skipgram": ["--epochs", 1]}
    stages: dict[str, list[Any]] = {
        "encode": ["encode", grown, "--output", corpus],
        "count": ["count", corpus, "--output", cooc],
    }
    for name, options in models.items():
        source = corpus if name == "skipgram" else cooc
        stages[name] = ["train", name, source, "--output", work / f"{name}.h5", "--vector-size", SIZE, *options]
    found = {
        name: min((carried_out(*line) for _ in range(rounds)), key=lambda one: one["seconds"]) for name, line in stages.items()
    }
    facts = {"tokens": found["encode"]["tokens"], "words": found["encode"]["words"], "entries": found["count"]["entries"]}
    how = {
        "cores": found["count"]["threads"],
        "vector_size": SIZE,
        "epochs": EPOCHS,
        "passes": len(found["pmi-svd"]["history"]),
    }
    return {**facts, **how, "seconds": {name: round(one["seconds"], 3) for name, one in found.items()}}


def fitted(rates: Rates, runs: Sequence[Mapping[str, Any]]) -> Rates:
    """Return rates with which the times of runs are, by their geometric mean, what is estimated."""
    for _ in range(ROUNDS):
        ratios: dict[str, list[float]] = {}
        for run in runs:
            guesses = estimated(run, rates)
            for name, seconds in run["seconds"].items():
                ratios.setdefault(name, []).append(math.log(seconds / guesses[name]))
        for name, found in ratios.items():
            factor = math.exp(sum(found) / len(found))
            rates = replace(rates, **{field: _scaled(getattr(rates, field), factor) for field in RATES[name]})
    return rates


def _scaled(rate: Any, factor: float) -> Any:
    if isinstance(rate, dict):
        return {size: _scaled(one, factor) for size, one in rate.items()}
    return float(f"{rate * factor:.3g}")


def written(law: dict[str, Any]) -> str:
    """Return the text of plan.json: a key a line."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in law.items()) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, help="a directory for the texts and what is made of them, on a fast disk")
    parser.add_argument("--tokens", type=grow.size, nargs="+", default=[grow.size(size) for size in SIZES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fit", action="store_true")
    given = parser.parse_args()
    law = json.loads(MEASURED.read_text())
    if not given.fit:
        if not (given.text and given.work):
            parser.error("name a text and --work, or pass --fit")
        given.work.mkdir(exist_ok=True)
        law["runs"] = [measure(given.text, tokens, given.work, given.rounds) for tokens in given.tokens]
    rates = fitted(Rates(**law["rates"]), law["runs"])
    law["rates"] = vars(rates)
    MEASURED.write_text(written(law))
    for run in law["runs"]:
        guesses = estimated(run, rates)
        shown = [f"{name} {seconds:.2f} s, estimated {guesses[name]:.2f}" for name, seconds in run["seconds"].items()]
        print(f"{run['tokens']:,} tokens: {'; '.join(shown)}")


if __name__ == "__main__":
    main()
