"""The kinds of file that the engine reads: for each, good samples, ways to damage them, and the commands that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fuzzing import damage, damage_formats, damage_hdf5
from fuzzing.damage import Way
from fuzzing.samples import COMPRESSED, FORMATS, TRAINED, source_of

RUN = "--threads 1 --memory 20M --progress none"
SIZES = "--vector-size 3 --epochs 1"
OPTIONS = {"pmi": "", "pmi-svd": "--vector-size 3"}
FLAGS = {
    family: " ".join(f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}") for name, value in options.items())
    for family, options in TRAINED.items()
}
CHECKED, UNCHECKED = damage.plain(True), damage.plain(False)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    samples   names of files or directories; one of them is damaged
    ways      ways to damage it; each is as likely as any other
    readers   command lines that read it; `{}` is its name
    needs     other files that the readers need
    """

    samples: tuple[str, ...]
    ways: tuple[Way, ...]
    readers: tuple[str, ...]
    needs: tuple[str, ...] = ()


def training(family: str, source: str, more: str = "") -> str:
    """Return the command that trains a family."""
    return f"train {family} {source} --output out.h5 {OPTIONS.get(family, SIZES)} {more} {RUN}"


COUNTED = tuple(training(family, "{}") for family in ("glove", "simpler-glove", "pmi", "pmi-svd"))
HDF5 = (CHECKED, damage_hdf5.hdf5, damage_hdf5.hdf5, damage_hdf5.hdf5_values)
SET = (UNCHECKED, *[damage_formats.lines] * 6, damage_formats.bomb)
DIRECTORY = (CHECKED, CHECKED, damage.exchanged, damage.missing, damage.array_values, damage.array_values, damage.array_head)
ASKED = (
    "info {}",
    "nn {} w0 w1",
    "vector {} w2",
    "similarity {} w0 w3",
    "analogies {} w0 w1 w2",
    "doesnt-match {} w0 w1 w2",
    "n-similarity {} 'w0 w1' 'w2 w3'",
    "norms {}",
    "related {} w1",
    "similar {} w1",
    "keywords {} 'w0 w1 w2 w3'",
    "sentence-vector {} 'w0 w1 w2'",
    "sentence-similarity {} 'w0 w1' 'w2 w3'",
    "ratio {} w0 w1 w2",
    "eval {} --pairs pairs.tsv",
    "eval {} --analogies analogies.txt --categories categories.tsv --outliers outliers.txt",
    "compare {} imported.h5 --output out.html --pairs pairs.tsv --samples 100 --progress none --common",
    "align {} imported.h5 out.h5",
    "export {} out.txt",
    "export {} out.npz --dtype int8",
    "export {} out.safetensors",
    "index {} --force --threads 1 --progress none",
    training("glove", "cooc", "--init {}"),
    training("skipgram", "corpus", "--init {}"),
    "quantize {} --output out.h5 --threads 1",
)
LINES = tuple(f"{verb} {{}} more.txt --threads 1" for verb in ("predict", "predict-prob", "test", "test-label"))
MORE = {  # commands that read models of some families alone
    "supervised": (
        *LINES,
        "quantize {} --output out.h5 --cutoff 9 --retrain corpus --threads 1 --progress none",
        "export {} out.bin",
    ),
    "doc2vec": ("infer {} more.txt --epochs 2 --threads 1", "nn {} 1 --documents"),
}
VECTORS = (
    "import {} out.h5",
    "import {} out.h5 --errors skip",
    "export {} out.npz",
    "nn {} w0",
    "vector {} w2",
    "align {} imported.h5 out.h5",
    "eval {} --pairs pairs.tsv",
)
UNFINISHED = (CHECKED, CHECKED, damage.exchanged, damage.missing, damage.record)
PART = (*UNFINISHED, damage.array_head, damage.forged)

KINDS: Mapping[str, Kind] = {
    "corpus": Kind(
        ("corpus", "news"),
        (*DIRECTORY, damage.manifest, damage.manifest, damage.forged),
        (
            "info {}",
            f"count {{}} --output out --window 2 {RUN}",
            f"encode more.txt --vocabulary {{}} --output out {RUN}",
            training("skipgram", "{}"),
            training("cbow", "{}"),
            training("glove", "{}"),
        ),
        ("more.txt",),
    ),
    "older": Kind(
        ("corpus-v1", "cooc-v1"),
        (CHECKED, damage.missing, damage.array_head, damage.manifest, damage.forged),
        ("info {}", f"count {{}} --output out {RUN}", training("pmi", "{}"), training("cbow", "{}")),
    ),
    "older-model": Kind(("model-v1.h5",), HDF5, ("info {}", "nn {} w0 w1", "export {} out.txt", "norms {}")),
    "counts": Kind(
        ("cooc", "uniform", "positional"),
        (*DIRECTORY, damage.manifest, damage.manifest, damage.forged),
        (
            "info {}",
            *COUNTED,
            f"merge {{}} {{}} --output out {RUN}",
            f"append {{}} more.txt --output out {RUN}",
            f"encode more.txt --vocabulary {{}} --output out {RUN}",
            f"export-counts {{}} out.bin --vocab out.txt {RUN}",
            f"export-counts {{}} out.h5 --format hdf5 {RUN}",
        ),
        ("more.txt",),
    ),
    **{
        f"model-{family}": Kind(
            (f"{family}.h5",),
            HDF5,
            ASKED if family not in MORE else ASKED + 4 * MORE[family],
            ("imported.h5", "pairs.tsv", "analogies.txt", "categories.tsv", "outliers.txt", "cooc", "corpus", "more.txt"),
        )
        for family in (*TRAINED, "imported", "quantized")
    },
    "index": Kind(
        ("imported.h5.index",),
        (CHECKED, damage.exchanged, damage.missing, damage.manifest),
        ("nn imported.h5 w0 w5 --approximate", "index imported.h5 --force --threads 1 --progress none"),
        ("imported.h5",),
    ),
    **{
        f"checkpoint-{family}": Kind(
            (f"out-{family}.h5.checkpoint",),
            HDF5,
            (f"train {family} {source_of(family)} --output out-{family}.h5 --resume {flags} --threads 1 --progress none",),
            (source_of(family),),
        )
        for family, flags in FLAGS.items()
        if family != "pmi"  # which is done at once
    },
    "unfinished-first-pass": Kind(
        ("out-first.part",), UNFINISHED, (f"encode text.txt --output out-first --min-count 2 --resume {RUN}",), ("text.txt",)
    ),
    "unfinished-encode": Kind(
        ("out-second.part",), PART, (f"encode text.txt --output out-second --min-count 2 --resume {RUN}",), ("text.txt",)
    ),
    "unfinished-count": Kind(
        ("out-count.part",), PART, (f"count corpus --output out-count --window 3 --resume {RUN}",), ("corpus",)
    ),
    "unfinished-import": Kind(
        ("out-import.part",), PART, (f"import-counts counts.h5 --output out-import --resume {RUN}",), ("counts.h5",)
    ),
    "hdf5-counts": Kind(("counts.h5",), HDF5, ("info {}", f"import-counts {{}} --output out {RUN}")),
    "glove-counts": Kind(
        ("records.bin",),
        (UNCHECKED, damage_formats.words_of(4), damage_formats.words_of(8)),
        (f"import-counts {{}} --vocab vocab.txt --window 3 --output out {RUN}",),
        ("vocab.txt",),
    ),
    "vocabulary": Kind(
        ("vocab.txt",),
        (UNCHECKED, damage_formats.lines, damage_formats.lines),
        (f"import-counts records.bin --vocab {{}} --window 3 --output out {RUN}", "import v.txt out.h5 --vocab {}"),
        ("records.bin", "v.txt"),
    ),
    "text-vectors": Kind(
        tuple(FORMATS[name] for name in ("word2vec", "glove", "fasttext-vec", "tsv")),
        (UNCHECKED, damage_formats.lines, damage_formats.lines, damage_formats.binary_head, damage_formats.bomb),
        VECTORS,
        ("v-metadata.tsv", "imported.h5", "pairs.tsv"),
    ),
    "projector-words": Kind(("v-metadata.tsv",), (UNCHECKED, damage_formats.lines), ("import v.tsv out.h5",), ("v.tsv",)),
    "word2vec-binary": Kind(
        ("v.bin",),
        (UNCHECKED, damage_formats.binary_head, damage_formats.words_of(4), damage_formats.bomb),
        VECTORS,
        ("imported.h5", "pairs.tsv"),
    ),
    "fasttext-model": Kind(
        ("ngrams.bin", "words.bin", "small.ftz"),
        (UNCHECKED, damage_formats.head_of(200), damage_formats.head_of(200), damage_formats.words_of(4), damage_formats.bomb),
        (*VECTORS, "export {} out.bin --format fasttext"),
        ("imported.h5", "pairs.tsv"),
    ),
    "npz": Kind(
        ("v.npz", "int8.npz"), (UNCHECKED, damage_formats.npz, damage_formats.npz), VECTORS, ("imported.h5", "pairs.tsv")
    ),
    "safetensors": Kind(
        ("v.safetensors", "int8.safetensors"),
        (UNCHECKED, damage_formats.safetensors, damage_formats.safetensors, damage_formats.words_of(4)),
        VECTORS,
        ("imported.h5", "pairs.tsv"),
    ),
    "text": Kind(
        ("text.txt",),
        (UNCHECKED, damage_formats.lines, damage_formats.lines),
        (
            f"encode {{}} --output out --min-count 1 {RUN}",
            f"encode {{}} --output out --phrases 2 --phrase-threshold 1 --min-count 1 {RUN}",
            f"append cooc {{}} --output out {RUN}",
            training("glove", "{}", "--min-count 1"),
            training("skipgram", "{}", "--min-count 1"),
        ),
        ("cooc",),
    ),
    "compressed-text": Kind(
        tuple(f"text.txt.{suffix}" for suffix in COMPRESSED),
        (CHECKED, CHECKED, damage_formats.bomb),
        (f"encode {{}} --output out --min-count 2 {RUN}", f"append cooc {{}} --output out {RUN}"),
        ("cooc",),
    ),
    "job": Kind(
        ("job.toml",), (UNCHECKED, damage_formats.toml, damage_formats.toml), (f"run {{}} {RUN}",), ("text.txt", "pairs.tsv")
    ),
    "pairs": Kind(
        ("pairs.tsv",),
        SET,
        ("eval imported.h5 --pairs {}",),
        ("imported.h5",),
    ),
    "sentence-pairs": Kind(
        ("sentences.tsv",),
        SET,
        ("eval imported.h5 --sentence-pairs {}",),
        ("imported.h5",),
    ),
    "analogies": Kind(
        ("analogies.txt",),
        SET,
        ("eval imported.h5 --analogies {} --by-section",),
        ("imported.h5",),
    ),
    "categories": Kind(
        ("categories.tsv",),
        SET,
        ("eval imported.h5 --categories {}",),
        ("imported.h5",),
    ),
    "outliers": Kind(
        ("outliers.txt",),
        SET,
        ("eval imported.h5 --outliers {}",),
        ("imported.h5",),
    ),
}
