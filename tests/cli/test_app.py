"""The command line from outside, where all goes well: aliases, JSON, standard input, terminals, progress."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line, left, run

from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.models.file import open_model

# -------------------------------------------------------------------------------------------------- options and records


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
    common = {"output", "seconds", "threads", "peak_memory_bytes", "peak_anonymous_bytes_above_start"}
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
        assert "\nfirst_words: w0, w1" in call("info", path)[1]
    code, stdout, _ = call("nn", "m.h5", "w1", "w2", "--topn", 3, "--json")
    assert {word: len(found) for word, found in json.loads(stdout).items()} == {"w1": 3, "w2": 3}
    Path("pairs.tsv").write_text("w1\tw2\t3\nw3\tw4\t4\nw1\tw5\t1\n")
    Path("questions.txt").write_text(": s\nw1 w2 w3 w4\n")
    code, stdout, _ = call("eval", "m.h5", "--pairs", "pairs.tsv", "--analogies", "questions.txt", "--json")
    rows = json.loads(stdout)
    assert all(set(row) >= {"model", "dataset", "kind", "value", "covered", "total"} for row in rows)
    assert {row["kind"] for row in rows} == {"spearman", "pearson", "analogy-add", "analogy-mul"}


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
    assert (open_model("m.h5").matrix == open_model(made / "model.h5").matrix).all()


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_training_on_a_corpus_or_a_text(call, made, model):
    """Names of word2vec's, fastText's and gensim's users; what is printed is what was recorded."""
    flags = ["-size", 6, "-ws", 3, "-neg", 2, "-sample", 0, "-iter", 2, "--ns-exponent", 0.5, "--deterministic"]
    tokens = Corpus(made / "corpus").manifest["tokens_in_vocabulary"]
    for source in (made / "corpus", made / "text.txt"):
        output = f"{source.stem}.h5"
        code, stdout, stderr = call("train", model, source, "--output", output, *flags, "--threads", 2, "--json", *QUIET)
        assert (code, stderr) == (0, "")
        record = json.loads(stdout)
        trained = open_model(Path(output))
        assert record["history"] == list(trained.history)
        assert [epoch["items"] for epoch in record["history"]] == [tokens, tokens]
        assert {"epoch", "loss", "seconds", "items"} <= record["history"][0].keys()
        assert (
            trained.config["train"] | {"vector_size": 6, "window": 3, "negative": 2, "subsample": 0.0}
            == trained.config["train"]
        )
        assert trained.config["train"]["noise_power"] == 0.5
    assert (open_model(Path("corpus.h5")).matrix == open_model(Path("text.h5")).matrix).all()
    assert call("nn", "corpus.h5", "w1")[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["corpus.h5", "text.h5"]


@pytest.mark.shared
def test_the_shared_text_end_to_end(call, shared):
    text = lzma.decompress((shared / "data" / "imdb.test.txt.xz").read_bytes())[: 1 << 20]
    Path("text.xz").write_bytes(lzma.compress(text[: text.rindex(b"\n") + 1], preset=0))
    code, stdout, _ = call("train", "glove", "text.xz", "--output", "m.h5", "--epochs", 2, "--json", *QUIET)
    assert code == 0
    assert json.loads(stdout)["history"][1]["loss"] < json.loads(stdout)["history"][0]["loss"]


# ------------------------------------------------------------------------------------------------ streams and terminals


def test_standard_input(made):
    data = (made / "text.txt").read_bytes()
    assert run("encode", "-", "--output", "plain", *QUIET, input=data).returncode == 0
    assert run("encode", "--output", "packed", *QUIET, "-", input=gzip.compress(data)).returncode == 0
    assert Corpus("plain").digest == Corpus("packed").digest == Corpus(made / "corpus").digest
    trained = run("train", "glove", "-", "--output", "m.h5", "--epochs", 1, "--vector-size", 4, *QUIET, input=data)
    assert trained.returncode == 0, trained.stderr
    asked = run("nn", made / "model.h5", "-", "--json", input=b"w1 w2\nw3\n")
    assert [list(json.loads(line)) for line in asked.stdout.splitlines()] == [["w1", "w2"], ["w3"]]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_words_that_the_terminal_cannot_show(encoding, made):
    Path("t").write_text("é 日 a\n" * 5, "utf-8")
    assert main(["train", "glove", "t", "--output", "m.h5", "--epochs", "1", *QUIET]) == 0
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    shown = run("nn", "m.h5", "é", env=environment)
    assert shown.returncode == 0, shown.stderr
    record = run("nn", "m.h5", "é", "--json", env=environment)
    assert {word for word, _ in json.loads(record.stdout)["é"]} == {"日", "a"}


# ------------------------------------------------------------------------------------------------------------- progress


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
