"""Damages every kind of file that the engine reads, has it read, and prints what happened.

    scripts/fuzz [--cases N] [--seed N] [--kind KIND]... [--json]
    scripts/fuzz --case KIND/SEED/NUMBER

Files are damaged plainly (bits, cuts, bytes more or less) and with knowledge of their structure, checksums made anew; each
is then read by one of the commands that read such files. The table has a line for each kind, and the numbers of

    refused     one line on stderr and an exit code that says so
    harmless    the result of the undamaged file
    another     another result, where nothing could tell: the file is a sound one of other content
    silent      another result, where the damage should have been found
    traceback   crash   hang   of the interpreter
    greedy      more memory than four times what the files hold, above what the undamaged file takes
    untidy      an error that is not one line, or warnings
    litter      refused, and something was left behind
    code run    a module that a file named was imported

and below it every fault, the same ones together, with the case to try again by itself. The exit code is 1 if there are faults.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # their threads would not be there in a fork

from fuzzing import samples
from fuzzing.cases import FAULTS, OUTCOMES, Bench, Case, Verdict
from fuzzing.kinds import KINDS
from fuzzing.series import attempt_all, drawn, warm

MEMORY = Path("/dev/shm")  # where files cost the least


def table(verdicts: Sequence[Verdict]) -> Iterable[str]:
    """Yield the lines of the table of outcomes."""
    counts = Counter((verdict.case.kind, verdict.outcome) for verdict in verdicts)
    width = max(map(len, KINDS))
    totals = Counter(verdict.outcome for verdict in verdicts)

    def row(name: str, cells: Iterable[object]) -> str:
        return f"{name:{width}} {' '.join(f'{cell:>9}' for cell in cells)}"

    yield row("", OUTCOMES)
    for kind in dict.fromkeys(verdict.case.kind for verdict in verdicts):
        yield row(kind, (counts[kind, word] or "-" for word in OUTCOMES))
    yield row("all", (totals[word] for word in OUTCOMES))


def faults(verdicts: Sequence[Verdict]) -> Iterable[str]:
    """Yield a line for each fault, equal ones together, the most frequent first."""
    found: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.outcome in FAULTS:
            found[verdict.case.kind, verdict.outcome, verdict.detail.rpartition("; ")[2]].append(verdict)
    for (kind, outcome, _), alike in sorted(found.items(), key=lambda item: -len(item[1])):
        yield f"{len(alike):5}  {kind}  {outcome}  --case {alike[0].case}  {alike[0].detail}"


def replay(bench: Bench, name: str) -> int:
    """Try one case in this process, and show everything; the directory is left for a look at it."""
    command, outcome, verdict = bench.attempt(Case.named(name))
    print(f"{verdict.outcome}: {verdict.detail}\ncd {bench.at}\ncooc-engine {command}\nexit code {outcome.code}")
    print(f"outputs {json.dumps(outcome.outputs, indent=1)}\n{outcome.stdout}{outcome.stderr}")
    return int(verdict.outcome in FAULTS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--case", metavar="KIND/SEED/NUMBER", help="try one case again, and show what it does")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    samples.make(place / "good")
    bench = Bench(place / "good", place / "case")
    if given.case:
        return replay(bench, given.case)
    warm(bench)
    begin = time.monotonic()
    verdicts: list[Verdict] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):  # what was found by then is shown
        verdicts.extend(attempt_all(bench, list(drawn(given.kind or list(KINDS), given.seed, given.cases))))
    if given.json:
        print(json.dumps({"seed": given.seed, "verdicts": [asdict(verdict) for verdict in verdicts]}))
    else:
        print(f"seed {given.seed}, {len(verdicts)} cases in {time.monotonic() - begin:.0f} s\n")
        print("\n".join([*table(verdicts), "", *faults(verdicts)]))
    return int(any(verdict.outcome in FAULTS for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
