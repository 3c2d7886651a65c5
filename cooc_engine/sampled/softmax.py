"""The full softmax over a batch of examples, as matrix products: exact, for small vocabularies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import rules
from cooc_engine._kernels.rules import Rule
from cooc_engine._kernels.step import StepLog
from cooc_engine.runtime.types import Matrix

__all__ = ["Examples", "softmax_step", "take_listed"]


class Examples:
    """Hidden rows and the words that they predict.

    inputs   (n,) input rows
    hidden   (n,) the number of the hidden row to which each input belongs
    sizes    (m,) the number of inputs of each hidden row, which is their mean
    of       (t,) the number of the hidden row of each example
    targets  (t,) the word that each example predicts
    """

    def __init__(self, listed: npt.NDArray[np.int32], *, mean: bool) -> None:
        found: dict[str, list[int]] = {name: [] for name in ("inputs", "hidden", "of", "targets")}
        sizes, place, numbers = list[int](), 0, listed.tolist()
        while place < len(numbers):
            n, count = numbers[place : place + 2]
            rows, words = numbers[place + 2 : place + 2 + n], numbers[place + 2 + n : place + 2 + n + count]
            for group in [rows] if mean else [[row] for row in rows]:
                found["inputs"] += group
                found["hidden"] += [len(sizes)] * len(group)
                found["of"] += [len(sizes)] * count
                found["targets"] += words
                sizes.append(len(group))
            place += 2 + n + count
        self.sizes = np.array(sizes, np.int64)
        self.inputs, self.hidden, self.of, self.targets = (np.array(values, np.int64) for values in found.values())


@np.errstate(over="ignore", invalid="ignore")  # the caller checks the loss
def softmax_step(
    examples: Examples, inputs: Matrix, outputs: Matrix, lr: float, *, spread: bool, first: int = 0, still: bool = False
) -> float:
    """Take one gradient step for all examples, computed from the current rows; return Σ −log p(target | hidden).

    p = exp(u_t·h) / Σ_j exp(u_j·h); ∂E/∂u_j = Σ e_j h and ∂E/∂h = Σ_j e_j u_j with the errors e = p − t (Rong 2014, eq.
    8–12). With `spread` each input receives its share of ∂E/∂h, otherwise all of it. Input rows below `first` do not change,
    nor, with `still`, do output rows.
    """
    if not len(examples.of):
        return 0.0
    sizes = examples.sizes[:, None].astype(np.float32)
    hidden = np.zeros((len(sizes), inputs.shape[1]), np.float32)
    np.add.at(hidden, examples.hidden, inputs[examples.inputs])
    hidden /= sizes
    scores = hidden @ outputs.T
    scores -= scores.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(scores).sum(axis=1, dtype=np.float64))
    loss = float((log_sums[examples.of] - scores[examples.of, examples.targets]).sum())
    counts = np.bincount(examples.of, minlength=len(sizes))[:, None]
    errors = np.exp(scores - log_sums[:, None].astype(np.float32)) * counts.astype(np.float32)
    np.subtract.at(errors, (examples.of, examples.targets), np.float32(1))
    steps = errors @ outputs
    errors *= np.float32(lr)
    if not still:
        outputs -= errors.T @ hidden
    if spread:
        steps /= sizes
    moved = examples.inputs >= first
    np.subtract.at(inputs, examples.inputs[moved], np.float32(lr) * steps[examples.hidden[moved]])
    return loss


def take_listed(rule: Rule, log: StepLog, inputs: Matrix, outputs: Matrix, lr: float) -> float:
    """Take the step of the examples that a kernel has listed in `log`, which has one part; return their loss."""
    examples = Examples(log.rows[0, : log.used[0]], mean=bool(rule.mean))
    first, still = rule.document if rule.frozen & rules.WORD_ROWS else 0, bool(rule.frozen & rules.OUTPUT_ROWS)
    return softmax_step(examples, inputs, outputs, lr, spread=bool(rule.spread), first=first, still=still)
