"""The stages of a job as files: which are finished, which a run would make or make anew, and their sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import check_corpus, plan_encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.text_input import TextInput
from cooc_engine.counts.count import check_counts, plan_count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import CoocError, UsageError
from cooc_engine.models.checkpoints import checkpoint_path, worth
from cooc_engine.models.families import Family
from cooc_engine.pipeline.job_tables import in_table
from cooc_engine.pipeline.training import check_model
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.options import Options
from cooc_engine.runtime.paths import several
from cooc_engine.runtime.types import PathLike
from cooc_engine.storage.outputs import part_path
from cooc_engine.storage.sizes import shown_size, size_of

__all__ = [
    "JUDGING", "Forced", "JobStage", "StagePlan", "count_stage", "encode_stage", "forced", "plan_of", "refuse_changed",
    "train_stage",
]  # fmt: skip

JUDGING = ("eval", "cluster", "classify", "probe")  # tables that evaluate the models, and whose results are small files
Foreseen = tuple[int | None, int | None]  # bytes of an output, and of disk at the peak
UNKNOWN: Foreseen = (None, None)


class Forced(NamedTuple):
    """The outputs of stages, and the tables that evaluate models, whose results are to be made anew."""

    outputs: set[Path]
    judging: set[str]


@dataclass(frozen=True)
class JobStage:
    """A stage of a job.

    names    the names by which it can be forced: of its table, of its file, and of the file that its table names in a grid
    at       its output
    needs    the output of the stage before it, if any
    left     the file or directory that an interrupted run leaves
    check    raises `UsageError` if the finished output is not the one that the job describes
    foresee  predicts the sizes of an output that does not exist; takes the keywords of a plan
    worth    describes an output, in messages about what would be lost with it
    """

    names: tuple[str, ...]
    at: Path
    needs: Path | None
    left: Path
    check: Callable[[], object]
    foresee: Callable[..., Foreseen]
    worth: Callable[[Path], str] = shown_size

    def changed(self) -> CoocError | None:
        """Return the error that the finished output raises, or None if it is right, or not there."""
        try:
            if self.at.exists():
                self.check()
        except CoocError as error:
            return error
        return None


@dataclass(frozen=True)
class StagePlan:
    """The state of a stage of a job, and what a run would do about it.

    state         "finished", "interrupted" (a run would continue it), "missing", "changed" (it differs from what the job
                  describes, and a run would refuse to go on), or "forced" (a run would replace it)
    size          bytes of the finished or interrupted output
    output_bytes  predicted size of the output that a run would make, for a model a lower bound; None if unpredictable as yet
    peak_bytes    predicted peak of the disk usage while the output is made; None if unpredictable as yet
    note          what differs in a changed stage, and the flag to pass; what is lost with a forced one
    """

    path: Path
    state: Literal["finished", "interrupted", "missing", "changed", "forced"]
    size: int
    output_bytes: int | None = None
    peak_bytes: int | None = None
    note: str = ""

    def record(self) -> dict[str, Any]:
        """Return the plan as a JSON-serialisable dictionary."""
        return {**asdict(self), "path": str(self.path)}

    def line(self) -> str:
        """Return the plan as one line."""
        bound = "at least" if self.peak_bytes is None else "about"
        sizes = {f"of {bound} {{}}": self.output_bytes, "{} of disk at the peak": self.peak_bytes}
        foreseen = ", ".join(text.format(show_size(size)) for text, size in sizes.items() if size is not None)
        made = f" ({foreseen})" if foreseen else ""
        said = {
            "finished": f"finished, and kept ({show_size(self.size)})",
            "interrupted": f"would be continued, {show_size(self.size)} are there{made}",
            "missing": f"would be made{made}",
            "changed": self.note,
            "forced": f"would be replaced ({self.note}){made}",
        }
        return f"{self.path}: {said[self.state]}"


def encode_stage(texts: Sequence[PathLike], at: Path, options: EncodeOptions) -> JobStage:
    """Return the stage that encodes the texts of a job."""

    @in_table("[encode]", EncodeOptions)
    def foresee(**run: Any) -> Foreseen:
        disk = plan_encode(texts, at, options, **run).disk
        return (disk.output, disk.peak) if disk else UNKNOWN

    @in_table("[encode]", EncodeOptions)
    def check() -> None:
        check_corpus(Corpus(at), options, TextInput.of(texts), force_stage(at))

    return JobStage(("encode", at.name), at, None, part_path(at), check, foresee)


def count_stage(corpus: Path, at: Path, options: CountOptions) -> JobStage:
    """Return a stage that counts a corpus."""

    @in_table("[count]", CountOptions)
    def foresee(**run: Any) -> Foreseen:
        disk = plan_count(corpus, at, options, **run).disk if corpus.exists() else None
        return (disk.output, disk.peak) if disk else UNKNOWN

    @in_table("[count]", CountOptions)
    def check() -> None:
        check_counts(Cooc(at), options, Corpus(corpus) if corpus.exists() else None, force_stage(at))

    return JobStage(("count", at.name), at, corpus, part_path(at), check, foresee)


def train_stage(family: Family, corpus: Path, counts: Path | None, at: Path, output: str, options: Options) -> JobStage:
    """Return a stage that trains a model on a corpus, or on its counts; `output` is the file that its table names."""

    def foresee(**run: Any) -> Foreseen:
        return (_least_bytes(family, options, len(Corpus(corpus).vocabulary)) if corpus.exists() else None), None

    @in_table("[[train]]", family.options)
    def check() -> None:
        made_of = counts or corpus
        data = (Cooc(counts) if counts else Corpus(corpus)) if made_of.exists() else None
        check_model(family, data, at, options, force_stage(at))

    return JobStage(("train", at.name, output), at, counts or corpus, checkpoint_path(at), check, foresee, worth)


def force_stage(at: Path) -> str:
    """Return the flag that makes a run replace the output of a stage."""
    return f"--force-stage={at.name}"


def _least_bytes(family: Family, options: Options, words: int) -> int | None:
    """Return the total size of a model's required arrays whose lengths are known before training, or None if that is 0."""
    lengths: dict[str, int] = {"V": words, "N": words - 1, "d": getattr(options, "vector_size", 0)}
    needed = [axes.split() for name, axes in family.arrays.items() if name not in family.optional and family.rows == "dense"]
    shapes = [[lengths.get(axis, 0) for axis in axes] for axes in needed]
    return 4 * sum(map(math.prod, shapes)) or None


def forced(stages: Sequence[JobStage], names: Sequence[str] | str, everything: bool, judging: Sequence[str]) -> Forced:
    """Return what to make anew: the stages in `names`, given by their file or their table, and all that depends on them.

    `judging` has the tables of the job that evaluate models. Raises `UsageError` for an unknown name.
    """
    known = dict.fromkeys([*(name for stage in stages for name in stage.names), *judging])
    asked = several(names)
    for name in asked:
        if name not in known:
            raise UsageError(f"--force-stage is {name!r}; the stages of this job are {', '.join(known)}")
    found: set[Path] = set()
    for stage in stages:
        if everything or stage.needs in found or {*stage.names} & {*asked}:
            found.add(stage.at)
    models = any(stage.at in found for stage in stages if "train" in stage.names)
    return Forced(found, {table for table in judging if everything or models or table in asked})


def refuse_changed(stages: Sequence[JobStage], forced: Forced) -> None:
    """Raise the error of the first finished stage that differs from what the job describes, with the number of others."""
    changed = [error for stage in stages if stage.at not in forced.outputs and (error := stage.changed())]
    if changed:
        more = f"; {len(changed) - 1} more have changed, and --dry-run names them" if len(changed) > 1 else ""
        raise type(changed[0])(f"{changed[0].text}{more}")


def plan_of(stage: JobStage, forced: Forced, **run: Any) -> StagePlan:
    """Return what a run would do about a stage; `run` has the keywords of a plan."""
    at, anew = stage.at, stage.at in forced.outputs
    if anew and at.exists():
        return StagePlan(at, "forced", size_of(at), *stage.foresee(**run), stage.worth(at))
    if at.exists():
        if changed := stage.changed():
            return StagePlan(at, "changed", size_of(at), note=changed.flags.removeprefix(f"{at}: "))
        return StagePlan(at, "finished", size_of(at))
    left = stage.left.exists()
    state: Literal["interrupted", "missing"] = "interrupted" if left and not anew else "missing"
    return StagePlan(at, state, size_of(stage.left) if left else 0, *stage.foresee(**run))
