"""Command lines that read files; `{}` is the name of the file that was damaged."""

from __future__ import annotations

from dataclasses import fields

from cooc_engine.models.families import FAMILIES, trainable
from fuzzing.samples import TRAINED, source_of

QUIET = "--threads 1 --progress none"
RUN = f"{QUIET} --memory 20M"
SIZES = "--vector-size 3 --epochs 1"
TRIAL = f"--label w1 --vector-size 4 --epochs 1 --trials 1 --output out.h5 {QUIET}"  # of autotune: what begins with w1 labels
PAGE = "--output out.html --samples 100 --progress none --common"  # of compare
COLUMNS = "--label-column 1 --doc-id-column 2"
OPTIONS = {"pmi": "", "pmi-svd": "--vector-size 3"}
FLAGS = {
    family: " ".join(f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}") for name, value in options.items())
    for family, options in TRAINED.items()
}


def training(family: str, source: str, more: str = "") -> str:
    """Return the command that trains a family."""
    return f"train {family} {source} --output out.h5 {OPTIONS.get(family, SIZES)} {more} {RUN}"


COUNTED = tuple(training(family, "{}") for family in ("glove", "simpler-glove", "pmi", "pmi-svd"))
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
    f"compare {{}} imported.h5 --pairs pairs.tsv {PAGE}",
    "align {} imported.h5 out.h5",
    "export {} out.txt",
    "export {} out.npz --dtype int8",
    "export {} out.safetensors",
    "index {} --force --threads 1 --progress none",
    "get-subwords {} w2",
    "align imported.h5 {} out.h5",
    "quantize {} --output out.h5 --threads 1",
    f"cluster {{}} --texts labelled.tsv {COLUMNS} --clusters 2 --runs 1 --progress none",
    f"classify {{}} --train labelled.tsv --test labelled.tsv {COLUMNS} --samples 100 --progress none",
    "explore imported.h5 {} --output out.html --words 5 --progress none",
    "plot {} --output out.png --words 5",
)
IN_CONTEXT = (
    f"embed {{}} more.txt --output out.h5 {RUN}",
    f"embed {{}} more.txt --output out.h5 --layers mix --mix mix.json {RUN}",
    "probe {} --sentence-pairs sentences.tsv",
    "probe {} --tags tags.conllu tags.conllu --save-mix out.json",
    "probe {} --senses more.txt",
    "probe {} --perplexity news corpus",
    "nn {} --in-context 'w0 [w1] w2' --topn 3",
    "export {} out.hdf5",
)
LINES = tuple(f"{verb} {{}} more.txt --threads 1" for verb in ("predict", "predict-prob", "test", "test-label"))
DOCUMENTS = (
    "infer {} more.txt --epochs 2 --threads 1",
    "nn {} 1 --documents --topn 3",
    "nn {} w1 --documents --of words --topn 3",
    f"cluster {{}} --texts labelled.tsv {COLUMNS} --infer-epochs 1 --runs 1 --progress none",
    f"classify {{}} --train labelled.tsv --test labelled.tsv {COLUMNS} --infer-epochs 1 --samples 100 --progress none",
    "export {} out.txt --vectors documents",
)
COLUMNWISE = (
    "nn {} c1 --columns --topn 3",
    "nn {} w1 --columns --of rows --topn 3",
    "nn {} c1 --of columns --topn 3",
    "export {} out.txt --vectors columns",
    "plot {} --output out.png --columns --words 5",
)
DOCUMENTED = tuple(name for name, family in FAMILIES.items() if family.inference)
MORE = {  # commands that read models of some families alone
    "supervised": (
        *LINES,
        f"quantize {{}} --output out.h5 --cutoff 9 --retrain corpus {QUIET}",
        "export {} out.bin",
    ),
    "elmo": IN_CONTEXT,
    "pmi-svd": COLUMNWISE,
    **dict.fromkeys(DOCUMENTED, DOCUMENTS),
}
INITIAL = {  # commands that begin with the vectors of a model
    name: (f"train {name} {source_of(name)} --output out.h5 --init {{}} {FLAGS[name]} {QUIET}",)
    for name, family in trainable().items()
    if any(option.name == "init" for option in fields(family.options))
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
TEXTS = (
    f"encode {{}} --output out --min-count 1 {RUN}",
    f"encode {{}} --output out --phrases 2 --phrase-threshold 1 --min-count 1 {RUN}",
    f"append cooc {{}} --output out {RUN}",
    training("glove", "{}", "--min-count 1"),
    training("skipgram", "{}", "--min-count 1"),
    *(f"{verb} supervised.h5 {{}} --threads 1" for verb in ("predict", "predict-prob", "test", "test-label")),
    f"quantize supervised.h5 --output out.h5 --cutoff 9 --retrain {{}} {QUIET}",
    f"autotune {{}} --validation more.txt {TRIAL}",
    f"autotune more.txt --validation {{}} {TRIAL}",
    *(f"infer {family}.h5 {{}} --epochs 2 --threads 1" for family in DOCUMENTED),
    f"embed elmo.h5 {{}} --output out.h5 {RUN}",
    "probe elmo.h5 --senses {}",
    f"compare supervised.h5 glove.h5 --tests {{}} {PAGE}",
)
