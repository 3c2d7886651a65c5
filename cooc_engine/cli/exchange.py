"""The verbs that exchange vectors with other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cooc_engine.cli.console import print_json, print_lines
from cooc_engine.cli.parameters import Json

__all__ = ["align", "export", "import_file"]


def export(
    model: Annotated[Path, Parameter(name="MODEL", help="The model file, or a file of vectors in one of the formats.")],
    output: Annotated[
        Path, Parameter(name="FILE", help="The file to write; the words of `tsv` go to another beside it, FILE-metadata.")
    ],
    /,
    *,
    format: Annotated[
        str | None,
        Parameter(
            help="word2vec, word2vec-bin, glove, fasttext-vec, npz, safetensors, or tsv for TensorFlow's projector; "
            "by the suffix of FILE, or word2vec, unless given."
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16", "int8"],
        Parameter(help="Of npz and safetensors; float16 and int8 say how much the directions changed."),
    ] = "float32",
    vectors: Annotated[
        Literal["w", "c", "w+c", "concat"] | None,
        Parameter(help="Word or context vectors, their sum or both side by side, instead of what queries use."),
    ] = None,
    restrict: Annotated[int | None, Parameter(help="Write only so many of the most frequent words.")] = None,
    force: Annotated[bool, Parameter(help="Replace a file that exists.")] = False,
    json: Json = False,
) -> None:
    """Write the vectors of a model for other programs."""
    from cooc_engine.formats.vectors import export_vectors

    done = export_vectors(model, output, format, dtype=dtype, vectors=vectors, restrict=restrict, force=force)
    if json:
        print_json(done.record())
        return
    files = " and ".join(map(str, done.files))
    errors = (
        f", cosine error: mean {done.mean_error:.2e}, largest {done.largest_error:.2e}" if done.mean_error is not None else ""
    )
    print_lines([f"{files}: {done.words:,} vectors of size {done.vector_size}{errors}"])


def import_file(
    source: Annotated[Path, Parameter(name="FILE", help="The file of vectors.")],
    output: Annotated[Path, Parameter(name="MODEL.h5", help="The model file to write, HDF5.")],
    /,
    *,
    format: Annotated[
        str | None,
        Parameter(help="word2vec, word2vec-bin, glove, fasttext-vec, npz, safetensors or tsv; recognised unless given."),
    ] = None,
    errors: Annotated[
        Literal["strict", "skip"],
        Parameter(help="What is done with broken lines and words that stand twice: an error, or left out and counted."),
    ] = "strict",
    vocab: Annotated[
        Path | None,
        Parameter(help="A file of lines of a word and its count, since most formats do not say how often words occur."),
    ] = None,
    force: Annotated[bool, Parameter(help="Replace a file that exists.")] = False,
    json: Json = False,
) -> None:
    """Make a model of a file of vectors of another program, plain or compressed."""
    from cooc_engine.formats.vectors import import_vectors

    model, tally = import_vectors(source, output, format, errors=errors, vocab=vocab, force=force)
    size, width = model.array("words").shape
    if json:
        record = {"output": str(output), "format": model.config["import"]["format"], "words": size, "vector_size": width}
        print_json({**record, "left_out": tally})
        return
    left_out = ", ".join(f"{kind} {number:,}" for kind, number in sorted(tally.items()))
    print_lines([f"{output}: {size:,} vectors of size {width}" + (f"; left out: {left_out}" if left_out else "")])


def align(
    model: Annotated[Path, Parameter(name="MODEL", help="The model file, or a file of vectors, whose vectors are turned.")],
    reference: Annotated[
        Path,
        Parameter(
            name="REFERENCE", help="The model file, or a file of vectors, that stays; its vectors are as long, or longer."
        ),
    ],
    output: Annotated[Path, Parameter(name="OUT.h5", help="The model file to write, HDF5.")],
    /,
    *,
    force: Annotated[bool, Parameter(help="Replace a file that exists.")] = False,
    json: Json = False,
) -> None:
    """Turn the vectors of a model to where those of a reference lie, by the words that both have (orthogonal Procrustes)."""
    from cooc_engine.vectors.alignment import align

    done = align(model, reference, output, force=force)
    if json:
        print_json(done.record())
        return
    before = "" if done.before is None else f" (before: {done.before:.4f})"
    print_lines([f"{output}: aligned by {done.words:,} words, whose mean cosine is {done.after:.4f}{before}"])
