"""Times each stage on a corpus and, with COOC_PEERS=DIR, other programs alternately in the same run.

Our stages are timed by their own `seconds` (the work without start-up and compilation), the others by wall time. Compare
only ratios from the same run: absolute times drift.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OURS = [sys.executable, "-m", "cooc_engine"]
NOWHERE = Path(os.devnull)
COST = re.compile(r"iter: *(\d+), cost: *([-+.\deEinfa]+)")


@dataclass(frozen=True)
class Measured:
    """One run: its seconds, a figure to show beside them, and, where applicable, losses by epoch and vectors."""

    seconds: float
    figure: str = ""
    losses: tuple[float, ...] = ()
    model: Path | None = None


@dataclass(frozen=True)
class Bench:
    """The settings of all races: the corpus, the work directory, and how much to run."""

    corpus: Path
    work: Path
    runs: int = 3
    threads: int = 2
    epochs: int = 5
    peers: Path | None = None
    eval_dir: Path | None = None

    def ours(self, *arguments: str | Path) -> dict[str, Any]:
        """Run one of our commands; return its JSON object."""
        common = f"--threads {self.threads} --progress none --force --json".split()
        result: dict[str, Any] = json.loads(run([*OURS, *map(str, arguments), *common]))
        return result

    def peer(self, program: str, *arguments: str | Path, source: Path | None = None, target: Path | None = None) -> float:
        """Run another program with files as input and output; return its wall time in seconds."""
        assert self.peers is not None
        with (source or NOWHERE).open("rb") as stdin, (target or NOWHERE).open("wb") as stdout:
            begin = time.perf_counter()
            run([str(self.peers / program), *map(str, arguments)], stdin=stdin, stdout=stdout)
            return time.perf_counter() - begin


@dataclass(frozen=True)
class Race:
    """One of our stages, and a peer that does the same; `programs` must be in the peers' directory, none for libraries."""

    stage: str
    ours: Callable[[Bench], Measured]
    peer: Callable[[Bench], Measured]
    programs: tuple[str, ...]
    title: str


@dataclass
class Result:
    """The result of a race, with all its runs."""

    stage: str
    title: str
    ours: list[Measured] = field(default_factory=list)
    peer: list[Measured] = field(default_factory=list)
    scores: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Median time of the peer divided by ours, or None."""
        return median(self.peer) / max(median(self.ours), 1e-9) if self.peer else None


def run(command: Sequence[str], stdin: Any = subprocess.DEVNULL, stdout: Any = subprocess.PIPE) -> str:
    """Run a command; return its output, or exit with its error message."""
    done = subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip()
        sys.exit(f"bench: {' '.join(command)}: exit code {done.returncode}\n{complaint}")
    return (done.stdout or b"").decode()


def median(runs: Iterable[Measured]) -> float:
    return statistics.median(m.seconds for m in runs)


# ── The races ────────────────────────────────────────────────────────────────────────────────────────────────────────


def encode_ours(bench: Bench) -> Measured:
    return Measured(bench.ours("encode", bench.corpus, "--output", bench.work / "corpus")["seconds"])


def encode_peer(bench: Bench) -> Measured:
    vocabulary = bench.work / "vocab.txt"
    seconds = bench.peer("vocab_count", "-min-count", "5", "-verbose", "0", source=bench.corpus, target=vocabulary)
    return Measured(seconds, f"{len(vocabulary.read_bytes().splitlines()):,} words")


def count_ours(bench: Bench) -> Measured:
    need(bench.work / "corpus", encode_ours, bench)
    result = bench.ours("count", bench.work / "corpus", "--output", bench.work / "cooc", "--window", "10")
    return Measured(result["seconds"], f"{result['entries']:,} entries")


def count_peer(bench: Bench) -> Measured:
    work = bench.work
    vocabulary, raw, shuffled = work / "vocab.txt", work / "cooc.bin", work / "shuffled.bin"
    need(vocabulary, encode_peer, bench)
    common = "-verbose 0 -memory 4".split()  # noqa: SIM905 - as one would type it
    options = "-symmetric 1 -window-size 10".split()  # noqa: SIM905
    files = ("-vocab-file", vocabulary, "-overflow-file", work / "overflow")
    seconds = bench.peer("cooccur", *common, *options, *files, source=bench.corpus, target=raw)
    entries = raw.stat().st_size // 16
    seconds += bench.peer("shuffle", *common, "-temp-file", work / "temp", source=raw, target=shuffled)
    raw.unlink()
    return Measured(seconds, f"{entries:,} entries")


def glove_ours(bench: Bench) -> Measured:
    need(bench.work / "cooc", count_ours, bench)
    model = bench.work / "glove.h5"
    options = ("--vector-size", "100", "--x-max", "10", "--epochs", str(bench.epochs))
    history = bench.ours("train", "glove", bench.work / "cooc", "--output", model, *options)["history"]
    later = [epoch["seconds"] for epoch in history[1:]] or [history[0]["seconds"]]
    losses = tuple(epoch["loss"] for epoch in history)
    return Measured(statistics.mean(later), f"cost {losses[-1]:.4f}", losses, model)


def glove_peer(bench: Bench) -> Measured:
    assert bench.peers is not None
    work = bench.work
    need(work / "shuffled.bin", count_peer, bench)
    options = f"-x-max 10 -vector-size 100 -iter {bench.epochs} -threads {bench.threads} -binary 0".split()
    files = ("-input-file", work / "shuffled.bin", "-vocab-file", work / "vocab.txt", "-save-file", work / "peer-glove")
    command = [str(bench.peers / "glove"), *map(str, (*options, *files))]
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, errors="replace") as process:
        assert process.stderr is not None
        begin = time.perf_counter()
        stamped = [(time.perf_counter(), line) for line in process.stderr]
    if process.returncode:
        sys.exit(f"bench: glove: exit code {process.returncode}\n{''.join(line for _, line in stamped)}")
    seconds, losses = read_costs(stamped, begin)
    return Measured(seconds, f"cost {losses[-1]:.4f}", losses, work / "peer-glove.txt")


def pmi_svd(bench: Bench) -> Measured:
    """Time our whole PMI-SVD, from counts to the model file."""
    need(bench.work / "cooc", count_ours, bench)
    model = bench.work / "pmi-svd.h5"
    result = bench.ours("train", "pmi-svd", bench.work / "cooc", "--output", model)
    return Measured(result["seconds"], f"residual {result['history'][-1]['loss']:.1e}", model=model)


def solver(name: str) -> Callable[[Bench], Measured]:
    """Return a function that times a solver, or a product, on the same PPMI matrix in a separate process."""

    def side(bench: Bench) -> Measured:
        need(bench.work / "cooc", count_ours, bench)
        script = Path(__file__).with_name("svd_race.py")
        command = [sys.executable, str(script), str(bench.work / "cooc"), name, "--threads", str(bench.threads)]
        result = json.loads(run(command))
        found = result.get("residuals")
        if found is None:
            return Measured(result["seconds"], f"{result['entries']:,} entries")
        kept = bench.work / "residuals.json"
        if name == "ours":
            kept.write_text(json.dumps(found))
            return Measured(result["seconds"], f"residual {max(found):.1e}")
        need(kept, solver("ours"), bench)
        ours = json.loads(kept.read_text())
        better = sum(a < b for a, b in zip(found, ours, strict=True))
        return Measured(result["seconds"], f"residual {max(found):.1e}, smaller than ours in {better}")

    return side


def asked(who: str, what: str) -> Callable[[Bench], Measured]:
    """Return a function that times queries to the GloVe model in a separate process; analogies are those of --eval-dir."""

    def side(bench: Bench) -> Measured:
        need(bench.work / "glove.h5", glove_ours, bench)
        questions = what
        if what == "analogies":
            found = sorted(bench.eval_dir.glob("*analog*.txt")) if bench.eval_dir else []
            if not found:
                return Measured(0.0, "needs --eval-dir with analogies")
            questions = str(found[0])
        script = Path(__file__).with_name("query_race.py")
        return Measured(**json.loads(run([sys.executable, str(script), str(bench.work / "glove.h5"), who, questions])))

    return side


def elmo(who: str) -> Callable[[Bench], Measured]:
    """Return a function that times training steps of ELMo, ours or PyTorch's, in a separate process."""

    def side(bench: Bench) -> Measured:
        if importlib.util.find_spec("torch") is None:
            return Measured(0.0, "needs PyTorch")
        corpus, script = bench.work / "letters", Path(__file__).with_name("elmo_race.py")
        if not corpus.exists():
            bench.ours("encode", bench.corpus, "--output", corpus, "--min-count", "1")
        return Measured(**json.loads(run([sys.executable, str(script), str(corpus), who, "--threads", str(bench.threads)])))

    return side


def read_costs(stamped: Iterable[tuple[float, str]], begin: float) -> tuple[float, tuple[float, ...]]:
    """Return seconds per epoch, and the costs, from the timestamped output lines of `glove`.

    The first epoch is timed only if it is the only one, since its time includes initialising the parameters.
    """
    found = [(when, float(match[2])) for when, line in stamped for match in COST.finditer(line)]
    if not found:
        sys.exit("bench: glove printed no cost")
    times = [when for when, _ in found]
    seconds = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else times[0] - begin
    return seconds, tuple(cost for _, cost in found)


STREAM = {  # training on the text: our options, and those of the programs that do the same
    "skipgram": (
        "--lr 0.025",
        {
            "word2vec": "-cbow 0 -negative 5 -hs 0 -alpha 0.025",
            "pWord2Vec": "-negative 5 -alpha 0.025",
            "pSGNScc": "-negative 5 -alpha 0.025",
        },
    ),
    "cbow": ("--lr 0.05", {"word2vec": "-cbow 1 -negative 5 -hs 0 -alpha 0.05"}),
    "skipgram-hs": ("--lr 0.025 --loss hs", {"word2vec": "-cbow 0 -negative 0 -hs 1 -alpha 0.025"}),
}
SHARED = "--window 5 --subsample 1e-4"


def stream_ours(stage: str, bench: Bench) -> Measured:
    need(bench.work / "corpus", encode_ours, bench)
    model, options = bench.work / f"{stage}.h5", f"{STREAM[stage][0]} {SHARED} --vector-size 100 --epochs {bench.epochs}"
    family = stage.partition("-")[0]
    history = bench.ours("train", family, bench.work / "corpus", "--output", model, *options.split())["history"]
    losses = tuple(epoch["loss"] for epoch in history)
    return Measured(statistics.mean(epoch["seconds"] for epoch in history), f"loss {losses[-1]:.4f}", losses, model)


def stream_peer(stage: str, program: str, bench: Bench) -> Measured:
    """Time word2vec's program, or a descendant, from its first progress message to the last, without its vocabulary scan."""
    assert bench.peers is not None
    target = bench.work / f"peer-{stage}-{program}.txt"
    options = f"{STREAM[stage][1][program]} -size 100 -window 5 -sample 1e-4 -min-count 5 -binary 0 -debug 2".split()
    more = ("-iter", bench.epochs, "-threads", bench.threads, "-train", bench.corpus, "-output", target)
    command = [str(bench.peers / program), *map(str, (*options, *more))]
    need(bench.work / "vocab.txt", encode_peer, bench)
    times = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read(4096):
            if b"Alpha" in chunk:
                times.append(time.perf_counter())
    if process.returncode or not times:
        sys.exit(f"bench: {program}: exit code {process.returncode}")
    return Measured((times[-1] - times[0]) / bench.epochs, "", (), target)


def stream_races(stage: str) -> list[Race]:
    """Return a race against each program that does the same."""
    ours = functools.partial(stream_ours, stage)
    return [
        Race(stage, ours, functools.partial(stream_peer, stage, program), ("vocab_count", program), f"{program}, one epoch")
        for program in STREAM[stage][1]
    ]


def need(path: Path, maker: Callable[[Bench], Measured], bench: Bench) -> None:
    """Make the file of an earlier stage if it is missing, whichever stages were requested."""
    if not path.exists():
        maker(bench)


# A new model's race is one more entry, with how to run ours and how to run the peer.
RACES = (
    Race("encode", encode_ours, encode_peer, ("vocab_count",), "vocab_count"),
    Race("count", count_ours, count_peer, ("vocab_count", "cooccur", "shuffle"), "cooccur+shuffle"),
    Race("glove", glove_ours, glove_peer, ("vocab_count", "cooccur", "shuffle", "glove"), "glove, one epoch"),
    *(race for stage in STREAM for race in stream_races(stage)),
    Race("pmi-svd", pmi_svd, solver("sklearn"), (), "randomized_svd, n_iter 4 (no transform)"),
    Race("svd", solver("ours"), solver("sklearn"), (), "randomized_svd, n_iter 4"),
    Race("svds", solver("ours"), solver("svds"), (), "svds to the same residual"),
    Race("query", asked("ours", "most_similar"), asked("gensim", "most_similar"), (), "gensim, most_similar"),
    Race("analogies", asked("ours", "analogies"), asked("gensim", "analogies"), (), "gensim, evaluate_word_analogies"),
    Race("product", solver("product"), solver("scipy-product"), (), "scipy, 112 columns"),
    Race("elmo", elmo("ours"), elmo("torch"), (), "PyTorch, the same steps"),
)


def hold(race: Race, bench: Bench) -> Result:
    """Run our stage and the peer alternately, `runs` times each, and score the vectors that they produce."""
    result = Result(race.stage, race.title)
    for number in range(1, bench.runs + 1):
        say(f"{race.stage}: run {number} of {bench.runs}, ours")
        result.ours.append(race.ours(bench))
        if all(bench.peers and (bench.peers / program).is_file() for program in race.programs):
            say(f"{race.stage}: run {number} of {bench.runs}, {race.title}")
            result.peer.append(race.peer(bench))
    if bench.eval_dir:
        for name, runs in (("ours", result.ours), (race.title, result.peer)):
            if runs and runs[-1].model:
                result.scores[name] = scores(runs[-1].model, bench)
    return result


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ── Scores ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def scores(model: Path, bench: Bench) -> list[dict[str, Any]]:
    """Evaluate a model, ours or a text file of vectors, by the same program."""
    assert bench.eval_dir is not None
    if model.suffix == ".txt":
        model = as_model(model, bench.work / "vocab.txt")
    pairs, analogies = sorted(bench.eval_dir.glob("*.tsv")), sorted(bench.eval_dir.glob("*analog*.txt"))
    command = [*OURS, "eval", str(model)]
    for flag, files in (("--pairs", pairs), ("--analogies", analogies)):
        for path in files:
            command += [flag, str(path)]
    rows: list[dict[str, Any]] = json.loads(run([*command, "--restrict", "30000", "--json"]))
    return rows


def as_model(vectors: Path, counts: Path) -> Path:
    """Rewrite GloVe's or word2vec's text vectors as a model of ours, so that one program evaluates both; return its path."""
    import numpy as np

    from cooc_engine.corpus.vocabulary import Vocabulary
    from cooc_engine.models.file import ModelData, save_model

    number = dict(line.split(" ") for line in counts.read_text("utf-8").split("\n") if line)
    rows = [line.rstrip().split(" ") for line in vectors.read_text("utf-8").split("\n") if line]
    rows = [row for row in rows if row[0] in number]  # the programs add words such as <unk>, and word2vec a header
    words = np.array([row[1:] for row in rows], np.float32)
    bias = np.zeros(len(words), np.float32)
    arrays = {"words": words, "contexts": np.zeros_like(words), "word_bias": bias, "context_bias": bias}
    vocabulary = Vocabulary.from_words([row[0] for row in rows], [int(number[row[0]]) for row in rows])
    path = vectors.with_suffix(".h5")
    path.unlink(missing_ok=True)
    save_model(path, ModelData("glove", vocabulary, arrays, "w", {}, {}))
    return path


# ── Start-up ─────────────────────────────────────────────────────────────────────────────────────────────────────────

IMPORT = "import time; t = time.perf_counter(); import cooc_engine; print(time.perf_counter() - t)"
HELP = """
import sys
from cooc_engine.__main__ import main
sys.argv = ["cooc-engine", "--help"]
try:
    main()
except SystemExit:
    pass
print("\\nnumba" if "numba" in sys.modules else "\\nnothing")
"""


def start_up(times: int = 5) -> dict[str, Any]:
    """Return the median seconds of the import and of `--help`, each in a new process, and whether `--help` imported Numba."""
    imports = [float(run([sys.executable, "-c", IMPORT])) for _ in range(times)]
    helps = []
    for _ in range(times):
        begin = time.perf_counter()
        run([*OURS, "--help"])
        helps.append(time.perf_counter() - begin)
    numba = run([sys.executable, "-c", HELP]).rstrip().endswith("numba")
    return {"import": statistics.median(imports), "help": statistics.median(helps), "help_imports_numba": numba}


# ── What is printed ──────────────────────────────────────────────────────────────────────────────────────────────────


def spread(runs: Sequence[Measured]) -> str:
    """Return the median and the range of the runs."""
    if not runs:
        return "-"
    seconds = [m.seconds for m in runs]
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with aligned columns; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def report(results: Sequence[Result], startup: dict[str, Any] | None) -> str:
    """Return all that is printed at the end."""
    head = ("stage", "ours", "", "peer", "time", "", "ratio")
    parts = [table([head, *map(race_row, results)])] if results else []
    for result in results:
        parts += [text for text in (loss_table(result), score_table(result)) if text]
    if startup:
        numba = "imports Numba" if startup["help_imports_numba"] else "without Numba"
        times = f"import cooc_engine {startup['import']:.3f} s, cooc-engine --help {startup['help']:.3f} s"
        parts.append(f"{times} {numba} (medians)")
    return "\n\n".join(parts)


def race_row(result: Result) -> tuple[str, ...]:
    ratio = "-" if result.ratio is None else f"{result.ratio:.2f}×"
    peer = (result.title, spread(result.peer), result.peer[-1].figure) if result.peer else ("-", "-", "")
    return (result.stage, spread(result.ours), result.ours[-1].figure, *peer, ratio)


def loss_table(result: Result) -> str:
    """Return the loss after each epoch, ours and the peer's, of the last run; empty if there is none."""
    runs = (("ours", result.ours), (result.title, result.peer))
    sides = [(name, found[-1].losses) for name, found in runs if found and found[-1].losses]
    if not sides:
        return ""
    head = (f"{result.stage}, loss after epoch", *(str(epoch + 1) for epoch in range(len(sides[0][1]))))
    return table([head, *((name, *(f"{loss:.4f}" for loss in losses)) for name, losses in sides)])


def score_table(result: Result) -> str:
    """Return the scores ×100, one row per side; empty if there are none."""
    if not result.scores:
        return ""
    columns = [(row["dataset"], row["kind"]) for row in next(iter(result.scores.values()))]
    head = (f"{result.stage}, scores ×100", *(f"{Path(dataset).stem} {kind}" for dataset, kind in columns))
    rows = []
    for name, found in result.scores.items():
        values = {(row["dataset"], row["kind"]): row["value"] for row in found}
        rows.append((name, *(f"{100 * values[c]:.1f}" if values.get(c) is not None else "-" for c in columns)))
    return table([head, *rows])


def machine() -> dict[str, Any]:
    """Return which machine this is: processor, vector instructions, caches, cores that may be used, memory, Python."""
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].split("\n") if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = set(facts.get("flags", "").split())
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index[0-9]"))
    return {
        "processor": facts.get("model name", platform.processor()),
        "vectors": next((name for name in ("avx512f", "avx2", "sse2") if name in flags), platform.machine()),
        "caches": ", ".join((c / "size").read_text().strip() for c in caches if "Inst" not in (c / "type").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "python": platform.python_version(),
    }


def record(results: Sequence[Result], startup: dict[str, Any] | None, bench: Bench) -> dict[str, Any]:
    """Return everything measured, for JSON."""
    options = {"corpus": bench.corpus.name, "runs": bench.runs, "threads": bench.threads, "epochs": bench.epochs}
    races = [asdict(result) | {"ratio": result.ratio} for result in results]
    return {"machine": machine(), "options": options, "races": races, "start_up": startup}


def main() -> None:
    stages = [*dict.fromkeys(race.stage for race in RACES), "import"]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("corpus", type=Path, help="plain text, one document a line")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--stages", default=",".join(stages), help="some of %(default)s")
    parser.add_argument("--output", type=Path, help="keep what is made in this directory")
    parser.add_argument("--eval-dir", type=Path, help="score vectors with word pairs (*.tsv) and analogies (*analog*.txt)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    given = parser.parse_args()
    wanted = given.stages.split(",")
    if unknown := set(wanted) - set(stages):
        parser.error(f"unknown stage {', '.join(sorted(unknown))}; there are {', '.join(stages)}")
    if min(given.runs, given.threads, given.epochs) < 1:
        parser.error("--runs, --threads and --epochs must be at least 1")
    if not given.corpus.is_file():
        parser.error(f"{given.corpus}: no such file")
    peers = Path(os.environ["COOC_PEERS"]) if os.environ.get("COOC_PEERS") else None
    if peers and not peers.is_dir():
        parser.error(f"COOC_PEERS={peers}: no such directory")
    with tempfile.TemporaryDirectory(prefix="cooc-bench-") as scratch:
        work = given.output or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(given.corpus, work, given.runs, given.threads, given.epochs, peers, given.eval_dir)
        results = [hold(race, bench) for race in RACES if race.stage in wanted]
        startup = start_up() if "import" in wanted else None
    print("; ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
    print(report(results, startup))
    if given.json:
        given.json.write_text(json.dumps(record(results, startup, bench), indent=1, default=str) + "\n", "utf-8")


if __name__ == "__main__":
    main()
