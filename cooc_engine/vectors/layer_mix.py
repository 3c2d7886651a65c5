"""Mixing all layers of a word, γ Σ_j softmax(s)_j h_j, with γ and s given or learned for a task (Peters et al. 2018, eq. 1).

They are learned together with a softmax regression on the mix, by L-BFGS on the mean cross entropy plus λ Σ_j s_j² and a small
decay of the regression to 0 and of γ to 1, without which one could grow as the other shrinks. With λ = 1 the mix is nearly the
mean of the layers; with λ = 0.001 it is hardly constrained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from threadpoolctl import threadpool_limits

from cooc_engine.errors import InputError, UsageError
from cooc_engine.runtime.arguments import gated, numbers
from cooc_engine.runtime.options import AtLeast, Below, checked, refusal
from cooc_engine.runtime.paths import path_of, several
from cooc_engine.runtime.types import Floats, Matrix, PathLike, Rows
from cooc_engine.storage.outputs import write_files
from cooc_engine.storage.schema import read_json
from cooc_engine.text.bounded import whole

__all__ = ["PENALTY", "FittedMix", "LayerMix", "fit_mix"]

PENALTY = 1e-3  # λ
DECAY = 1e-4
MOST_STEPS = 300
LONGEST = 1 << 16  # bytes of a file
LARGEST = 1e6  # absolute value of γ and scores in a file; with larger ones vectors could overflow
Layers = npt.NDArray[Any]


class _Mix(TypedDict):
    """The file of a mix."""

    gamma: float
    scores: list[float]


@dataclass(frozen=True)
class LayerMix:
    """The scale γ, and the score s_j of each layer; in the plain mean all scores are equal.

    >>> LayerMix(gamma=1.0, scores=(0.0, 0.0)).weights.tolist()
    [0.5, 0.5]
    """

    gamma: float
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise `UsageError` unless all are finite numbers, of one layer or more."""
        given: Any = self.scores
        scores: list[Any] = several(given)
        if not scores:
            raise refusal("scores", self.scores, "one number for each layer")
        object.__setattr__(self, "gamma", checked("gamma", self.gamma, float))
        object.__setattr__(self, "scores", tuple(checked("scores", score, float) for score in scores))

    @classmethod
    @gated
    def mean(cls, layers: Annotated[int, AtLeast(1), Below(1000)]) -> LayerMix:
        """Return the mix that is the mean of so many layers."""
        return cls(1.0, (0.0,) * layers)

    @classmethod
    @gated
    def open(cls, path: PathLike) -> LayerMix:
        """Read the file that `save` writes; raises `InputError` if it is anything else."""
        path = path_of(path)
        found = read_json(whole(path, LONGEST), _Mix, f"{path}")
        if not all(abs(number) <= LARGEST for number in (found["gamma"], *found["scores"])):
            raise InputError(f"{path}: has a number beyond ±{LARGEST:,.0f}; gamma and the scores of layers are small")
        return cls(found["gamma"], tuple(found["scores"]))

    @gated
    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Write the mix as JSON, {"gamma": 1.0, "scores": [0.0, 0.0, 0.0]}.

        Raises `UsageError` if the file exists, unless `force`.
        """
        write_files({path_of(path): json.dumps({"gamma": self.gamma, "scores": self.scores}).encode() + b"\n"}, force=force)

    @property
    def weights(self) -> Floats:
        """softmax(s), which add up to 1."""
        weights: Floats = softmax(np.array(self.scores, np.float64))
        return weights

    def mixed(self, layers: Layers) -> Matrix:
        """Return the mix (n, d) of all layers (J, n, d); raises `UsageError` for another number of layers than s has."""
        layers = numbers("layers", layers, 3)
        if len(layers) != len(self.scores):
            raise UsageError(f"the mix has weights for {len(self.scores)} layers, but there are {len(layers)}")
        factors = (self.gamma * self.weights).astype(np.float32)
        total = factors[0] * layers[0]
        for factor, layer in zip(factors[1:], layers[1:], strict=True):
            total += factor * layer
        return np.asarray(total, np.float32)


@dataclass(frozen=True)
class FittedMix:
    """A learned mix, and the softmax regression learned with it: coefficients (d, K) and intercept (K,) of K classes."""

    mix: LayerMix
    classes: tuple[Any, ...]
    coefficients: Matrix
    intercept: Floats

    def predict(self, layers: Layers) -> Rows:
        """Return the number of the likeliest class of each item, (n,), for all layers (J, n, d)."""
        found: Rows = (self.mix.mixed(layers) @ self.coefficients + self.intercept).argmax(1)
        return found


@gated
def fit_mix(
    layers: Layers,
    labels: Sequence[Any],
    *,
    penalty: Annotated[float, AtLeast(0)] = PENALTY,
    decay: Annotated[float, AtLeast(0)] = DECAY,
) -> FittedMix:
    """Learn γ and s, with a softmax regression, for the labels of n items whose layers are (J, n, d), such as tags of words.

    >>> import numpy as np
    >>> layers = np.random.default_rng(1).normal(size=(3, 40, 2))
    >>> fitted = fit_mix(layers, (layers[1, :, 0] > 0).tolist())  # the labels depend on the second layer alone
    >>> int(fitted.mix.weights.argmax())
    1

    The items may be words in their sentences, or means over sentences. With one layer this is the regression on it alone.
    Raises `UsageError` if there are fewer than two labels.
    """
    layers, labels = numbers("layers", layers, 3), several(labels)
    if not np.isfinite(layers).all():
        raise UsageError("layers has infinity or NaN; it must be finite")
    try:
        classes = tuple(sorted(set(labels)))
    except TypeError:
        raise refusal("labels", labels, "a list of values that can be sorted, such as strings") from None
    if layers.shape[1] != len(labels):
        raise UsageError(f"{len(labels)} labels do not fit layers of shape {layers.shape}; expected (layers, items, numbers)")
    if len(classes) < 2:
        raise UsageError(f"there are {len(classes)} different labels; learning a mix takes at least two")
    number = {label: at for at, label in enumerate(classes)}
    task = _Task.of(layers, np.array([number[label] for label in labels]), len(classes), (penalty, decay))
    with threadpool_limits(1, "blas"):  # or the bits would depend on the number of cores
        found = minimize(task.objective, task.start(), jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    return task.fitted(found.x, classes)


class _Parameters(NamedTuple):
    """The learned parameters: W (d, K) for scaled components, b (K,), s (J,) and γ (1,)."""

    W: Floats
    b: Floats
    s: Floats
    gamma: Floats

    def flat(self) -> Floats:
        return np.concatenate([part.reshape(-1) for part in self])


@dataclass(frozen=True)
class _Task:
    """Items and their classes; components are centred in each layer and scaled by one deviation for all, without a copy."""

    layers: Layers
    wanted: Rows
    means: Floats
    scale: Floats
    classes: int
    penalties: tuple[float, float]

    @classmethod
    def of(cls, layers: Layers, wanted: Rows, classes: int, penalties: tuple[float, float]) -> _Task:
        means = layers.mean(1, dtype=np.float64)
        scale = np.sqrt(layers.var(1, dtype=np.float64).mean(0)) + 1e-6
        return cls(layers, wanted, means, scale, classes, penalties)

    def start(self) -> Floats:
        J, _, d = self.layers.shape
        return _Parameters(np.zeros((d, self.classes)), np.zeros(self.classes), np.zeros(J), np.ones(1)).flat()

    def parts(self, flat: Floats) -> _Parameters:
        (J, _, d), K = self.layers.shape, self.classes
        W, b, s, gamma = np.split(flat, np.cumsum([d * K, K, J]))
        return _Parameters(W.reshape(d, K), b, s, gamma)

    def objective(self, flat: Floats) -> tuple[float, Floats]:
        """Return the mean cross entropy with its penalties, and the gradient."""
        p, n, (penalty, decay) = self.parts(flat), len(self.wanted), self.penalties
        a, gamma = softmax(p.s), p.gamma[0]
        W = p.W / self.scale[:, None]
        inner = [self._times(layer, W) - mean @ W for layer, mean in zip(self.layers, self.means, strict=True)]
        logs = log_softmax(gamma * sum(share * part for share, part in zip(a, inner, strict=True)) + p.b, axis=1)
        at = np.arange(n), self.wanted
        loss = -logs[at].mean() + penalty * (p.s @ p.s) + decay * ((p.W**2).sum() + (gamma - 1) ** 2)
        G = np.exp(logs)
        G[at] -= 1
        G /= n
        outer = [self._times(x.T, G) - np.outer(mean, G.sum(0)) for x, mean in zip(self.layers, self.means, strict=True)]
        of_layers = [part / self.scale[:, None] for part in outer]
        along = np.array([(part * p.W).sum() for part in of_layers])
        dW = gamma * sum(share * part for share, part in zip(a, of_layers, strict=True)) + 2 * decay * p.W
        ds = gamma * a * (along - a @ along) + 2 * penalty * p.s
        dgamma = np.array([a @ along + 2 * decay * (gamma - 1)])
        return float(loss), _Parameters(dW, G.sum(0), ds, dgamma).flat()

    def _times(self, left: Layers, right: Floats) -> Floats:
        """Return a product in the precision of the layers, as float64."""
        product: Floats = (left @ right.astype(self.layers.dtype, copy=False)).astype(np.float64)
        return product

    def fitted(self, flat: Floats, classes: tuple[Any, ...]) -> FittedMix:
        p = self.parts(flat)
        W, mix = p.W / self.scale[:, None], LayerMix(float(p.gamma[0]), tuple(p.s.tolist()))
        return FittedMix(mix, classes, W.astype(np.float32), p.b - mix.gamma * (mix.weights @ self.means) @ W)
