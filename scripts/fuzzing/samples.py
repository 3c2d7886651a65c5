"""A good file of every kind, small, made with the engine itself; `other` beside it has one more of each, of another text."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import lzma
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import cooc_engine
from cooc_engine.corpus import allotment, first_pass, second_pass
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranges import RangesCheckpoint
from cooc_engine.counts import count as counting
from cooc_engine.counts import directory, from_coo
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InterruptedRun
from cooc_engine.formats.fasttext import read_fasttext, write_fasttext
from cooc_engine.linalg.quantisation import quantise
from cooc_engine.models.checkpoints import Checkpoint
from cooc_engine.models.families import family_of, trainable
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.workers import Here
from cooc_engine.text import readers
from cooc_engine.vectors import embedding

WORDS = [f"w{i}" for i in range(30)] + ["wört", "éa", "字"]
FORMATS = {
    "word2vec": "v.txt", "word2vec-bin": "v.bin", "glove": "v.glove", "fasttext-vec": "v.vec",
    "npz": "v.npz", "safetensors": "v.safetensors", "tsv": "v.tsv",
}  # fmt: skip
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
QUICK: dict[str, Any] = {
    "epochs": 3, "vector_size": 4, "x_max": 10.0, "buckets": 50, "label": "w1", "deterministic": True,
    "filters": "1:4,2:4", "cells": 6, "characters": 3,
}  # fmt: skip
TRAINED = {  # for each family that is trained, those of these options that it has
    name: {option.name: QUICK[option.name] for option in fields(family_of(name).options) if option.name in QUICK}
    for name in trainable()
}
TEXTS = ["text.txt", "more.txt", "few.txt"]
OLDER = [Path(__file__).resolve().parents[2] / "tests" / "archive" / name for name in ("corpus-v1", "cooc-v1", "model-v1.h5")]
NAMED_COLUMNS = ("pmi", "pmi-svd")  # families that are trained on counts whose columns have names of their own, too
OTHERS = {**{name: f"{name}-columns.h5" for name in NAMED_COLUMNS}, "doc2vec": "doc2vec-hs.h5"}  # models of another kind
RUN: Any = {"threads": 1}
STRANGER = '''"""A module that must never be imported because a file asks for it."""
from pathlib import Path
Path("code-was-run").touch()
def cut(text):
    Path("code-was-run").touch()
    return text.split()
'''
JOB = """output = "out"
[encode]
texts = ["text.txt"]
min-count = 2
[count]
window = [2, 3]
window-weight = "uniform"
[[train]]
model = "simpler-glove"
vector-size = 3
epochs = 1
[[train]]
model = "pmi"
[eval]
pairs = ["pairs.tsv"]
"""


def make(at: Path) -> None:
    """Make all samples in the directory `at`, and another set of them in `at/other`."""
    _cut_small()
    for seed, place in enumerate((at, at / "other")):
        place.mkdir(parents=True)
        for older in OLDER:
            (shutil.copytree if older.is_dir() else shutil.copy2)(older, place / older.name)
        with inside(place):
            _make_texts(random.Random(seed))
            _make_stages()
            _make_pairs(seed)
            _make_models()
            _make_unfinished()


@contextlib.contextmanager
def inside(directory: Path) -> Iterator[None]:
    """Work in a directory meanwhile, so that files record names without it."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def _make_texts(chance: random.Random) -> None:
    def lines(number: int) -> str:
        picked = [[min(chance.choices(range(33), k=2)) for _ in range(chance.randint(1, 14))] for _ in range(number)]
        return "".join(" ".join(WORDS[i] for i in line) + "\n" for line in picked)

    text = lines(120)
    _write("text.txt", text)
    _write("more.txt", lines(30))
    _write("few.txt", "w1 w0 w2\nw0 w3 w0\nw1 w2\n" * 8)  # words that are in all vocabularies
    for suffix, compress in COMPRESSED.items():
        Path(f"text.txt.{suffix}").write_bytes(compress(text.encode()))
    pairs = [(WORDS[i], WORDS[i + 1], chance.randint(0, 10)) for i in range(8)]
    _write("pairs.tsv", "".join(f"{a}\t{b}\t{score}\n" for a, b, score in pairs))
    _write("sentences.tsv", "".join(f"{a} {b}\t{b} w3\t{score}\n" for a, b, score in pairs))
    _write("analogies.txt", ": some\n" + "".join(f"{' '.join(WORDS[i : i + 4])}\n" for i in range(0, 20, 2)))
    _write("categories.tsv", "".join(f"{WORDS[i]}\tclass{i % 3}\n" for i in range(12)))
    _write("outliers.txt", ": one\n" + "\n".join([*WORDS[:4], "", *WORDS[8:11]]) + "\n")
    _write("job.toml", JOB)
    _write("labelled.tsv", "".join(f"class{i % 3}\tid-{i}\t{line}" for i, line in enumerate(_lines("more.txt"))))
    _write("labels.txt", "".join(f"class{i % 3}\n" for i in range(len(_lines("more.txt")))))
    _write("tags.conllu", "\n".join(map(_tagged, _lines("more.txt"))) + "\n")
    _write("places.data.txt", "".join(f"{a}\tN\t0-1\t{a} {b} w3\t{b} {a}\n" for a, b, _ in pairs))
    _write("places.gold.txt", "".join("TF"[row % 2] + "\n" for row in range(len(pairs))))
    _write("mix.json", '{"gamma": 1.0, "scores": [0.0, 0.5, 1.0]}')
    _write("stop.txt", "w1\nw2\n")
    _write("dictionary.txt", "w1w2 5 n\nw3w4\n")
    _write("stranger.py", STRANGER)


def _lines(name: str) -> list[str]:
    return Path(name).read_text(encoding="utf-8").splitlines(keepends=True)


def _tagged(sentence: str) -> str:
    """Return a sentence in CoNLL-U."""
    rows = (f"{n}\t{word}\t_\t{'NOUN' if word < 'w2' else 'VERB'}" for n, word in enumerate(sentence.split(), 1))
    return "".join(row + "\t_" * 6 + "\n" for row in rows)


def _write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def _make_stages() -> None:
    cooc_engine.encode("text.txt", "corpus", EncodeOptions(min_count=2), **RUN)
    cooc_engine.encode("more.txt", "news", EncodeOptions(vocabulary="corpus"), **RUN)
    cooc_engine.count("corpus", "cooc", CountOptions(window=3), **RUN)
    cooc_engine.count("corpus", "uniform", CountOptions(window=3, window_weight="uniform", context_side="left"), **RUN)
    cooc_engine.count("corpus", "positional", CountOptions(window=2, positional=True), **RUN)
    cooc_engine.export_glove("cooc", "records.bin", "vocab.txt", **RUN)
    cooc_engine.export_hdf5("cooc", "counts.h5", **RUN)


def _make_pairs(seed: int) -> None:
    """Make counts of words by columns with names of their own, and models of them."""
    matrix = scipy.sparse.csr_array(np.random.default_rng(seed).poisson(0.4, (len(WORDS), 20)))
    cooc_engine.import_matrix(matrix, WORDS, "users", columns=[f"c{i}" for i in range(20)], **RUN)
    cooc_engine.export_hdf5("users", "users.h5", **RUN)
    triples = [
        (f"{WORDS[row]} {row}", f"c{column}", int(matrix[row, column])) for row, column in zip(*matrix.nonzero(), strict=True)
    ]
    _write("users.tsv", "".join(f"{user}\t{item}\t{count}\n" for user, item, count in triples))
    Path("users.csv.gz").write_bytes(gzip.compress("".join(f"{user},{item}\n" for user, item, _ in triples).encode()))
    for name in NAMED_COLUMNS:
        cooc_engine.train(name, "users", OTHERS[name], family_of(name).options(**TRAINED[name]), **RUN)


def source_of(family: str) -> str:
    """Return the directory from which a family is trained."""
    return "corpus" if family_of(family).counting is None else "cooc"


def _make_models() -> None:
    for name in trainable():
        source, options = source_of(name), family_of(name).options(**TRAINED[name])
        cooc_engine.train(name, source, f"{name}.h5", options, **RUN)
        if name != "pmi":
            with contextlib.suppress(InterruptedRun), _replaced(Checkpoint, "between", _save_and_stop):
                cooc_engine.train(name, source, f"out-{name}.h5", options, **RUN)
    options = family_of("doc2vec").options(**TRAINED["doc2vec"], loss="hs")
    cooc_engine.train("doc2vec", "corpus", OTHERS["doc2vec"], options, **RUN)
    for name, file in FORMATS.items():
        cooc_engine.export_vectors("glove.h5", file, name)
    cooc_engine.export_vectors("glove.h5", "int8.npz", dtype="int8")
    cooc_engine.export_vectors("glove.h5", "int8.safetensors", dtype="int8")
    cooc_engine.import_vectors("v.txt", "imported.h5")
    cooc_engine.export_vectors("fasttext.h5", "ngrams.bin")
    cooc_engine.export_vectors("glove.h5", "words.bin", "fasttext")
    cooc_engine.export_vectors("elmo.h5", "e_weights.hdf5")
    _write_ftz()
    cooc_engine.quantize("glove.h5", "quantized.h5", cooc_engine.QuantizeOptions(dsub=2, qnorm=True), threads=1)
    cooc_engine.build_index("imported.h5")


def _write_ftz() -> None:
    """Write a quantised file of fastText, with some of the n-grams."""
    whole = read_fasttext(Path("ngrams.bin"))
    words, kept = len(whole.words), np.arange(0, whole.arguments.bucket, 3)
    rows = whole.inputs.of(np.concatenate([np.arange(words), words + kept]))
    inputs = quantise(rows, 2, norms=True)
    with Path("small.ftz").open("wb") as file:
        write_fasttext(file, dataclasses.replace(whole, kept=kept, inputs=inputs, outputs=quantise(whole.outputs, 2)))


def _save_and_stop(checkpoint: Checkpoint, step: str, whole: bool) -> None:
    checkpoint.save()
    raise InterruptedRun(step)


class _Shared(Here):
    """Workers that share the work of a run, all of them this process."""

    count, local = 2, False


def _make_unfinished() -> None:
    """Leave what interrupted runs leave: `NAME.part` of both passes over a text, of counts that are half done, and others."""
    with (
        _replaced(allotment, "LEAST_BLOCK", 1 << 10),
        _replaced(readers, "BLOCK_BYTES", 1 << 10),
        _replaced(first_pass, "CHECKPOINT_SECONDS", 0.0),
        _interrupted(first_pass.PassCheckpoint, "save", 2),
    ):
        cooc_engine.encode("text.txt", "out-first", EncodeOptions(min_count=2), **RUN)
    with _interrupted(second_pass, "ArrayWriter", 4):
        cooc_engine.encode("text.txt", "out-second", EncodeOptions(min_count=2), **RUN)
    with _replaced(Run, "shared", lambda run: contextlib.nullcontext(_Shared(run.workers, run.budget))):
        with _interrupted(RangesCheckpoint, "save", 2):
            cooc_engine.encode(TEXTS, "out-ranges", EncodeOptions(min_count=2), **RUN)
        with _interrupted(second_pass, "ArrayWriter", 3):
            cooc_engine.encode(TEXTS, "out-ranked", EncodeOptions(min_count=2), **RUN)
    with _interrupted(counting, "write_merged", 2):
        cooc_engine.count("corpus", "out-count", CountOptions(window=3), memory=_least(), **RUN)
    with _interrupted(counting, "write_merged", 2):
        cooc_engine.merge(["cooc", "cooc"], "out-merge", **RUN)
    with _interrupted(counting, "write_rows", 2):
        cooc_engine.append("cooc", "more.txt", "out-append", **RUN)
    with _replaced(embedding, "SECONDS", 0.0), _interrupted(embedding.Places, "sync", 2):
        options = cooc_engine.EmbedOptions(state="carry", batch=4)
        cooc_engine.embed("elmo.h5", "more.txt", "out-embed.h5", options, **RUN)
    with _interrupted(from_coo, "finish_blocks", 0):
        cooc_engine.import_hdf5("counts.h5", "out-import", **RUN)


def _least() -> int:
    """Return the budget in which the sample corpus is counted in several runs."""
    words = len(cooc_engine.Corpus("corpus").vocabulary)
    return counting.Allotment.of(words, counting.Window.of(CountOptions(window=3)), 1 << 40, 1).plan.least


@contextlib.contextmanager
def _interrupted(owner: Any, name: str, calls: int) -> Iterator[None]:
    """Have Ctrl-C pressed when a function has been called so often; the block must be stopped by it."""
    original, seen = getattr(owner, name), []

    def call(*given: Any, **named: Any) -> Any:
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        return original(*given, **named)

    try:
        with _replaced(owner, name, call):
            yield
    except InterruptedRun:
        return
    raise AssertionError(f"{name} was called {len(seen)} times only")


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _cut_small() -> None:
    """Have this process cut corpora and matrices so small that there are several shards, blocks and runs."""
    second_pass.SHARD_TOKENS, directory.BLOCK_ENTRIES = 200, 300
    counting.LEAST_TEXT = 1 << 11
    counting.TASK_ENTRIES = counting.LEAST_ENTRIES = 1 << 9
