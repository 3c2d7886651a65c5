"""The stages before a training, each run only if its result is missing; `train` on a text and batch jobs share them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import KIND as COUNTS
from cooc_engine.counts.directory import MEMBERS, Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.models.checkpoints import worth
from cooc_engine.pipeline.work_directories import discard_work, work_of, workspace
from cooc_engine.runtime.arguments import gated
from cooc_engine.runtime.keywords import Run, SharedKeywords
from cooc_engine.runtime.paths import path_of, several
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.outputs import disk_errors, is_directory_of, part_path, refuse_overwrite
from cooc_engine.storage.ownership import refuse_foreign
from cooc_engine.text.tokenizers import Splitting

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Source", "append", "corpus_of", "counted", "encoded", "opened", "prepared"]

Source = PathLike | Sequence[PathLike] | Cooc | Corpus
"""A co-occurrence directory, an encoded corpus, or one or more texts."""


def encoded(texts: Sequence[PathLike], at: Path, options: EncodeOptions, **run: Unpack[SharedKeywords]) -> Corpus:
    """Return the corpus at `at` if it was made from these texts with these options; otherwise make or finish it there."""
    run["resume"] = not run.get("force", False)
    return encode(texts, at, options, **run)


def counted(corpus: Corpus, at: Path, options: CountOptions, **run: Unpack[SharedKeywords]) -> Cooc:
    """Return the counts at `at` if they are of this corpus with these options; otherwise make or finish them there."""
    run["resume"] = not run.get("force", False)
    return count(corpus, at, options, **run)


def corpus_of(
    source: Source, at: Path, options: EncodeOptions | None, default: type[EncodeOptions], **run: Unpack[SharedKeywords]
) -> Corpus:
    """Return an encoded corpus as it is; texts are encoded at `at`, without options by those of `default`, as `encoded` does.

    Raises `UsageError` for counts, and for options of a corpus that is encoded already.
    """
    data = opened(source)
    _check_options(data, options, None, None)
    return data if isinstance(data, Corpus) else encoded(data, at, options or default(), **run)  # type: ignore[arg-type]


@contextmanager
def prepared(
    source: Source,
    output: Path,
    encode_options: EncodeOptions | None = None,
    count_options: CountOptions | None = None,
    *,
    counting: type[CountOptions] | None = CountOptions,
    encoding: type[EncodeOptions] = EncodeOptions,
    **run: Unpack[SharedKeywords],
) -> Iterator[Any]:
    """Yield the counts or the corpus for `source`: a co-occurrence directory, an encoded corpus, or texts.

    Without options a text is encoded and counted with the defaults of `encoding` and `counting`; the latter is None for a model
    that is trained on the corpus itself. What is missing is made in `OUTPUT.work`, which is removed when the block is left
    without an error.
    """
    data = opened(source)
    _check_options(data, encode_options, count_options, counting)
    if isinstance(data, Cooc) or (isinstance(data, Corpus) and counting is None):
        yield data
        return
    force, resume = run.pop("force", False), run.pop("resume", False)
    with _workspace(output, force=force, resume=resume) as work:
        corpus = data if isinstance(data, Corpus) else encoded(data, work / "corpus", encode_options or encoding(), **run)
        yield corpus if counting is None else counted(corpus, work / "cooc", count_options or counting(), **run)


def opened(source: Source) -> Cooc | Corpus | Sequence[PathLike]:
    """Return the counts or the corpus that `source` is or names; otherwise the names of texts that it holds."""
    if not isinstance(source, str | os.PathLike):
        texts: list[PathLike] = several(source)
        if not all(isinstance(text, str | os.PathLike) for text in texts):
            raise UsageError("the source has documents, not names of files; encode them with encode_documents() first")
        return texts
    path = path_of(source)
    if is_directory_of(path, COUNTS):
        return Cooc(path)
    return Corpus(path) if path.is_dir() else [source]


def _check_options(
    data: Cooc | Corpus | Sequence[PathLike],
    encoding: EncodeOptions | None,
    count: CountOptions | None,
    counting: type[CountOptions] | None,
) -> None:
    """Raise `UsageError` for counts that the model cannot use, and for options of a stage that is not run."""
    if isinstance(data, Cooc) and (encoding or count):
        raise UsageError(f"{data.path} is already counted; options of encoding and counting have no effect on it")
    if isinstance(data, Corpus) and encoding:
        raise UsageError(f"{data.path} is already encoded; options of encoding have no effect on it")
    if counting is None and isinstance(data, Cooc):
        raise UsageError(f"{data.path}: holds counts; this model reads the text itself: pass an encoded corpus or a text")
    if counting is None and count:
        raise UsageError("this model reads the text itself; options of counting have no effect on it")


@contextmanager
def _workspace(output: Path, *, force: bool, resume: bool) -> Iterator[Path]:
    """Have `OUTPUT.work`, and remove it at the end unless an error leaves something to resume in it."""
    work = work_of(output)
    if resume and not force and output.exists():  # an earlier run was killed after it had finished the output
        discard_work(output)
    refuse_overwrite(output, work, force=force, resume=resume, worth=worth)
    kept = work.exists() and not force
    with workspace(output, anew=force, keeps=lambda error: kept or _resumable(error)), disk_errors(output, resumes=True):
        yield work


def _resumable(error: BaseException) -> bool:
    return not isinstance(error, Exception) or getattr(error, "exit_code", 0) in (3, 4, 130)


@gated
def append(
    cooc: PathLike | Cooc,
    texts: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    trust_tokenizer: bool = False,
    **run: Unpack[SharedKeywords],
) -> Cooc:
    """Count new texts with the vocabulary and options of `cooc`, and write the sum of both to the directory `output`.

    >>> more = append(cooc, "text.txt", "more", threads=1)
    >>> more["river", "water"] == 2 * cooc["river", "water"]
    True

    Words outside the vocabulary are not added to it. If `cooc` names a Python function as tokenizer, that is code from a file,
    and `UsageError` is raised unless `trust_tokenizer`. `run` takes threads, memory, force, resume, progress, processes and
    cluster. Raises what `encode`, `count` and `merge` raise.
    """
    Run.of("append", run, SharedKeywords)
    base, output = Cooc.of(cooc), path_of(output)
    for directory in (output, part_path(output)):  # which the sum would be refused for, when all is counted
        refuse_foreign(directory, COUNTS, MEMBERS)
    base.refuse_rectangular("a text cannot be appended to it")
    Splitting(base.manifest["corpus"]["options"], base.path, trust_tokenizer).check()
    encoding = replace(base.encoding, vocabulary=str(base.path))
    with prepared(texts, output, encoding, base.options, **run) as new:
        return merge([base, new], output, **run)
