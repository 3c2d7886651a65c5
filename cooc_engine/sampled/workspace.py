"""The memory that training a sampled model takes, and its plan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooc_engine._kernels import sgd
from cooc_engine._kernels.sgd import Scratch, StepLog
from cooc_engine._kernels.simd import COLUMNS, LANES
from cooc_engine.runtime.budget import Disk, Plan
from cooc_engine.sampled.model import Design, SampledModel
from cooc_engine.storage.scratch import aligned_zeros, padded

__all__ = ["Workspace", "memory_plan"]


@dataclass(frozen=True)
class Workspace:
    """The sizes of a model's working memory for examples and steps, with rows of `width` floats."""

    model: SampledModel
    width: int

    @property
    def most_inputs(self) -> int:
        """The largest number of input rows of an example."""
        rule, starts = self.model.rule, self.model.tables.row_starts
        words = {sgd.CONTEXTS: 2 * rule.window, sgd.CENTRE: 1, sgd.DOCUMENT: 0}[rule.inputs]
        return words * (int(np.diff(starts).max()) if len(starts) else 1) + 1

    @property
    def most_targets(self) -> int:
        """The largest number of targets of an example."""
        rule = self.model.rule
        return 2 * rule.window if rule.inputs == sgd.CENTRE else 1

    @property
    def most_outputs(self) -> int:
        """The largest number of output rows of an example, rounded up to whole panels."""
        targets, rule = self.most_targets, self.model.rule
        if rule.output == sgd.PATH:
            most = targets * max(1, int(np.diff(self.model.tables.path_starts).max()))
        else:
            most = targets * (1 + rule.negative)
        return -(-most // COLUMNS) * COLUMNS

    def shapes(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of every array in the scratch of one thread."""
        inputs, outputs, hidden = self.most_inputs, self.most_outputs, 1 if self.model.rule.mean else self.most_inputs
        panels = outputs // COLUMNS
        return {
            "words": (np.int32, (sgd.PIECE + 2 * self.model.rule.window,)),
            "random": (np.uint64, (8,)),
            "sizes": (np.int64, (2, 3)),
            "inputs": (np.int32, (2, inputs)),
            "outputs": (np.int32, (2, outputs)),
            "targets": (np.int32, (2, self.most_targets)),
            "labels": (np.float32, (2 * panels, LANES)),
            "weights": (np.float32, (2 * panels, LANES)),
            "first": (np.int32, (1,)),
            "hidden": (np.float32, (1, self.width)),
            "scores": (np.float32, (panels * hidden, LANES)),
            "input_steps": (np.float32, (hidden, self.width)),
            "output_steps": (np.float32, (outputs, self.width)),
            "zeros": (np.float32, (1, self.width)),
        }

    def scratch(self) -> Scratch:
        """Allocate the scratch of one thread."""
        shapes = self.shapes().items()
        return Scratch(**{n: aligned_zeros(*s) if kind is np.float32 else np.zeros(s, kind) for n, (kind, s) in shapes})

    @property
    def logged(self) -> tuple[int, int, int]:
        """Parts, and the largest numbers of rows and of steps that are recorded for each: none where threads race."""
        model = self.model
        if model.listed:
            return model.batch, model.part * (2 + self.most_inputs + self.most_targets), 0
        if not model.deterministic:
            return 0, 0, 0
        turns = self.most_inputs if model.rule.own and not model.rule.mean else 1
        rows = model.part * (self.most_inputs + turns * self.most_outputs)
        return model.batch, rows, rows

    def step_log(self) -> StepLog:
        """Allocate the log of a batch's steps."""
        parts, rows, steps = self.logged
        taken = (parts if steps else 0, steps, self.width)
        return StepLog(np.empty((parts, rows), np.int32), np.empty(taken, np.float32), np.zeros(parts, np.int64))

    def uses_shape(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Return the shape of the counters of the recorded steps of each row."""
        return 2, max(inputs, outputs) if self.model.batch > 1 else 0

    def untrained_loss(self, outputs: int) -> float:
        """Return the largest loss of an example if all vectors are 0: log 2 for each output, or log V."""
        return math.log(outputs) if self.model.listed else math.log(2) * self.most_outputs

    def memory(self, inputs: int, outputs: int, threads: int) -> int:
        """Return the bytes of all threads' scratch and of the step log, for matrices with these numbers of rows."""
        parts, rows, taken = self.logged
        steps = 4 * parts * (rows + taken * self.width) + self.uses_shape(inputs, outputs)[1] * 8
        # The matrices of a full softmax: scores with what is computed from them, and the step of all outputs.
        listed: int = 4 * outputs * (4 * self.model.part * self.most_inputs + self.width) if self.model.listed else 0
        scratch: int = sum(math.prod(shape) * np.dtype(kind).itemsize + 64 for kind, shape in self.shapes().values())
        return steps + listed + threads * scratch


@dataclass(frozen=True)
class Means:
    """What a training plan depends on: family, vector size, threads, budget, bytes of an older model, output directory."""

    family: str
    d: int
    threads: int
    budget: int
    older: int
    directory: Path


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
    sizes = {name: 4 * width * count for name, count in rows.items()}
    held = sum(size for name, size in sizes.items() if name not in mapped)
    memory = {
        "vectors": held,
        "tables of words": sum(table.nbytes for table in design.model.tables) + 48 * outputs,  # and what they are made with
        "steps": Workspace(design.model, width).memory(rows["inputs"], outputs, means.threads),
        "older model": means.older,
    }
    memory = {name: size for name, size in memory.items() if size or name != "older model"}
    return Plan(f"train {means.family}", means.budget, memory, disk=_disk(means, sizes, mapped) if mapped else None)


def _disk(means: Means, sizes: Mapping[str, int], mapped: list[str]) -> Disk:
    """Return the disk usage of mapped matrices, a checkpoint of both matrices, and the model."""
    whole = sum(sizes.values())
    output, temporary = whole * means.d // padded(means.d), whole + sum(sizes[name] for name in mapped)
    return Disk(means.directory.resolve(), output, temporary, output + temporary)
