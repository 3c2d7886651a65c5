"""The stages before a model, run when their result is not there yet: what `train` on text and batch jobs share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, text_names
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import directory as cooc_module
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import UsageError
from cooc_engine.runtime.keywords import Run, RunKeywords
from cooc_engine.storage.outputs import beside, is_directory_of, refuse_overwrite

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["append", "check_same", "counted", "encoded", "prepared"]

PathLike = str | os.PathLike[str]


def encoded(texts: Sequence[PathLike], at: Path, options: EncodeOptions, **run: Unpack[RunKeywords]) -> Corpus:
    """Return the corpus at `at` if it was made of these texts with these options; otherwise make, or finish, it there."""
    run["resume"] = not run.get("force", False)
    if at.exists() and run["resume"]:
        corpus = Corpus(at)
        found = {"options": corpus.options.record(), "texts": corpus.manifest["texts"]}
        check_same(at, found, {"options": options.record(), "texts": text_names(texts)})
        return corpus
    return encode(texts, at, options, **run)


def counted(corpus: Corpus, at: Path, options: CountOptions, **run: Unpack[RunKeywords]) -> Cooc:
    """Return the counts at `at` if they are of this corpus with these options; otherwise make, or finish, them there."""
    run["resume"] = not run.get("force", False)
    if at.exists() and run["resume"]:
        cooc = Cooc(at)
        found = {"options": cooc.options.record(), "corpus": cooc.manifest["corpus"]["digest"]}
        check_same(at, found, {"options": options.record(), "corpus": corpus.digest})
        return cooc
    return count(corpus, at, options, **run)


def check_same(at: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise `UsageError` naming what differs between the record of a finished stage and what is wanted."""
    for what, value in wanted.items():
        if found[what] != value:
            changed = [k for k in value if value[k] != found[what].get(k)] if isinstance(value, dict) else [what]
            raise UsageError(f"{at}: was made with other {', '.join(changed)}; pass --force to make it anew")


@contextmanager
def prepared(
    source: PathLike | Sequence[PathLike] | Cooc | Corpus,
    output: Path,
    encode_options: EncodeOptions | None = None,
    count_options: CountOptions | None = None,
    *,
    counting: type[CountOptions] | None = CountOptions,
    **run: Unpack[RunKeywords],
) -> Iterator[Any]:
    """Yield the counts, or the corpus, that `source` is or leads to: a co-occurrence directory, an encoded corpus, or texts.

    Without `count_options` a text is counted by the defaults of `counting`; None stands for a model that takes
    the corpus. What is missing is made in `OUTPUT.work`, which is removed when the block is left without an error.
    """
    work, force, resume = beside(output, ".work"), run.pop("force", False), run.pop("resume", False)
    if isinstance(source, str | os.PathLike) and is_directory_of(Path(source), cooc_module.KIND):
        source = Cooc(source)
    elif isinstance(source, str | os.PathLike) and Path(source).is_dir():
        source = Corpus(source)
    if isinstance(source, Cooc) and (encode_options or count_options):
        raise UsageError(f"{source.path} is counted already; options of encoding and counting have no effect on it")
    if isinstance(source, Corpus) and encode_options:
        raise UsageError(f"{source.path} is encoded already; options of encoding have no effect on it")
    if isinstance(source, Cooc):
        if counting is None:
            raise UsageError(f"{source.path}: holds counts; this model reads the text itself: pass an encoded corpus or a text")
        yield source
        return
    if isinstance(source, Corpus) and counting is None:
        yield source
        return
    refuse_overwrite(output, work, force=force, resume=resume)
    if force:
        shutil.rmtree(work, ignore_errors=True)
    kept = work.exists()
    work.mkdir(exist_ok=True)
    try:
        if not isinstance(source, Corpus):
            texts = [source] if isinstance(source, str | os.PathLike) else source
            source = encoded(texts, work / "corpus", encode_options or EncodeOptions(), **run)
        yield source if counting is None else counted(source, work / "cooc", count_options or counting(), **run)
    except Exception as error:
        if not any(work.iterdir()) or not (kept or _resumable(error)):
            shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work)


def append(cooc: PathLike | Cooc, texts: PathLike | Sequence[PathLike], output: PathLike, **run: Unpack[RunKeywords]) -> Cooc:
    """Count new texts on the vocabulary and by the options of `cooc`, and write the sum of both to `output`.

    `run` takes threads, memory, force, resume and progress. Words that are not in the vocabulary stay outside it.
    """
    Run.of("append", run)
    base = Cooc.of(cooc)
    recorded = base.manifest["corpus"]["options"]
    encoding = EncodeOptions(**{**recorded, "vocabulary": str(base.path)})
    with prepared(texts, Path(output), encoding, base.options, **run) as new:
        return merge([base, new], output, **run)


def _resumable(error: Exception) -> bool:
    return getattr(error, "exit_code", 0) in (3, 4, 130)
