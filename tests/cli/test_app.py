"""The command line from outside: exit codes, one-line errors, aliases, JSON, progress, interruption, batch jobs."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cooc_engine.cli.app import main
from cooc_engine.corpus import encode as corpus_module
from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.models.file import open_model

QUIET = ["--progress", "none"]


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Every test works in a directory of its own."""
    monkeypatch.chdir(tmp_path)


def make_text(path: Path, words: int = 2000, vocabulary: int = 40, seed: int = 0) -> None:
    rng = random.Random(seed)
    picks = (min(rng.randrange(vocabulary), rng.randrange(vocabulary)) for _ in range(words))
    path.write_text("".join(f"w{word}{chr(10) if i % 17 == 16 else ' '}" for i, word in enumerate(picks)))


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A text, its corpus, its counts and a model; tests copy what they change."""
    path = tmp_path_factory.mktemp("made")
    make_text(path / "text.txt")
    assert main(["encode", str(path / "text.txt"), "--output", str(path / "corpus"), *QUIET]) == 0
    assert main(["count", str(path / "corpus"), "--output", str(path / "cooc"), "--window", "5", *QUIET]) == 0
    train = ["train", "glove", str(path / "cooc"), "--output", str(path / "model.h5")]
    assert main([*train, "--vector-size", "8", "--epochs", "3", *QUIET]) == 0
    return path


@pytest.fixture
def call(capsys):
    """Run a command in this process; returns exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def copied(made: Path, name: str) -> Path:
    source, target = made / name, Path(name)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return target


def assert_one_line(code: int, stdout: str, stderr: str, wanted: int, *says: str) -> None:
    """The documented exit code, and exactly one line that is not progress, naming file and cause."""
    stages = (
        "tokenize: ",
        "write shards: ",
        "lay out: ",
        "count: ",
        "deal tiles: ",
        "train: ",
        "evaluate: ",
        "memory: ",
    )
    lines = [line for line in stderr.splitlines() if not line.startswith(stages)]
    assert code == wanted, stderr
    assert len(lines) == 1, stderr
    assert lines[0].startswith("cooc-engine: ")
    for text in says:
        assert text in lines[0]
    assert stdout == ""
    assert "Traceback" not in stderr


def left() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


# ----------------------------------------------------------------------------------------------------------- bad input

RAW = bytes(range(33, 127)) * 40 + b"\n" + b"a b c " * 300
BAD_TEXTS = {
    "empty": (b"", "no words in it"),
    "white space": (b" \n\n\t ", "no words in it"),
    "binary": (bytes(range(256)) * 20, "a NUL byte; is it a binary file? (at byte 0)"),
    "not UTF-8": (b"fine \xe9t\xe9", "byte 0xe9 is not UTF-8 (at byte 5)"),
    "truncated gz": (gzip.compress(RAW)[:-20], "truncated compressed file"),
    "truncated bz2": (bz2.compress(RAW)[:-20], "truncated compressed file"),
    "truncated xz": (lzma.compress(RAW)[:-20], "truncated compressed file"),
    "truncated zst": (b"\x28\xb5\x2f\xfd\x20\x40\x01\x02", "truncated compressed file"),
    "no word often enough": (b"a b c a", "no word occurs 5 times or more"),
}


@pytest.mark.parametrize("content, says", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_texts(call, content, says):
    Path("text").write_bytes(content)
    assert_one_line(*call("encode", "text", "--output", "corpus"), 1, "text: ", says)
    assert_one_line(*call("train", "glove", "text", "--output", "model.h5"), 1, "text: ", says)
    assert left() == ["text"]


def test_a_missing_text(call):
    assert_one_line(*call("encode", "nowhere", "--output", "corpus"), 1, "nowhere: no such file")
    assert_one_line(*call("train", "glove", "nowhere", "--output", "model.h5"), 1, "nowhere: no such file")
    assert left() == []


def test_a_directory_as_text(call):
    Path("text").mkdir()
    assert_one_line(*call("encode", "text", "--output", "corpus"), 1, "text: cannot be read (Is a directory)")
    assert_one_line(*call("train", "glove", "text", "--output", "model.h5"), 1, "text: not a corpus directory")
    assert left() == ["text"]


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_an_unreadable_text(call):
    Path("text").write_text("a")
    Path("text").chmod(0)
    assert_one_line(*call("encode", "text", "--output", "corpus"), 1, "text: cannot be read (Permission denied)")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def blank(path: Path) -> None:
    path.write_bytes(bytes(64) + path.read_bytes()[64:])


DAMAGE = {"truncated": truncate, "flipped": flip, "half-written": blank, "gone": Path.unlink}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["tokens-00000.bin", "documents-00000.bin", "vocab-text.bin", "vocab-counts.bin"])
def test_a_damaged_corpus(call, made, name, damage):
    damage(copied(made, "corpus") / name)
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, f"corpus/{name}: ")
    assert left() == ["corpus"]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["columns-00000.bin", "values-00000.bin", "row-offsets.bin", "vocab-offsets.bin"])
def test_damaged_counts(call, made, name, damage):
    damage(copied(made, "cooc") / name)
    assert_one_line(*call("train", "glove", "cooc", "--output", "model.h5"), 1, f"cooc/{name}: ")
    assert left() == ["cooc"]


@pytest.mark.parametrize("kind, verb", [("corpus", "count"), ("cooc", "train")])
def test_another_version(call, made, monkeypatch, kind, verb):
    from cooc_engine.storage import outputs

    path = copied(made, kind)
    fields = json.loads((path / "manifest.json").read_text("utf-8"))
    outputs.write_manifest(path, kind, 9, {k: v for k, v in fields.items() if k not in ("format", "version", "checksum")})
    arguments = ["count", path] if verb == "count" else ["train", "glove", path]
    assert_one_line(*call(*arguments, "--output", "out"), 1, f"{kind}: {kind} version 9; this program reads version 1")
    assert_one_line(*call("info", path), 1, f"{kind} version 9")
    assert left() == [kind]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": "cooc-engine corpus", "version": 1, "checksum": 5}'])
def test_a_damaged_manifest(call, made, content):
    (copied(made, "corpus") / "manifest.json").write_bytes(content)
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, "corpus/manifest.json: damaged")


def test_a_half_built_corpus_is_not_taken_for_one(call, made):
    copied(made, "corpus").rename("corpus.part")
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, "corpus: no such corpus; corpus.part was left")
    Path("corpus.part/manifest.json").unlink()
    assert_one_line(*call("count", "corpus.part", "--output", "cooc"), 1, "corpus.part: not a corpus directory")


def test_the_wrong_kind(call, made):
    assert_one_line(*call("count", made / "cooc", "--output", "x"), 1, "is a cooc, expected a corpus")
    assert_one_line(*call("count", made / "text.txt", "--output", "x"), 1, "text.txt: not a corpus directory")
    assert_one_line(*call("nn", made / "corpus", "w1"), 1, "corpus: ")
    assert_one_line(*call("info", made / "text.txt"), 1, "text.txt: not an HDF5 file")
    assert_one_line(*call("info", "."), 1, ".: neither an encoded corpus nor")
    assert_one_line(*call("info", "nowhere"), 1, "nowhere: no such file")
    assert left() == []


@pytest.mark.parametrize("place", [0, 8, 100, 700, 0.5, 0.9])
@pytest.mark.parametrize("verb", ["info", "nn", "eval"])
def test_a_truncated_model(call, made, place, verb):
    data = (made / "model.h5").read_bytes()
    Path("model.h5").write_bytes(data[: place if isinstance(place, int) else int(place * len(data))])
    Path("pairs").write_text("w1\tw2\t3\nw3\tw4\t4\n")
    rest = {"info": [], "nn": ["w1"], "eval": ["--pairs", "pairs"]}[verb]
    assert_one_line(*call(verb, "model.h5", *rest), 1, "model.h5: ")


# ----------------------------------------------------------------------------------------------------------- bad usage

USAGE = {
    "count": (
        ["count", "corpus", "--output", "x"],
        [
            (["--window", 0], "--window is 0; it must be at least 1"),
            (["--window", -3], "--window is -3"),
            (["--window", "five"], "--window is five; it must be a whole number"),
            (["--window", 20_000], "--window 20000 is too wide"),
            (["--window", 43], "--window 43"),
            (["--window-weight", "triangular"], "triangular"),
            (["--windw", 3], "Unknown option: --windw. Did you mean --window?"),
            (["--threads", 0], "--threads is 0"),
        ],
    ),
    "train": (
        ["train", "glove", "cooc", "--output", "x"],
        [
            (["--x-max", 0], "--x-max is 0; it must be above 0"),
            (["--x-max", "nan"], "--x-max is nan"),
            (["--lr", "inf"], "--lr is inf"),
            (["--lr", 0], "--lr is 0"),
            (["--vector-size", 0], "--vector-size is 0; it must be at least 1"),
            (["-dim", 0], "--vector-size is 0"),
            (["--epochs", -1], "--epochs is -1; it must be at least 1"),
            (["--alpha", 0.5], "Unknown option: --alpha"),
            (["--vectr-size", 3], "Did you mean --vector-size?"),
            (["--window", 3], "is counted already"),
            (["--seed", -1], "--seed is -1"),
        ],
    ),
    "encode": (
        ["encode", "text.txt", "--output", "x"],
        [
            (["--min-count", -5], "--min-count is -5; it must be at least 1"),
            (["--min-count", 1.5], "--min-count is 1.5; it must be a whole number"),
            (["--min-count", "1/0"], "--min-count is 1/0"),
            (["--min-count", "inf"], "--min-count is inf; it must be a whole number"),
            (["--max-vocab", 0], "--max-vocab is 0"),
            (["--min-cnt", 3], "Did you mean --min-count?"),
            (["--tokenizer", "regx"], "--tokenizer is 'regx'; it must be one of whitespace, regex, jieba, or"),
            (["--pattern", "x"], "--pattern is for --tokenizer regex"),
            (["--tokenizer", "regex", "--pattern", "("], "--pattern '(' is no regular expression"),
            (["--hmm", "off"], "--hmm is for --tokenizer jieba"),
            (["--lower-case"], "Did you mean --lowercase?"),
            (["--progress", "loud"], "loud"),
        ],
    ),
}


@pytest.mark.parametrize("verb, extra, says", [(verb, *case) for verb, (_, cases) in USAGE.items() for case in cases])
def test_bad_usage(call, made, verb, extra, says):
    base = [made / word if word in ("corpus", "cooc", "text.txt") else word for word in USAGE[verb][0]]
    assert_one_line(*call(*base, *extra), 2, says)
    assert left() == []


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["encode", "--output", "x"], "TEXT"),
        (["encode", "text"], "--output"),
        (["encdoe", "text"], 'Did you mean "encode"?'),
        (["train", "glov", "x"], 'Did you mean "glove"?'),
        (["--verbose"], "--verbose"),
        (["encode", "text", "--output", "."], ".: is not the name of an output"),
        (["train", "glove", "text", "--output", "/"], "/: is not the name of an output"),
        (["encode", "text", "--output", "no/corpus"], "no: no such directory"),
        (["train", "glove", "text", "--output", "no/model.h5"], "no: no such directory"),
        (["nn", "model.h5", "w1", "--topn", "0"], "--topn is 0"),
        (["eval", "model.h5"], "nothing to judge by"),
    ],
)
def test_bad_commands(call, arguments, says):
    Path("text").write_text("a a a a a b b b b b\n")
    assert_one_line(*call(*arguments), 2, says)
    assert left() == ["text"]


def test_an_output_that_exists(call, made):
    corpus = copied(made, "corpus")
    arguments = ["encode", made / "text.txt", "--output", corpus, *QUIET]
    before = (corpus / "manifest.json").stat().st_mtime_ns
    assert_one_line(*call(*arguments), 2, "corpus: exists; pass --force")
    assert_one_line(*call(*arguments, "--resume"), 2, "corpus: exists; pass --force")
    assert (corpus / "manifest.json").stat().st_mtime_ns == before
    assert call(*arguments, "--force")[0] == 0
    model = copied(made, "model.h5")
    assert_one_line(*call("train", "glove", made / "cooc", "--output", model), 2, "model.h5: exists; pass --force")
    assert_one_line(*call("train", "glove", made / "cooc", "--output", corpus, "--force"), 2, "corpus: is a directory")
    assert left() == ["corpus", "model.h5"]


def test_an_unknown_word(call, made):
    assert_one_line(*call("nn", made / "model.h5", "w99"), 1, "model.h5: 'w99' is not in the vocabulary")


@pytest.mark.parametrize("lr", ["1e30", "1e10"])
def test_divergence(call, made, lr):
    code, stdout, stderr = call("train", "glove", made / "cooc", "--output", "m.h5", "--lr", lr, "--epochs", 50)
    assert_one_line(code, stdout, stderr, 3, "not finite", "lower --lr")
    assert left() == []


# ------------------------------------------------------------------------------------------------------ going right


def test_simpler_glove_counts_a_text_with_uniform_weights_unless_told_otherwise(call, made):
    quick = ["--vector-size", 4, "--epochs", 1, "--min-count", 1, *QUIET]
    for name, flags, wanted in (
        ("a", [], CountOptions(window_weight="uniform")),
        ("b", ["--window", 3, "-truncate-weight", 0], CountOptions(window=3, window_weight="uniform")),
        ("c", ["--window-weight", "harmonic", "--tying", "free"], CountOptions()),
    ):
        assert call("train", "simpler-glove", made / "text.txt", "--output", f"{name}.h5", *quick, *flags)[0] == 0
        config = open_model(f"{name}.h5").config
        assert config["count"] == wanted.record()
        assert config["train"]["truncate_weight"] == ("off" if name == "b" else "on")
    assert open_model("c.h5").published == "concat"


def test_checkpoints_and_held_out_entries_from_the_command_line(call, made):
    flags = ["--held-out", 0.1, "--patience", 1, "--checkpoint-every", 0.5, "--center", "mean", "--target", "log1p"]
    assert call("train", "glove", made / "cooc", "--output", "m.h5", "--vector-size", 4, "--json", *flags, *QUIET)[0] == 0
    model = open_model("m.h5")
    assert "held_out_loss" in model.history[-1]
    assert model.array("center").shape == (4,)
    code, out, err = call("train", "glove", made / "cooc", "--output", "n.h5", "--checkpoint-every", -1, *QUIET)
    assert_one_line(code, out, err, 2, "--checkpoint-every")


def test_aliases(call, made):
    short = ["encode", made / "text.txt", "--output", "corpus", "-minCount", "2", "-threads=1", *QUIET]
    assert call(*short)[0] == 0
    assert Corpus("corpus").manifest["options"]["min_count"] == 2
    assert (
        call("count", "corpus", "--output", "a", "-window-size", 3, "--symmetric", "0", "--distance-weighting=0", *QUIET)[0]
        == 0
    )
    assert Cooc("a").options == CountOptions(window=3, window_weight="uniform", context_side="left")
    assert call("count", "corpus", "--output", "b", "--ws", 4, "-symmetric", 1, "--distance-weighting", 1, *QUIET)[0] == 0
    assert Cooc("b").options == CountOptions(window=4)
    many = ["-vector-size", 6, "--iter", 2, "--eta", 0.1, "-xmax", 10, "--workers", 1]
    assert call("train", "glove", "b", "-o", "m.h5", *many, *QUIET)[0] == 0
    options = open_model("m.h5").config["train"]
    assert {k: options[k] for k in ("vector_size", "epochs", "lr", "x_max")} == {
        "vector_size": 6,
        "epochs": 2,
        "lr": 0.1,
        "x_max": 10.0,
    }


def test_json(call, made):
    common = {"output", "seconds", "threads", "peak_memory_bytes"}
    records = {}
    for verb, arguments in {
        "encode": ["encode", made / "text.txt", "--output", "corpus"],
        "count": ["count", "corpus", "--output", "cooc"],
        "train": ["train", "glove", "cooc", "--output", "m.h5", "--epochs", 2, "--vector-size", 4],
    }.items():
        code, stdout, stderr = call(*arguments, "--json", *QUIET)
        assert (code, stderr) == (0, "")
        records[verb] = json.loads(stdout)
        assert records[verb].keys() >= common
        assert records[verb]["seconds"] >= 0 and records[verb]["threads"] >= 1
    assert records["encode"].keys() - common == {"tokens", "documents", "words"}
    assert records["count"].keys() - common == {"entries", "tokens"}
    assert records["count"]["entries"] == Cooc("cooc").entries
    assert records["train"].keys() - common == {"history"}
    assert [set(epoch) >= {"epoch", "loss", "seconds", "items"} for epoch in records["train"]["history"]] == [
        True,
        True,
    ]
    for path, kind in (("corpus", "corpus"), ("cooc", "cooc"), ("m.h5", "model")):
        code, stdout, _ = call("info", path, "--json")
        assert json.loads(stdout)["kind"] == kind
        assert call("info", path)[1].startswith(f"path: {path}\n")
    code, stdout, _ = call("nn", "m.h5", "w1", "w2", "--topn", 3, "--json")
    assert {word: len(found) for word, found in json.loads(stdout).items()} == {"w1": 3, "w2": 3}
    Path("pairs.tsv").write_text("w1\tw2\t3\nw3\tw4\t4\nw1\tw5\t1\n")
    Path("questions.txt").write_text(": s\nw1 w2 w3 w4\n")
    code, stdout, _ = call("eval", "m.h5", "--pairs", "pairs.tsv", "--analogies", "questions.txt", "--json")
    rows = json.loads(stdout)
    assert all(set(row) >= {"model", "dataset", "kind", "value", "covered", "total"} for row in rows)
    assert {row["kind"] for row in rows} == {"spearman", "pearson", "analogy-add", "analogy-mul"}


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "cooc_engine", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=100, **options)


def test_standard_input(made):
    data = (made / "text.txt").read_bytes()
    assert run("encode", "-", "--output", "plain", *QUIET, input=data).returncode == 0
    assert run("encode", "--output", "packed", *QUIET, "-", input=gzip.compress(data)).returncode == 0
    assert Corpus("plain").digest == Corpus("packed").digest == Corpus(made / "corpus").digest
    trained = run("train", "glove", "-", "--output", "m.h5", "--epochs", 1, "--vector-size", 4, *QUIET, input=data)
    assert trained.returncode == 0, trained.stderr
    asked = run("nn", made / "model.h5", "-", "--json", input=b"w1 w2\nw3\n")
    assert [list(json.loads(line)) for line in asked.stdout.splitlines()] == [["w1", "w2"], ["w3"]]


def test_a_text_is_encoded_and_counted_on_the_way(call, made):
    assert (
        call(
            "train",
            "glove",
            made / "text.txt",
            "--output",
            "m.h5",
            "--epochs",
            3,
            "--vector-size",
            8,
            "--window",
            5,
            *QUIET,
        )[0]
        == 0
    )
    assert left() == ["m.h5"]
    assert (open_model("m.h5").vectors == open_model(made / "model.h5").vectors).all()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_words_that_the_terminal_cannot_show(encoding, made):
    Path("t").write_text("é 日 a\n" * 5, "utf-8")
    assert main(["train", "glove", "t", "--output", "m.h5", "--epochs", "1", *QUIET]) == 0
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    shown = run("nn", "m.h5", "é", env=environment)
    assert shown.returncode == 0, shown.stderr
    record = run("nn", "m.h5", "é", "--json", env=environment)
    assert {word for word, _ in json.loads(record.stdout)["é"]} == {"日", "a"}


def test_a_reader_that_went_away(made):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "cooc_engine", "info", str(made / "model.h5")]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk(made):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cooc_engine", "info", made / "model.h5"], stdout=full, stderr=subprocess.PIPE
        )
    assert_one_line(done.returncode, "", done.stderr.decode(), 4, "No space left on device")


# ------------------------------------------------------------------------------------------------------------ progress


def test_progress_off_a_terminal_is_plain_lines(made):
    done = run("train", "glove", made / "text.txt", "--output", "m.h5", "--epochs", 2)
    text = done.stderr.decode()
    assert done.returncode == 0
    assert all(byte == 10 or byte >= 32 for byte in done.stderr if byte != 127)
    lines = [line for line in text.splitlines() if not line.startswith("memory: ")]
    stages = [line.partition(": ")[0] for line in lines]
    assert stages == ["tokenize", "write shards", "lay out", "count", "deal tiles", "train"]
    assert all("/s" in line and "%" in line for line in lines)


def test_progress_as_json(made):
    done = run("train", "glove", made / "text.txt", "--output", "m.h5", "--epochs", 2, "--progress", "json")
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert [record["message"][:7] for record in records if "message" in record] == ["memory:"] * 3
    records = [record for record in records if "stage" in record]
    assert {record["stage"] for record in records} == {
        "tokenize",
        "write shards",
        "lay out",
        "count",
        "deal tiles",
        "train",
    }
    assert all(record.keys() >= {"done", "total", "unit", "rate", "eta"} for record in records)
    ends = [record for record in records if "seconds" in record]
    assert len(ends) == 6
    assert all(record["done"] == record["total"] for record in ends)


def test_no_progress(made):
    assert run("encode", made / "text.txt", "--output", "c", *QUIET).stderr == b""


# ----------------------------------------------------------------------------------------------------------- full disks

LIMITED = """
import resource, signal, sys
from cooc_engine.cli.app import main
from cooc_engine._kernels import counting, encoding, adagrad
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def limited(size: int, *arguments: object) -> tuple[int, str, str]:
    """Run a command whose files cannot grow past `size` bytes."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(size), *map(str, arguments)], capture_output=True, timeout=100)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A text larger than the buffers of its reader, and all that is made of it."""
    path = tmp_path_factory.mktemp("large")
    make_text(path / "text.txt", 3_000_000, 900)
    assert main(["encode", str(path / "text.txt"), "--output", str(path / "corpus"), *QUIET]) == 0
    assert main(["count", str(path / "corpus"), "--output", str(path / "cooc"), *QUIET]) == 0
    return path


def same_files(a: Path, b: Path) -> bool:
    names = sorted(path.name for path in a.iterdir())
    same = all((a / name).read_bytes() == (b / name).read_bytes() for name in names)
    return same and names == sorted(path.name for path in b.iterdir())


@pytest.mark.parametrize("size", [100, 1 << 20, 11 << 20])
def test_a_disk_that_fills_while_encoding(call, large, size):
    """At the first words, at a later block while the reader still reads, and when shards are written."""
    encode = ["encode", large / "text.txt", "--output", "corpus", *QUIET]
    assert_one_line(*limited(size, *encode), 4, "corpus: File too large; free some and run again with --resume")
    assert left() == ["corpus.part"]
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, "corpus.part was left by an interrupted run")
    assert_one_line(*call(*encode), 2, "corpus.part: left by an interrupted run; pass --resume")
    assert call(*encode, "--resume")[0] == 0
    assert left() == ["corpus"]
    assert same_files(Path("corpus"), large / "corpus")


@pytest.mark.parametrize("size", [70, 100_000, 1_000_000])
def test_a_disk_that_fills_while_counting(call, large, size):
    count = ["count", large / "corpus", "--output", "cooc", *QUIET]
    assert_one_line(*limited(size, *count), 4, "cooc: File too large; free some and run again with --resume")
    assert left() == ["cooc.part"]
    assert call(*count, "--resume")[0] == 0
    assert same_files(Path("cooc"), large / "cooc")


def test_a_disk_that_fills_while_the_model_is_saved(call, large):
    train = ["train", "glove", large / "cooc", "--output", "m.h5", "--epochs", 1, *QUIET]
    assert_one_line(*limited(100_000, *train), 4, "File too large; free some and run again with --resume")
    assert left() == []
    assert call(*train, "--resume")[0] == 0


def test_the_last_bytes_of_the_spool_are_not_lost(call):
    """Their buffer is written when the file is closed: documents.spool is larger than all else here."""
    Path("text").write_text("a\n" * 1000)
    assert_one_line(*limited(6000, "encode", "text", "--output", "c", *QUIET), 4, "c: File too large")


@pytest.fixture
def little_disk(tmp_path):
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(call, large, little_disk):
    encode = ["encode", large / "text.txt", "--output", little_disk / "corpus", *QUIET]
    assert_one_line(*call(*encode), 4, "corpus: No space left on device")
    assert [path.name for path in little_disk.iterdir()] == ["corpus.part"]
    shutil.rmtree(little_disk / "corpus.part")
    count = ["count", large / "corpus", "--output", little_disk / "cooc", *QUIET]
    assert_one_line(*call(*count), 4, "cooc: No space left on device")


# -------------------------------------------------------------------------------------------------------- interruption


def start(*arguments: object, says: str) -> subprocess.Popen:
    """Start a command and wait until its progress says something."""
    command = [sys.executable, "-m", "cooc_engine", *map(str, arguments), "--progress", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if says in line:
            return process
    raise AssertionError(f"it ended before {says!r}: {process.wait()}")


def finish(process: subprocess.Popen) -> tuple[int, str]:
    _, stderr = process.communicate(timeout=60)
    return process.returncode, [line for line in stderr.splitlines() if not line.startswith("{")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_goes_on_with_the_same_bits(call, large, number):
    train = ["train", "glove", large / "cooc", "--output", "m.h5", "--vector-size", 20, "--epochs", 150]
    process = start(*train, says='"stage": "train"')
    time.sleep(0.3)
    process.send_signal(number)
    code, lines = finish(process)
    assert code == 130, lines
    assert len(lines) == 1 and lines[0].startswith("cooc-engine: m.h5.checkpoint: interrupted in epoch ")
    assert lines[0].endswith("; continue with --resume")
    assert left() == ["m.h5.checkpoint"]
    assert_one_line(*call(*train), 2, "m.h5.checkpoint: left by an interrupted run; pass --resume")
    assert_one_line(*call(*train, "--lr", 0.01, "--resume", *QUIET), 2, "begun with other options")
    assert call(*train, "--resume", "--threads", 1, *QUIET)[0] == 0
    assert left() == ["m.h5"]
    whole = [word if word != "m.h5" else "whole.h5" for word in train]
    assert call(*whole, *QUIET)[0] == 0
    resumed, straight = open_model("m.h5", verify=True), open_model("whole.h5")
    assert all(resumed.array(name).tobytes() == straight.array(name).tobytes() for name in straight.names)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in straight.history]


def test_training_on_text_that_is_interrupted_keeps_its_counts(call, large):
    train = ["train", "glove", large / "text.txt", "--output", "m.h5", "--vector-size", 20, "--epochs", 150]
    process = start(*train, says='"stage": "train"')
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert left() == ["m.h5.checkpoint", "m.h5.work"]
    stamp = Path("m.h5.work/cooc/manifest.json").stat().st_mtime_ns
    assert_one_line(*call(*train), 2, "m.h5.work: left by an interrupted run; pass --resume")
    assert_one_line(*call(*train, "--lr", 0.01, "--resume", *QUIET), 2, "begun with other options")
    assert Path("m.h5.work/cooc/manifest.json").stat().st_mtime_ns == stamp
    assert call(*train, "--resume", *QUIET)[0] == 0
    assert left() == ["m.h5"]


@pytest.mark.parametrize("stage", ["tokenize", "lay out", "deal tiles", "train"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_anywhere_nothing_looks_whole_and_resuming_works(call, large, stage, number):
    train = [
        "train",
        "glove",
        large / "text.txt",
        "--output",
        "m.h5",
        "--vector-size",
        4,
        "--epochs",
        60,
        "--window",
        3,
    ]
    process = start(*train, says=f'"stage": "{stage}"')
    process.send_signal(number)
    code, lines = finish(process)
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL), lines
    assert not Path("m.h5").exists()
    for path in ("m.h5.work/corpus", "m.h5.work/cooc"):
        if Path(path).exists():
            assert call("info", path)[0] == 0
    assert call(*train, "--resume", *QUIET)[0] == 0
    assert left() == ["m.h5"]
    assert call("info", "m.h5")[0] == 0


@pytest.mark.parametrize("verb", ["encode", "count"])
def test_ctrl_c_within_a_stage_says_one_line(large, verb):
    source = large / ("text.txt" if verb == "encode" else "corpus")
    process = start(verb, source, "--output", "out", says='"stage"')
    process.send_signal(signal.SIGINT)
    code, lines = finish(process)
    if code != 0:  # it may have been quicker
        assert code == 130
        assert lines == ["cooc-engine: out: interrupted; continue with --resume"]
        assert left() == ["out.part"]


def test_a_second_run_on_the_same_output_is_refused(call, large):
    train = ["train", "glove", large / "cooc", "--output", "m.h5", "--vector-size", 20, "--epochs", 2000]
    process = start(*train, says='"stage": "train"')
    try:
        assert_one_line(*call(*train, *QUIET), 2, "another run is working on it")
    finally:
        process.kill()
        process.communicate()


def test_out_of_memory(call, made, monkeypatch):
    def no_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr(corpus_module, "write_shards", no_memory)
    assert_one_line(*call("encode", made / "text.txt", "--output", "c"), 4, "c: out of memory; run again with --resume")
    assert left() == ["c.part"]


# ---------------------------------------------------------------------------------------------------------- batch jobs

JOB = """
output = "work"
[encode]
texts = ["text.txt"]
min-count = 2
[count]
window = 4
[[train]]
model = "glove"
epochs = 2
vector-size = 6
[[train]]
model = "glove"
output = "small.h5"
epochs = 1
vector_size = 3
[eval]
pairs = ["pairs.tsv"]
restrict = 100
"""


@pytest.fixture
def job(made) -> Path:
    copied(made, "text.txt")
    Path("pairs.tsv").write_text("w1\tw2\t3\nw3\tw4\t4\nw1\tw5\t1\n")
    Path("job.toml").write_text(JOB)
    return Path("job.toml")


def change(job: Path, old: str, new: str) -> None:
    text = job.read_text()
    assert old in text
    job.write_text(text.replace(old, new, 1))


def stamps() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("work").rglob("*") if path.is_file()}


def test_a_job_runs_and_keeps_what_is_finished(call, job):
    code, stdout, stderr = call("run", job, "--json", *QUIET)
    assert (code, stderr) == (0, "")
    record = json.loads(stdout)
    assert {row["model"] for row in record["evaluation"]} >= {"work/glove.h5"} or len(record["evaluation"]) == 4
    assert sorted(path.name for path in Path("work").iterdir()) == [
        "cooc",
        "corpus",
        "eval.json",
        "glove.h5",
        "small.h5",
    ]
    assert json.loads(Path("work/eval.json").read_text()) == record["evaluation"]
    before = stamps()
    assert call("run", job, *QUIET)[0] == 0
    after = stamps()
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {"work/eval.json"}
    Path("work/small.h5").unlink()
    assert call("run", job, *QUIET)[0] == 0
    assert {path for path in before if before[path] != stamps()[path]} == {"work/eval.json", "work/small.h5"}


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("min-count = 2", "min-count = 3", "work/corpus: was made with other min_count; pass --force"),
        ('"text.txt"', '"text.txt", "pairs.tsv"', "work/corpus: was made with other texts"),
        ("window = 4", "window = 5", "work/cooc: was made with other window"),
        ("epochs = 2", "epochs = 3", "work/glove.h5: was made with other epochs"),
    ],
)
def test_changed_options_are_refused_until_forced(call, job, old, new, says):
    assert call("run", job, *QUIET)[0] == 0
    before = stamps()
    change(job, old, new)
    assert_one_line(*call("run", job, *QUIET), 2, says)
    assert stamps() == before
    assert call("run", job, "--force", *QUIET)[0] == 0


def test_an_interrupted_job_goes_on(call, job, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(corpus_module, "write_shards", interrupted)
        assert_one_line(*call("run", job, *QUIET), 130, "interrupted; continue with --resume")
    assert sorted(path.name for path in Path("work").iterdir()) == ["corpus.part"]
    assert call("run", job, *QUIET)[0] == 0
    assert not Path("work/corpus.part").exists()


@pytest.mark.parametrize(
    "old, new, code, says",
    [
        ("[count]", "[cuont]", 2, "unknown table 'cuont'"),
        ("window = 4", "windw = 4", 2, "job.toml [count]: unknown option 'windw'; did you mean window?"),
        ("window = 4", "window = 0", 2, "--window is 0"),
        ("window = 4", 'window = "4"', 2, "--window is '4'"),
        ("window = 4", "window = true", 2, "--window is True"),
        ('model = "glove"', 'model = "glov"', 2, "unknown model 'glov'"),
        ('model = "glove"', "", 2, "names no model"),
        ("[[train]]", "[train]", 1, "not TOML"),
        ("restrict = 100", "restict = 100", 2, "unknown option 'restict'"),
        ("restrict = 100", "restrict = 0", 2, "restrict is 0"),
        ('texts = ["text.txt"]', "", 2, "names no texts"),
        ('texts = ["text.txt"]', "texts = [1]", 2, "must be a list of file names"),
        ('texts = ["text.txt"]', 'texts = ["gone.txt"]', 1, "gone.txt: no such file"),
        ('"pairs.tsv"', '"gone.tsv"', 1, "gone.tsv: no such file"),
        ('output = "work"', "output = 3", 2, "output is 3; it must be a string"),
        ("[encode]", "[encode", 1, "job.toml: not TOML"),
    ],
)
def test_bad_jobs(call, job, old, new, code, says):
    change(job, old, new)
    assert_one_line(*call("run", job, *QUIET), code, says)
    assert not Path("work").exists() or not any(Path("work").iterdir())


def test_no_job(call):
    assert_one_line(*call("run", "nowhere.toml"), 1, "nowhere.toml: no such file")
    assert_one_line(*call("run", "."), 1, ".: cannot be read (Is a directory)")


@pytest.mark.shared
def test_the_shared_text_end_to_end(call, shared):
    text = lzma.decompress((shared / "data" / "imdb.test.txt.xz").read_bytes())[: 1 << 20]
    Path("text.xz").write_bytes(lzma.compress(text[: text.rindex(b"\n") + 1], preset=0))
    code, stdout, _ = call("train", "glove", "text.xz", "--output", "m.h5", "--epochs", 2, "--json", *QUIET)
    assert code == 0
    assert json.loads(stdout)["history"][1]["loss"] < json.loads(stdout)["history"][0]["loss"]


# --------------------------------------------------------------------------------------- models that read the text itself


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_training_on_a_corpus_or_a_text(call, made, model):
    """Names of word2vec's, fastText's and gensim's users; what is printed is what was recorded."""
    flags = ["-size", 6, "-ws", 3, "-neg", 2, "-sample", 0, "-iter", 2, "--ns-exponent", 0.5, "--deterministic"]
    for source in (made / "corpus", made / "text.txt"):
        output = f"{source.stem}.h5"
        code, stdout, stderr = call("train", model, source, "--output", output, *flags, "--threads", 2, "--json", *QUIET)
        assert (code, stderr) == (0, "")
        record = json.loads(stdout)
        trained = open_model(Path(output))
        assert record["history"] == list(trained.history)
        assert [epoch["items"] for epoch in record["history"]] == [1996, 1996]
        assert {"epoch", "loss", "seconds", "items"} <= record["history"][0].keys()
        assert (
            trained.config["train"] | {"vector_size": 6, "window": 3, "negative": 2, "subsample": 0.0}
            == trained.config["train"]
        )
        assert trained.config["train"]["noise_power"] == 0.5
    assert (open_model(Path("corpus.h5")).vectors == open_model(Path("text.h5")).vectors).all()
    assert call("nn", "corpus.h5", "w1")[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["corpus.h5", "text.h5"]


def test_training_on_text_says_what_it_cannot_take(call, made):
    assert_one_line(*call("train", "cbow", made / "cooc", "--output", "m.h5"), 2, "cooc: holds counts")
    assert_one_line(*call("train", "cbow", made / "corpus", "--output", "m.h5", "--min-count", 3), 2, "is encoded already")
    assert_one_line(*call("train", "cbow", made / "corpus", "--output", "m.h5", "--predict", "centre"), 2, "--predict")
    assert_one_line(*call("train", "skipgram", made / "corpus", "--output", "m.h5", "--loss", "ova"), 2, "--loss")
    assert_one_line(*call("train", "skipgram", made / "corpus", "--output", "m.h5", "--memory", "1K"), 2, "--memory 1.0K")
    code, _, stderr = call("train", "skipgram", made / "corpus", "--output", "m.h5", "--lr", "1e30", *QUIET)
    assert code == 3
    assert "--lr" in stderr
    assert left() == []


def test_a_job_without_counts_counts_nothing(call, job):
    change(job, 'model = "glove"\nepochs', 'model = "skipgram"\nepochs')
    change(job, 'model = "glove"\noutput', 'model = "cbow"\noutput')
    change(job, "[count]\nwindow = 4\n", "")
    assert call("run", job, *QUIET)[0] == 0
    assert sorted(path.name for path in Path("work").iterdir()) == ["corpus", "eval.json", "skipgram.h5", "small.h5"]
    before = stamps()
    assert call("run", job, *QUIET)[0] == 0
    assert {path for path in before if before[path] != stamps()[path]} == {"work/eval.json"}
    change(job, "epochs = 2", "epochs = 3")
    assert_one_line(*call("run", job, *QUIET), 2, "work/skipgram.h5: was made with other epochs")
