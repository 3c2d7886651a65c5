"""The verbs that exchange vectors with other programs, align them and make them smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

import cooc_engine
from cooc_engine.cli.console import Work, print_result
from cooc_engine.cli.parameters import Force, Json, NewModel, ProgressKind, Threads, VectorsFile
from cooc_engine.models.quantize_options import QuantizeOptions
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.progress import open_progress
from cooc_engine.runtime.run_options import RunOptions

__all__ = ["align", "export", "import_file", "index", "quantize"]

RUN = RunOptions()
FormatOut = Annotated[
    str | None,
    "word2vec, word2vec-bin, glove, fasttext-vec, fasttext, floret, npz, safetensors, tsv for TensorFlow's projector, or elmo; "
    "by default determined by the suffix of FILE, or else word2vec.",
]
FormatIn = Annotated[
    str | None, "word2vec, word2vec-bin, glove, fasttext-vec, fasttext, npz, safetensors, tsv or elmo; recognised by default."
]
Dtype = Annotated[
    Literal["float32", "float16", "int8"],
    "Number type in npz and safetensors; for float16 and int8, the change in direction is reported.",
]
Published = Annotated[
    Literal["w", "c", "w+c", "concat", "documents", "columns"] | None,
    "Instead of the vectors that queries use: word or context vectors, their sum or concatenation, or those of documents or "
    "columns.",
]


def export(
    model: Annotated[Path, Parameter(name="MODEL"), "The model file, or a file of vectors in one of the formats."],
    output: Annotated[
        Path,
        Parameter(name="FILE"),
        "The file to write; `tsv` also writes a file of words next to it, and `elmo` files of words and options.",
    ],
    /,
    *,
    format: FormatOut = None,
    dtype: Dtype = "float32",
    vectors: Published = None,
    restrict: Annotated[int | None, "Write only this many of the most frequent words."] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Export the vectors of a model for other programs.

    For example:

        cooc-engine export model.h5 vectors.txt
        cooc-engine export model.h5 vectors.safetensors --dtype float16
    """
    done = cooc_engine.export_vectors(model, output, format, dtype=dtype, vectors=vectors, restrict=restrict, force=force)
    text = f"{' and '.join(map(str, done.files))}: {done.words:,} vectors of size {done.vector_size}, as {done.format}"
    if done.mean_error is not None:
        text += f", cosine error: mean {done.mean_error:.2e}, largest {done.largest_error:.2e}"
    print_result(json, done.record(), [text])


def import_file(
    source: Annotated[Path, Parameter(name="FILE"), "The file of vectors, or of ELMo weights."],
    output: Annotated[NewModel, Parameter(name="MODEL")],
    /,
    *,
    format: FormatIn = None,
    errors: Annotated[
        Literal["strict", "skip"], "Whether malformed lines and repeated words are refused, or skipped and counted."
    ] = "strict",
    vocab: Annotated[
        Path | None,
        "A file of words and counts, one pair per line, which most formats lack; for ELMo weights, its vocabulary.",
    ] = None,
    options: Annotated[Path | None, "For ELMo weights: their options.json, by default the one next to them."] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Import an ELMo model, or the vectors of another program from a plain or compressed file, as a model file.

    For example:

        cooc-engine import glove.6B.100d.txt model.h5
    """
    files = {"vocab": vocab, "options": options}
    model = cooc_engine.import_vectors(source, output, format, errors=errors, **files, force=force)
    tally = model.provenance.get("left_out", {})
    size, width = model.shapes["words"]
    record = {"output": str(output), "format": model.config["import"]["format"], "words": size, "vector_size": width}
    left_out = ", ".join(f"{kind} {number:,}" for kind, number in sorted(tally.items()))
    text = f"{output}: {size:,} vectors of size {width}" + (f"; left out: {left_out}" if left_out else "")
    print_result(json, {**record, "left_out": tally}, [text])


def align(
    model: Annotated[Path, Parameter(name="MODEL"), "The model file, or file of vectors, to rotate."],
    reference: Annotated[
        Path, Parameter(name="REFERENCE"), "The model, or file of vectors, to align to, with vectors of at least the same size."
    ],
    output: Annotated[NewModel, Parameter(name="OUT")],
    /,
    *,
    force: Force = False,
    json: Json = False,
) -> None:
    """Rotate the vectors of a model onto those of a reference, based on the words they share (orthogonal Procrustes).

    For example:

        cooc-engine align 1990s.h5 1900s.h5 aligned.h5
    """
    done = cooc_engine.align(model, reference, output, force=force)
    before = "" if done.before is None else f" (before: {done.before:.4f})"
    text = f"{output}: aligned by {done.words:,} words, whose mean cosine is {done.after:.4f}{before}"
    print_result(json, done.record(), [text])


def quantize(
    model: Annotated[Path, Parameter(name="MODEL"), "The model file, or a .bin file of fastText."],
    /,
    *,
    output: NewModel,
    options: QuantizeOptions | None = None,
    threads: Threads = None,
    force: Force = False,
    progress: ProgressKind = "auto",
    json: Json = False,
) -> None:
    """Make a model smaller: vectors are stored as codes of one byte for every few components, which queries then use.

    For example:

        cooc-engine quantize model.h5 --output small.h5
    """
    shown = open_progress(progress)
    done = cooc_engine.quantize(model, output, options, threads=threads, force=force, progress=shown)
    errors = f"cosine error: mean {done.mean_error:.2e}, largest {done.largest_error:.2e}"
    sizes = f"{show_size(done.bytes_after)} instead of {show_size(done.bytes_before)}"
    print_result(json, done.record(), [f"{output}: {done.words:,} vectors in {sizes}, {errors}"])


def index(model: VectorsFile, /, *, run: RunOptions = RUN) -> None:
    """Build an index for nn --approximate beside a model of millions of words, and print its recall.

    For example:

        cooc-engine index model.h5
        cooc-engine nn --approximate model.h5 water
    """
    with Work(run) as work:
        built = cooc_engine.build_index(model, threads=work.threads, force=run.force, progress=open_progress(run.progress))
    text = f"{built.words:,} words, finds {100 * built.recall:.1f} % of the nearest 10"
    work.print(built.path, text, {"words": built.words, "recall": built.recall})
