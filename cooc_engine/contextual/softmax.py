"""The softmax over words that both directions share, over all words or a sample, and its gradient.

A step draws S words with repeats, which are made distinct: word w is in the sample U with the chance π_w = 1 − (1 − q_w)^S.
With z_w = h·W_w + b_w − log π_w, the loss of a target t is −z_t + log(exp z_t + Σ exp z_w), the sum over U without t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cooc_engine._kernels import bilm
from cooc_engine.contextual.shape import SOFTMAX, SOFTMAX_BIAS, Parameters
from cooc_engine.runtime.types import Counts, Floats, Matrix, Rows
from cooc_engine.sampled.sampler import alias_table, chances

__all__ = ["Head", "Noise", "Sample", "SoftmaxGradient", "losses", "losses_and_gradient"]

TINY = 2.0**-64  # for chances that the 32 bits of the table round to 0
LOGITS = 1 << 22  # logits that are computed at a time where no gradient is wanted


class Head(NamedTuple):
    """The rows of the softmax, (S, P), and their bias, (S,)."""

    rows: Matrix
    bias: Matrix

    @classmethod
    def of(cls, parameters: Parameters) -> Head:
        """Return the softmax among the parameters of a network."""
        return cls(parameters[SOFTMAX], parameters[SOFTMAX_BIAS])


class Sample(NamedTuple):
    """Distinct words, ascending, with log π of all words."""

    words: Rows
    log_chances: Matrix


@dataclass(frozen=True)
class Noise:
    """The noise: an alias table, the number of draws in a step, and log π of each word. All words, if there is no table."""

    table: npt.NDArray[np.uint64] | None
    number: int
    log_chances: Matrix

    @classmethod
    def of(cls, counts: Counts, power: float, number: int) -> Noise:
        """Return noise in proportion to count^power, for counts above 0; a `number` of 0 stands for the full softmax."""
        if number == 0:
            return cls(None, 0, np.zeros(len(counts), np.float32))
        table = alias_table(counts, power)
        shares = np.clip(chances(table), TINY, 1 - 2.0**-53)
        included = -np.expm1(number * np.log1p(-shares))
        return cls(table, number, np.log(included).astype(np.float32))

    def draw(self, seed: int, epoch: int, step: int) -> Sample:
        """Return the sample of a step, the same for both directions."""
        if self.table is None:
            return Sample(np.arange(len(self.log_chances)), self.log_chances)
        drawn = np.empty(self.number, np.int64)
        bilm.draw_noise(self.table, np.uint64(seed % 2**64), epoch, step, drawn)
        return Sample(np.unique(drawn), self.log_chances)


class SoftmaxGradient(NamedTuple):
    """The sum of the losses of n targets, and its gradient.

    hidden (n, P); rows and bias of the sampled words, (U, P) and (U,); and of the targets, (n, P) and (n,)
    """

    loss: float
    hidden: Matrix
    rows: Matrix
    bias: Matrix
    target_rows: Matrix
    target_bias: Matrix


def losses_and_gradient(
    hidden: Matrix, targets: Rows, head: Head, sample: Sample, drawn: Head, logits: Matrix
) -> SoftmaxGradient:
    """Return the sum of the losses of hidden rows (n, P) and the gradient; `drawn` is the head of the sampled words.

    `logits` is flat scratch for at least n U numbers.
    """
    of_targets = head.rows[targets]
    shares = logits[: len(hidden) * len(sample.words)].reshape(len(hidden), -1)
    found, own, scales = _losses_and_shares(hidden, targets, of_targets, head, sample, drawn, shares)
    scaled = hidden * scales[:, None]
    of_hidden = (shares @ drawn.rows) * scales[:, None] + own[:, None] * of_targets
    return SoftmaxGradient(float(found.sum()), of_hidden, shares.T @ scaled, scales @ shares, own[:, None] * hidden, own)


def _losses_and_shares(
    hidden: Matrix, targets: Rows, of_targets: Matrix, head: Head, sample: Sample, drawn: Head, shares: Matrix
) -> tuple[Floats, Matrix, Matrix]:
    """Return for each row the loss, the target's share less 1, and the factor of the row of `shares`, which are written."""
    offsets = drawn.bias - sample.log_chances[sample.words]
    own = np.einsum("ij,ij->i", hidden, of_targets) + head.bias[targets] - sample.log_chances[targets]
    np.matmul(hidden, drawn.rows.T, out=shares)
    largest = np.maximum(own, shares.max(1) + offsets.max())
    places = np.minimum(np.searchsorted(sample.words, targets), len(sample.words) - 1)
    hits = np.where(sample.words[places] == targets, places, -1)
    found, scales = np.empty(len(hidden)), np.empty(len(hidden), np.float32)
    bilm.soften(shares, offsets, hits, largest, own, scales, found)
    return found, own, scales


def losses(hidden: Matrix, targets: Rows, head: Head) -> Floats:
    """Return the loss of each row with the softmax over all words, float64 (n,)."""
    sample = Sample(np.arange(len(head.rows)), np.zeros(len(head.rows), np.float32))
    found, most = np.empty(len(hidden)), max(1, LOGITS // len(head.rows))
    scratch = np.empty((min(most, len(hidden)), len(head.rows)), np.float32)
    for first in range(0, len(hidden), most):
        part = slice(first, first + most)
        chosen = hidden[part], targets[part], head.rows[targets[part]]
        found[part] = _losses_and_shares(*chosen, head, sample, head, scratch[: len(chosen[0])])[0]
    return found
