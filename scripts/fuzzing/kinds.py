"""The kinds of file that the engine reads: for each, good samples, ways to damage them, and the commands that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fuzzing import damage, damage_formats, damage_hdf5
from fuzzing.damage import Way
from fuzzing.readers import ASKED, COLUMNS, COUNTED, FLAGS, INITIAL, MORE, PAGE, QUIET, RUN, TEXTS, TRIAL, VECTORS, training
from fuzzing.samples import COMPRESSED, FORMATS, OTHERS, TRAINED, source_of

CHECKED, UNCHECKED = damage.plain(True), damage.plain(False)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    samples   names of files or directories; one of them is damaged
    ways      ways to damage it; each is as likely as any other
    readers   command lines that read it; `{}` is its name
    needs     other files that the readers need, beside those that they name
    """

    samples: tuple[str, ...]
    ways: tuple[Way, ...]
    readers: tuple[str, ...]
    needs: tuple[str, ...] = ()


HDF5 = (CHECKED, damage_hdf5.hdf5, damage_hdf5.hdf5, damage_hdf5.hdf5_values)
SET = (UNCHECKED, *[damage_formats.lines] * 6, damage_formats.bomb)
DIRECTORY = (CHECKED, CHECKED, damage.exchanged, damage.missing, damage.array_values, damage.array_values, damage.array_head)
UNFINISHED = (CHECKED, CHECKED, damage.exchanged, damage.missing, damage.record)
PART = (*UNFINISHED, damage.array_head, damage.forged)
RANGES = (CHECKED, CHECKED, damage.exchanged, damage.missing, damage.record, damage.signed, damage.signed)

KINDS: Mapping[str, Kind] = {
    "corpus": Kind(
        ("corpus", "news"),
        (*DIRECTORY, damage.manifest, damage.manifest, damage.forged),
        (
            "info {}",
            f"count {{}} --output out --window 2 {RUN}",
            f"encode more.txt --vocabulary {{}} --output out {RUN}",
            *(training(family, "{}") for family in ("skipgram", "cbow", "fasttext", "doc2vec", "jose", "glove")),
            f"train supervised {{}} --output out.h5 {FLAGS['supervised']} {RUN}",
            f"train elmo {{}} --output out.h5 {FLAGS['elmo']} --memory 40M {QUIET}",
            f"quantize supervised.h5 --output out.h5 --cutoff 9 --retrain {{}} {QUIET}",
            "probe elmo.h5 --perplexity {} corpus",
            "probe elmo.h5 --perplexity news {}",
            f"autotune few.txt --validation few.txt --vocabulary {{}} {TRIAL}",
        ),
    ),
    "older": Kind(
        ("corpus-v1", "cooc-v1"),
        (CHECKED, damage.missing, damage.array_head, damage.manifest, damage.forged),
        ("info {}", f"count {{}} --output out {RUN}", training("pmi", "{}"), training("cbow", "{}")),
    ),
    "older-model": Kind(("model-v1.h5",), HDF5, ("info {}", "nn {} w0 w1", "export {} out.txt", "norms {}")),
    "counts": Kind(
        ("cooc", "uniform", "positional", "users"),
        (*DIRECTORY, damage.manifest, damage.manifest, damage.forged),
        (
            "info {}",
            *COUNTED,
            f"merge {{}} {{}} --output out {RUN}",
            f"append {{}} more.txt --output out {RUN}",
            f"encode more.txt --vocabulary {{}} --output out {RUN}",
            f"export-counts {{}} out.bin --vocab out.txt {RUN}",
            f"export-counts {{}} out.h5 --format hdf5 {RUN}",
            "ratio glove.h5 w0 w1 w2 --counts {}",
        ),
    ),
    **{
        f"model-{family}": Kind(
            (f"{family}.h5", *([OTHERS[family]] if family in OTHERS else [])),
            HDF5,
            ASKED + 4 * (INITIAL.get(family, INITIAL["glove"]) + MORE.get(family, ())),
        )
        for family in (*TRAINED, "imported", "quantized")
    },
    "index": Kind(
        ("imported.h5.index",),
        (CHECKED, damage.exchanged, damage.missing, damage.manifest),
        ("nn imported.h5 w0 w5 --approximate", "index imported.h5 --force --threads 1 --progress none"),
    ),
    **{
        f"checkpoint-{family}": Kind(
            (f"out-{family}.h5.checkpoint",),
            HDF5,
            (f"train {family} {source_of(family)} --output out-{family}.h5 --resume {flags} --threads 1 --progress none",),
        )
        for family, flags in FLAGS.items()
        if family != "pmi"  # which is done at once
    },
    "unfinished-first-pass": Kind(
        ("out-first.part",),
        (*UNFINISHED, damage.spooled),
        (f"encode text.txt --output out-first --min-count 2 --resume {RUN}",),
    ),
    "unfinished-encode": Kind(
        ("out-second.part",), (*PART, damage.spooled), (f"encode text.txt --output out-second --min-count 2 --resume {RUN}",)
    ),
    "unfinished-ranges": Kind(
        ("out-ranges.part",), RANGES, (f"encode text.txt more.txt few.txt --output out-ranges --min-count 2 --resume {RUN}",)
    ),
    "unfinished-ranked": Kind(
        ("out-ranked.part",),
        (*RANGES, damage.array_head, damage.forged),
        (f"encode text.txt more.txt few.txt --output out-ranked --min-count 2 --resume {RUN}",),
    ),
    "unfinished-merge": Kind(("out-merge.part",), PART, (f"merge cooc cooc --output out-merge --resume {RUN}",)),
    "unfinished-append": Kind(
        ("out-append.work",),
        tuple(map(damage.staged, (CHECKED, CHECKED, damage.exchanged, damage.missing, damage.record, damage.array_head))),
        (f"append cooc more.txt --output out-append --resume {RUN}",),
    ),
    "unfinished-count": Kind(("out-count.part",), PART, (f"count corpus --output out-count --window 3 --resume {RUN}",)),
    "unfinished-embed": Kind(
        ("out-embed.h5.part",),
        (*UNFINISHED, damage_hdf5.embedded, damage_hdf5.embedded),
        (f"embed elmo.h5 more.txt --output out-embed.h5 --resume --state carry --batch 4 {RUN}",),
    ),
    "unfinished-import": Kind(("out-import.part",), PART, (f"import-counts counts.h5 --output out-import --resume {RUN}",)),
    "hdf5-counts": Kind(("counts.h5", "users.h5"), HDF5, ("info {}", f"import-counts {{}} --output out {RUN}")),
    "glove-counts": Kind(
        ("records.bin",),
        (UNCHECKED, damage_formats.words_of(4), damage_formats.words_of(8)),
        (f"import-counts {{}} --vocab vocab.txt --window 3 --output out {RUN}",),
    ),
    "vocabulary": Kind(
        ("vocab.txt",),
        (UNCHECKED, damage_formats.lines, damage_formats.lines),
        (f"import-counts records.bin --vocab {{}} --window 3 --output out {RUN}", "import v.txt out.h5 --vocab {}"),
    ),
    "text-vectors": Kind(
        tuple(FORMATS[name] for name in ("word2vec", "glove", "fasttext-vec", "tsv")),
        (UNCHECKED, damage_formats.lines, damage_formats.lines, damage_formats.binary_head, damage_formats.bomb),
        VECTORS,
        ("v-metadata.tsv",),
    ),
    "projector-words": Kind(("v-metadata.tsv",), (UNCHECKED, damage_formats.lines), ("import v.tsv out.h5",)),
    "word2vec-binary": Kind(
        ("v.bin",),
        (UNCHECKED, damage_formats.binary_head, damage_formats.words_of(4), damage_formats.bomb),
        VECTORS,
    ),
    "fasttext-model": Kind(
        ("ngrams.bin", "words.bin", "small.ftz"),
        (UNCHECKED, damage_formats.head_of(200), damage_formats.head_of(200), damage_formats.words_of(4), damage_formats.bomb),
        (*VECTORS, "export {} out.bin --format fasttext"),
    ),
    "npz": Kind(("v.npz", "int8.npz"), (UNCHECKED, damage_formats.npz, damage_formats.npz), VECTORS),
    "safetensors": Kind(
        ("v.safetensors", "int8.safetensors"),
        (UNCHECKED, damage_formats.safetensors, damage_formats.safetensors, damage_formats.words_of(4)),
        VECTORS,
    ),
    "text": Kind(
        ("text.txt",),
        (UNCHECKED, damage_formats.lines, damage_formats.lines),
        TEXTS,
    ),
    "compressed-text": Kind(
        tuple(f"text.txt.{suffix}" for suffix in COMPRESSED),
        (CHECKED, CHECKED, damage_formats.bomb),
        (f"encode {{}} --output out --min-count 2 {RUN}", f"append cooc {{}} --output out {RUN}"),
    ),
    "words": Kind(
        ("stop.txt", "dictionary.txt"),
        (UNCHECKED, damage_formats.lines, damage_formats.lines, damage_formats.bomb),
        (
            f"encode text.txt --stop-words {{}} --output out {QUIET} --memory 40M",
            f"encode text.txt --tokenizer jieba --user-dict {{}} --output out {QUIET} --memory 150M",
            f"autotune more.txt --validation more.txt --stop-words {{}} {TRIAL}",
            f"autotune more.txt --validation more.txt --tokenizer jieba --user-dict {{}} {TRIAL}",
        ),
    ),
    "elmo-weights": Kind(
        ("e_weights.hdf5",),
        (UNCHECKED, *[damage_hdf5.plain_hdf5] * 3),
        ("import {} out.h5", "import {} out.h5 --format elmo --options e_options.json --vocab e_vocabulary.txt"),
        ("e_options.json", "e_vocabulary.txt"),
    ),
    "elmo-options": Kind(
        ("e_options.json",),
        (UNCHECKED, *[damage_formats.json_file] * 3),
        ("import e_weights.hdf5 out.h5 --options {}", "import e_weights.hdf5 out.h5"),
    ),
    "elmo-words": Kind(("e_vocabulary.txt",), SET, ("import e_weights.hdf5 out.h5 --vocab {}",), ("e_options.json",)),
    "mix": Kind(
        ("mix.json",),
        (UNCHECKED, *[damage_formats.json_file] * 3),
        (f"embed elmo.h5 more.txt --output out.h5 --layers mix --mix {{}} {RUN}",),
    ),
    "job": Kind(
        ("job.toml",), (UNCHECKED, damage_formats.toml, damage_formats.toml), (f"run {{}} {RUN}",), ("text.txt", "pairs.tsv")
    ),
    "pairs": Kind(
        ("pairs.tsv",),
        SET,
        ("eval imported.h5 --pairs {}", f"compare imported.h5 glove.h5 --pairs {{}} {PAGE}"),
    ),
    "sentence-pairs": Kind(
        ("sentences.tsv",),
        SET,
        (
            "eval imported.h5 --sentence-pairs {}",
            "probe elmo.h5 --sentence-pairs {}",
        ),
    ),
    "user-item-pairs": Kind(
        ("users.tsv", "users.csv.gz"),
        (*SET[:-1], damage_formats.bomb),
        (f"count-pairs {{}} --output out {RUN}", f"count-pairs {{}} users.tsv --separator tab --header --output out {RUN}"),
        ("users.tsv",),
    ),
    "analogies": Kind(
        ("analogies.txt",),
        SET,
        ("eval imported.h5 --analogies {} --by-section", f"compare imported.h5 glove.h5 --analogies {{}} {PAGE}"),
    ),
    "categories": Kind(
        ("categories.tsv",),
        SET,
        ("eval imported.h5 --categories {}",),
    ),
    "outliers": Kind(
        ("outliers.txt",),
        SET,
        ("eval imported.h5 --outliers {}",),
    ),
    "labelled": Kind(
        ("labelled.tsv",),
        SET,
        (
            f"cluster imported.h5 --texts {{}} {COLUMNS} --runs 1 --progress none",
            "cluster doc2vec.h5 --texts {} --label-column 1 --documents trained --runs 1 --progress none",
            f"classify imported.h5 --train {{}} --test labelled.tsv {COLUMNS} --samples 100 --progress none",
            f"classify imported.h5 --train labelled.tsv --test {{}} {COLUMNS} --samples 100 --progress none",
        ),
    ),
    "labels": Kind(
        ("labels.txt",),
        SET,
        (
            "cluster imported.h5 --texts more.txt --labels {} --runs 1 --progress none",
            "classify imported.h5 --train more.txt --test more.txt --labels {} labels.txt --samples 100 --progress none",
        ),
    ),
    "tags": Kind(
        ("tags.conllu",),
        SET,
        ("probe elmo.h5 --tags {} tags.conllu", "probe elmo.h5 --tags tags.conllu {} --save-mix out.json"),
    ),
    "places": Kind(
        ("places.data.txt", "places.gold.txt"),
        SET,
        (
            "probe elmo.h5 --word-in-context places.data.txt places.data.txt",
            "probe elmo.h5 --word-in-context {} places.data.txt",
        ),
        ("places.gold.txt",),
    ),
}
