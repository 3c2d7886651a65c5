"""Trainings of sampled models that are interrupted or killed go on; those that diverge say what helps."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.topics import bits, options_of, stop_after

from cooc_engine.errors import DivergenceError, InterruptedRun, UsageError
from cooc_engine.models import file
from cooc_engine.models.checkpoints import checkpoint_path
from cooc_engine.pipeline.train import train
from cooc_engine.sampled import trainer
from cooc_engine.sampled.network import Network
from cooc_engine.sampled.trainer import State, _check_loss


@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize(("stops", "cut"), [((1,), "corpus"), ((7, 3), "corpus"), ((30,), "corpus"), ((25, 3), "shards")])
def test_an_interrupted_training_ends_in_the_bits_of_the_whole_one(
    request, tmp_path, small_parts, monkeypatch, loss, stops, cut
):
    corpus = request.getfixturevalue(cut)
    options = options_of("skipgram", loss=loss, deterministic=True, epochs=2)
    whole = train("skipgram", corpus, tmp_path / "whole.h5", options)
    output = tmp_path / "m.h5"
    for number, stop in enumerate(stops):
        with monkeypatch.context() as patch:
            stop_after(patch, stop)
            with pytest.raises(InterruptedRun, match="resume=True"):
                train("skipgram", corpus, output, options, resume=number > 0)
    with pytest.raises(UsageError, match="resume=True"):
        train("skipgram", corpus, output, options)
    with pytest.raises(UsageError, match="different lr"):
        train("skipgram", corpus, output, dataclasses.replace(options, lr=0.2), resume=True)
    resumed = train("skipgram", corpus, output, options, resume=True, threads=3)
    assert bits(resumed) == bits(whole)
    assert [h["loss"] for h in resumed.history] == [h["loss"] for h in whole.history]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5", "whole.h5"]


KILLED = """
import os, signal, sys
from cooc_engine.sampled import model
from cooc_engine.models.checkpoints import Checkpoint, checkpoint_path
from cooc_engine.models.sampled_options import CbowOptions
from cooc_engine.pipeline.train import train
model.PART, model.ROUND, model.SMALL_PART, model.BATCH = 100, 4, 40, 3
original, seen = Checkpoint.between, []
def between(saver, *step):
    original(saver, *step)
    seen.append(1)
    if len(seen) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.between = between
options = CbowOptions(vector_size=10, window=3, subsample=0, epochs=2, lr=0.1, deterministic=sys.argv[3] == "1")
train("cbow", sys.argv[1], sys.argv[2], options, checkpoint_every=0)
"""


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_killed_training_goes_on(corpus, tmp_path, small_parts, deterministic):
    output = tmp_path / "m.h5"
    arguments = [corpus.path, output, str(int(deterministic))]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert checkpoint_path(output).exists()
    assert not output.exists()
    options = options_of("cbow", epochs=2, seed=1, deterministic=deterministic)
    resumed = train("cbow", corpus, output, options, resume=True, threads=1)
    assert [h["epoch"] for h in resumed.history] == [1, 2]
    assert all(h["items"] == corpus.tokens for h in resumed.history)
    if deterministic:
        assert bits(resumed) == bits(train("cbow", corpus, tmp_path / "whole.h5", options))


def poison(monkeypatch) -> list[int]:
    """Put NaN into the vectors before the third round; returns a list that grows with the rounds."""
    original, rounds = trainer._Team.train, []

    def poisoned(team, *args):
        rounds.append(1)
        if len(rounds) == 3:
            team.network.inputs[:, 0] = np.nan
        return original(team, *args)

    monkeypatch.setattr(trainer._Team, "train", poisoned)
    return rounds


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_number_that_is_not_finite_stops_at_once(corpus, tmp_path, small_parts, monkeypatch, deterministic):
    rounds = poison(monkeypatch)
    options = options_of("skipgram", deterministic=deterministic)
    with pytest.raises(DivergenceError, match=r"epoch 1; lower lr \(it is 0.1\)"):
        train("skipgram", corpus, tmp_path / "m.h5", options, checkpoint_every=0)
    assert len(rounds) <= 4
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5.checkpoint"]
    arrays, meta = file.load_arrays(tmp_path / "m.h5.checkpoint", "stream")
    assert np.isfinite(arrays["inputs"]).all()
    assert meta["state"]["epoch"] == 0


@pytest.mark.parametrize("lr", [1e30, 1e300])
@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_rate_without_measure_diverges(corpus, tmp_path, loss, deterministic, lr):
    """In one line, without warnings; also where nodes beyond the clamp are skipped, so that all stays finite."""
    options = options_of("skipgram", loss=loss, deterministic=deterministic, lr=lr)
    with pytest.raises(DivergenceError, match=r"lower lr .* and start anew, with force=True if a checkpoint was left"):
        train("skipgram", corpus, tmp_path / "m.h5", options)
    assert not list(tmp_path.iterdir())


def test_a_lower_rate_starts_anew_after_a_divergence(corpus, tmp_path, small_parts, monkeypatch):
    """What the error says is what helps, beside the checkpoint that is kept."""
    output = tmp_path / "m.h5"
    with monkeypatch.context() as patch:
        poison(patch)
        with pytest.raises(DivergenceError, match="start anew, with force=True if a checkpoint was left"):
            train("skipgram", corpus, output, options_of("skipgram"), checkpoint_every=0)
    assert checkpoint_path(output).exists()
    assert train("skipgram", corpus, output, options_of("skipgram", epochs=1, lr=0.05), force=True).history


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"shard": 2}, "does not have 3 shards"), ({"history": [{"epoch": 1, "loss": 1.0}], "epoch": 1}, "number of examples")],
)
def test_a_checkpoint_that_no_training_wrote_is_refused(changes, says):
    state = State(Network.random({"words": 3}, {"contexts": 3}, 4, 1), shards=2)
    with pytest.raises(ValueError, match=says):
        state.load(state.arrays(), {**state.meta(), **changes})


def test_a_loss_of_no_examples_is_divergence():
    """As a forged checkpoint may have it."""
    state = State(Network.random({"words": 3}, {"contexts": 3}, 4, 1), shards=2)
    state.sums[:] = 5, 0, 0
    with pytest.raises(DivergenceError, match="the loss is 5 an example in epoch 1"):
        _check_loss(state, SimpleNamespace(model=SimpleNamespace(lr=0.1), untrained_loss=lambda outputs: 1.0))
