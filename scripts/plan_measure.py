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
import numpy as np
from plan import MEASURED, Rates, estimated, worked
from scipy.optimize import nnls

SIZES = ["17M", "85M", "340M"]
EPOCHS, SIZE = 3, 100
RATES = {  # those that a stage's time is proportional to, but for what it reads and writes
    "encode": ("encode", "renumber"), "count": ("count", "entry", "merge"), "glove": ("glove", "reload"),
    "pmi-svd": ("pmi", "product", "basis"), "skipgram": ("skipgram",),
}  # fmt: skip
ROUNDS = 8  # of fitting: what a stage reads is not scaled
PULL = 0.02  # with which the factors of a stage's rates are drawn to 1, since few runs need not tell them apart


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
    """Return rates with which the times of runs are what is estimated: first on the whole, then by least squares."""
    for _ in range(ROUNDS):
        for name, fields in RATES.items():
            ratios = [math.log(run["seconds"][name] / estimated(run, rates)[name]) for run in runs]
            rates = _times(rates, dict.fromkeys(fields, math.exp(sum(ratios) / len(ratios))))
    for fields, factors in [(fields, _told_apart(rates, name, fields, runs)) for name, fields in RATES.items()]:
        rates = _times(rates, dict(zip(fields, factors, strict=True)))
    return rates


def _told_apart(rates: Rates, name: str, fields: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return factors of the rates of a stage that fit its times best, none below 0."""
    none = _times(rates, dict.fromkeys(fields, 0.0))
    shares, rest = [], []
    for run in runs:
        least, seconds = worked(run, none)[name], run["seconds"][name]
        alone = [worked(run, _times(none, {field: 1.0}, rates))[name] for field in fields]
        shares.append([(one - least) / seconds for one in alone])
        rest.append(1 - least / seconds)
    pulled = [*shares, *(PULL * np.eye(len(fields)))]
    found: list[float] = nnls(np.array(pulled), np.array([*rest, *[PULL] * len(fields)]))[0].tolist()
    return found


def _times(rates: Rates, factors: Mapping[str, float], of: Rates | None = None) -> Rates:
    """Return rates of which some are those `of` others, or their own, times a factor."""
    return replace(rates, **{field: _scaled(getattr(of or rates, field), factor) for field, factor in factors.items()})


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
