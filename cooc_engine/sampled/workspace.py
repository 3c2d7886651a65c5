"""The memory that training a sampled model takes, and its plan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine._kernels import rules, sgd
from cooc_engine._kernels.classify import LineScratch
from cooc_engine._kernels.examples import SIZES, TOPS, Example
from cooc_engine._kernels.lines import Line
from cooc_engine._kernels.margin import MarginScratch
from cooc_engine._kernels.simd import COLUMNS, LANES, TILE
from cooc_engine._kernels.step import Scratch, StepLog
from cooc_engine.runtime.budget import Disk, Plan
from cooc_engine.sampled.model import Design, LineModel, MarginModel, SampledModel
from cooc_engine.storage.scratch import aligned_zeros, padded

__all__ = ["Means", "Workspace", "memory_plan", "workspace_of"]

SELDOM = ("older model", "ids of documents", "published vectors")  # parts of a plan that are left out if they take nothing


@dataclass(frozen=True)
class Workspace:
    """The sizes of a model's working memory for examples and steps; `d` numbers of each row are used."""

    model: SampledModel
    d: int

    @property
    def width(self) -> int:
        """Numbers of an input row, rounded up to whole cache lines."""
        return padded(self.d)

    @property
    def hidden_width(self) -> int:
        """Numbers of a hidden row, and of an output row."""
        return self.width * self.model.segments

    @property
    def most_places(self) -> int:
        """The largest number of places of a group: its centres and the windows around them."""
        return self.model.rule.group + 2 * self.model.rule.window

    @property
    def most_input_places(self) -> int:
        """The largest number of places of a group whose words are inputs, and the document's."""
        rule = self.model.rule
        words = {rules.CONTEXTS: self.most_places, rules.CENTRE: rule.group, rules.DOCUMENT: 0}[rule.inputs]
        return words + (rule.document >= 0)

    @property
    def most_inputs(self) -> int:
        """The largest number of input rows of an example; with segments there is also the padding row."""
        starts = self.model.tables.row_starts
        return self.most_input_places * (int(np.diff(starts).max()) if len(starts) else 1) + (self.model.segments > 1)

    @cached_property
    def most_turns(self) -> int:
        """The largest number of times that a window is trained: with PV-DBOW once for each tag of its document."""
        starts = self.model.tables.row_starts
        return 1 if self.model.tags_together or not len(starts) else int(np.diff(starts).max())

    @property
    def most_hidden(self) -> int:
        """The largest number of hidden rows of an example."""
        return self.model.rule.group if self.model.rule.mean else self.most_input_places

    @property
    def most_targets(self) -> int:
        """The largest number of targets of an example."""
        return self.most_places if self.model.rule.inputs == rules.CENTRE else self.model.rule.group

    @cached_property
    def longest_path(self) -> int:
        """Length of the longest Huffman path."""
        return int(np.diff(self.model.tables.path_starts).max())

    @property
    def most_pairs(self) -> int:
        """The largest number of pairs in a group: of a target and a hidden row from which it is predicted."""
        rule = self.model.rule
        windows = rule.group * (1 if self.is_single else 2 * rule.window)
        return windows * (2 if rule.document >= 0 and not rule.mean else 1)

    @property
    def is_single(self) -> bool:
        """Whether each target is predicted from one hidden row."""
        rule = self.model.rule
        return rule.inputs == rules.DOCUMENT or bool(rule.mean and rule.inputs == rules.CONTEXTS)

    @property
    def most_outputs(self) -> int:
        """The largest number of output rows of an example, rounded up to whole tiles."""
        rule, targets = self.model.rule, self.most_targets
        if rule.output == rules.LIST:
            return 0
        if rule.output == rules.PATH:
            return padded(min(TOPS, targets * self.longest_path), TILE) + targets * padded(self.longest_path, COLUMNS)
        own = 0 if rule.shared else self.most_pairs * rule.negative
        return padded(rule.shared + targets, TILE) + padded(own, TILE)

    @property
    def most_singles(self) -> int:
        """The largest number of single pairs of an example, rounded up to whole vectors."""
        rule = self.model.rule
        if rule.output == rules.PATH:
            return padded(self.most_targets * self.longest_path if self.is_single or rule.document >= 0 else 0)
        own = 0 if rule.shared else self.most_pairs * rule.negative
        return padded(own + (self.most_targets if self.is_single or rule.document >= 0 else 0))

    def example_shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of every list of an example."""
        targets, singles = self.most_targets, self.most_singles
        return {
            "sizes": (np.int64, (SIZES,)),
            "low": (np.int32, (self.model.rule.group,)),
            "high": (np.int32, (self.model.rule.group,)),
            "starts": (np.int32, (self.most_input_places + 1,)),
            "inputs": (np.int32, (self.most_inputs,)),
            "pairs": (np.float32, (targets, padded(self.most_hidden))),
            "outputs": (np.int32, (self.most_outputs,)),
            "labels": (np.float32, (self.most_outputs,)),
            "firsts": (np.int32, (targets + 1,)),
            "tops": (np.int32, (TOPS,)),
            "rows": (np.int32, (singles,)),
            "lanes": (np.int32, (singles,)),
            "positives": (np.float32, (singles,)),
            "weights": (np.float32, (singles,)),
        }

    def shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of every array in the scratch of one thread, without the two examples."""
        lanes, outputs, places = padded(self.most_hidden), self.most_outputs, self.most_input_places
        means = 1 + places if self.model.rule.mean else 0
        nodes = padded(self.longest_path, COLUMNS) // COLUMNS if self.model.rule.output == rules.PATH else 0
        panels = nodes * (self.model.rule.window + 1)
        return {
            "words": (np.int32, (sgd.PIECE + 2 * self.model.rule.window,)),
            "random": (np.uint64, (8,)),
            "places": (np.float32, (means, self.width)),
            "hidden": (np.float32, (lanes, self.hidden_width)),
            "turned": (np.float32, (self.hidden_width, lanes)),
            "outputs": (np.float32, (outputs, self.hidden_width)),
            "positives": (np.float32, (outputs, lanes)),
            "weights": (np.float32, (outputs, lanes)),
            "scores": (np.float32, (outputs, lanes)),
            "blocks": (np.int64, (self.most_targets + 1, 4)),
            "singles": (np.float32, (self.most_singles,)),
            "uses": (np.float32, (1, lanes)),
            "losses": (np.float32, (LANES,)),
            "panel_scores": (np.float32, (panels, LANES)),
            "panel_positives": (np.float32, (panels, LANES)),
            "panel_weights": (np.float32, (panels, LANES)),
            "place_steps": (np.float32, (means, self.width)),
            "hidden_steps": (np.float32, (lanes, self.hidden_width)),
            "output_steps": (np.float32, (outputs, self.hidden_width)),
        }

    def scratch(self) -> Any:
        """Allocate the scratch of one thread."""
        ahead, behind = (Example(**_zeros_of(self.example_shapes())) for _ in range(2))
        made = _zeros_of(self.shapes())
        segments = {"segments": made["hidden"], "segment_steps": made["hidden_steps"]}
        views = {name: rows.reshape(-1, self.width) for name, rows in segments.items()}
        d = self.d if self.model.segments == 1 else self.hidden_width
        return Scratch(d=d, ahead=ahead, behind=behind, **made, **views)

    @property
    def logged(self) -> tuple[int, int, int]:
        """Number of parts, and the largest numbers of rows and of steps recorded for each; all are 0 where threads race."""
        model = self.model
        if model.listed:
            return model.batch, model.part * self.most_turns * (2 + self.most_inputs + self.most_targets), 0
        if not model.deterministic:
            return 0, 0, 0
        alone = Workspace(replace(model, rule=model.rule._replace(group=1)), self.d)  # which has the most rows per word
        rows = model.part * self.most_turns * (alone.most_inputs + alone.most_outputs)
        return model.batch, rows, rows

    def step_log(self) -> StepLog:
        """Allocate the log of a batch's steps."""
        parts, rows, steps = self.logged
        taken = (parts if steps else 0, steps, self.hidden_width)
        return StepLog(np.empty((parts, rows), np.int32), np.empty(taken, np.float32), np.zeros(parts, np.int64))

    def uses_shape(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Return the shape of the counters of the recorded steps of each row."""
        return 2, max(inputs, outputs) if self.model.batch > 1 else 0

    def untrained_loss(self, outputs: int) -> float:
        """Return the largest loss of an example if all vectors are 0: log 2 for each of its output rows, or log V."""
        if self.model.listed:
            return math.log(outputs)
        return math.log(2) * (self.longest_path if self.model.rule.output == rules.PATH else 1 + self.model.rule.negative)

    def memory(self, inputs: int, outputs: int, threads: int) -> int:
        """Return the bytes of all threads' scratch and of the step log, for matrices with these numbers of rows."""
        parts, rows, taken = self.logged
        steps = 4 * parts * (rows + taken * self.hidden_width) + self.uses_shape(inputs, outputs)[1] * 8
        # The matrices of a full softmax: scores with what is computed from them, and the step of all outputs.
        listed: int = 4 * outputs * (4 * self.model.part * self.most_inputs + self.width) if self.model.listed else 0
        arrays = [*self.shapes().values(), *2 * [*self.example_shapes().values()]]
        scratch: int = sum(math.prod(shape) * np.dtype(kind).itemsize + 64 for kind, shape in arrays)
        return steps + listed + threads * scratch


@dataclass(frozen=True)
class MarginWorkspace(Workspace):
    """The working memory of a model on the sphere: the words of a piece of text, and the noise of two windows."""

    model: MarginModel

    def example_shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return nothing: this step builds no examples."""
        return {}

    def shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of every array in the scratch of one thread."""
        rule = self.model.rule
        return {
            "words": (np.int32, (sgd.PIECE + 2 * rule.window,)),
            "random": (np.uint64, (8,)),
            "windows": (np.int64, (2, 2)),
            "noise": (np.int32, (2, (2 * rule.window + 1) * rule.negative)),
            "ring": (np.int32, (rule.shared,)),
        }

    def scratch(self) -> MarginScratch:
        """Allocate the scratch of one thread."""
        return MarginScratch(**_zeros_of(self.shapes()))

    @property
    def logged(self) -> tuple[int, int, int]:
        """No steps are recorded."""
        return 0, 0, 0

    def untrained_loss(self, outputs: int) -> float:
        """Return the loss of vectors at right angles."""
        return self.model.hinge.margin


@dataclass(frozen=True)
class LineWorkspace(Workspace):
    """The working memory of a classifier of lines, which is that of one line."""

    model: LineModel

    def example_shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of every list of a line."""
        longest = self.model.longest + 1
        return {
            "inputs": (np.int32, (self.model.most_inputs,)),
            "labels": (np.int32, (longest,)),
            "hashes": (np.int32, (longest,)),
            "sizes": (np.int64, (2,)),
        }

    def shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of every array in the scratch of one thread, without the line."""
        return {
            "hidden": (np.float32, (self.width,)),
            "step": (np.float32, (self.width,)),
            "scores": (np.float32, (self.model.labels,)),
            "random": (np.uint64, (8,)),
        }

    def scratch(self) -> LineScratch:
        """Allocate the scratch of one thread."""
        return LineScratch(line=Line(**_zeros_of(self.example_shapes())), **_zeros_of(self.shapes()))

    @property
    def logged(self) -> tuple[int, int, int]:
        """No steps are recorded."""
        return 0, 0, 0

    def untrained_loss(self, outputs: int) -> float:
        """Return the largest loss of a line if all vectors are 0: log 2 for each of its output rows, or log L."""
        if self.model.rule.output == rules.ALL:
            return math.log(outputs)
        return math.log(2) * outputs if self.model.rule.output == rules.EACH else super().untrained_loss(outputs)


def workspace_of(model: SampledModel, d: int) -> Workspace:
    """Return the working memory of a model with rows of d floats, which are padded."""
    if isinstance(model, MarginModel):
        return MarginWorkspace(model, d)
    return LineWorkspace(model, d) if isinstance(model, LineModel) else Workspace(model, d)


@dataclass(frozen=True)
class Means:
    """The facts on which the memory plan of a training depends, beside the design.

    d          vector size
    budget     bytes of memory
    older      bytes that an older model takes, from which the training starts
    directory  where the output, and matrices that do not fit into the budget, are written
    ids        bytes that the ids of documents take when the model is written
    """

    family: str
    d: int
    threads: int
    budget: int
    older: int
    directory: Path
    ids: int = 0


def _zeros_of(shapes: dict[str, tuple[Any, tuple[int, ...]]]) -> dict[str, Any]:
    """Allocate arrays of these types and shapes; matrices are aligned to cache lines."""
    return {
        name: aligned_zeros(*shape) if kind is np.float32 and len(shape) == 2 else np.zeros(shape, kind)
        for name, (kind, shape) in shapes.items()
    }


def memory_plan(design: Design, means: Means) -> tuple[Plan, dict[str, Path]]:
    """Return the plan of training, and the directory of the file for each matrix that does not fit into the budget.

    As few matrices as possible are mapped, the larger one first; mapped files do not count towards the memory of the plan.
    """
    rows = {"inputs": sum(design.inputs.values()), "outputs": sum(design.outputs.values())}
    larger, smaller = sorted(rows, key=lambda name: -rows[name])
    choices: list[list[str]] = [[], [larger], [larger, smaller]]
    for mapped in choices:
        plan = _plan(design, means, rows, mapped)
        if plan.least <= means.budget:
            break
    return plan, dict(zip(mapped, itertools.repeat(means.directory)))


def _plan(design: Design, means: Means, rows: Mapping[str, int], mapped: list[str]) -> Plan:
    width, outputs = padded(means.d), rows["outputs"]
    segments = {"inputs": 1, "outputs": design.model.segments}
    sizes = {name: 4 * width * segments[name] * count for name, count in rows.items()}
    held = sum(size for name, size in sizes.items() if name not in mapped)
    memory = {
        "vectors": held,
        "tables of words": design.model.table_bytes + 48 * outputs,  # and what they are made with
        "steps": workspace_of(design.model, means.d).memory(rows["inputs"], outputs, means.threads),
        "older model": means.older,
        "ids of documents": means.ids,
        "published vectors": 4 * means.d * sum(design.finished.values()),
    }
    memory = {name: size for name, size in memory.items() if size or name not in SELDOM}
    return Plan(f"train {means.family}", means.budget, memory, disk=_disk(means, sizes, mapped) if mapped else None)


def _disk(means: Means, sizes: Mapping[str, int], mapped: list[str]) -> Disk:
    """Return the disk usage of mapped matrices, a checkpoint of both matrices, and the model."""
    whole = sum(sizes.values())
    output, temporary = whole * means.d // padded(means.d), whole + sum(sizes[name] for name in mapped)
    return Disk(means.directory.resolve(), output, temporary, output + temporary)
