from __future__ import annotations

import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from cooc_engine.contextual import trainer
from cooc_engine.contextual.characters import Words
from cooc_engine.contextual.file import network_of
from cooc_engine.contextual.shape import Shape
from cooc_engine.contextual.text import softmax_counts
from cooc_engine.contextual.training import memory_plan, train_elmo
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import DivergenceError, InterruptedRun, UsageError
from cooc_engine.models.checkpoints import Checkpoint, checkpoint_path
from cooc_engine.models.elmo_options import ElmoOptions
from cooc_engine.models.file import ModelFile, open_model
from cooc_engine.runtime.progress import Progress

QUICK = ElmoOptions(
    vector_size=6, cells=8, characters=4, filters="1:4,2:5,3:6", negatives=20, batch=4, steps=5, epochs=2, seed=3, dropout=0.1
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("elmo") / "text.txt"
    path.write_text("\n".join(" ".join(f"w{k}" for k in rng.geometric(0.1, 12)) for _ in range(150)))
    return encode(path, path.with_name("corpus"), EncodeOptions(min_count=1))


def arrays(model: ModelFile) -> dict[str, bytes]:
    return {name: model.array(name).tobytes() for name in model.names}


@pytest.mark.parametrize("options", [QUICK, replace(QUICK, optimizer="program", negatives=0)], ids=["adam", "program"])
def test_a_training_that_is_interrupted_goes_on_with_the_same_bits(corpus, tmp_path, monkeypatch, options):
    whole = train_elmo(corpus, tmp_path / "whole.h5", options, threads=2)
    for stop in (1, 97):  # in the first epoch and in the second
        calls, real, output = [], Checkpoint.between, tmp_path / f"{stop}.h5"

        def between(self, step, is_whole, calls=calls, stop=stop, real=real):
            calls.append(step)
            self.interrupted = lambda: len(calls) == stop
            real(self, step, is_whole)

        monkeypatch.setattr(Checkpoint, "between", between)
        with pytest.raises(InterruptedRun, match="resume=True"):
            train_elmo(corpus, output, options, threads=1)
        monkeypatch.undo()
        again = train_elmo(corpus, output, options, resume=True, threads=1)
        assert arrays(again) == arrays(whole)
        unlike = {"seconds"}
        for one, two in zip(again.history, whole.history, strict=True):
            assert {k: v for k, v in one.items() if k not in unlike} == {k: v for k, v in two.items() if k not in unlike}


def test_the_history_tells_the_perplexity_of_held_out_text(tmp_path):
    """Lines of 9 words, any of 16 with equal chances, and then their end: nine choices in ten places."""
    rng = np.random.default_rng(0)
    (tmp_path / "text.txt").write_text("\n".join(" ".join(f"w{k}" for k in rng.integers(0, 16, 9)) for _ in range(4000)))
    corpus = encode(tmp_path / "text.txt", tmp_path / "corpus", EncodeOptions(min_count=1))
    options = replace(QUICK, epochs=1, dropout=0.0, batch=16, lr=0.01)
    (record,) = train_elmo(corpus, tmp_path / "model.h5", options).history
    assert record["forward_perplexity"] == pytest.approx(16**0.9, rel=0.15)
    assert record["backward_perplexity"] == pytest.approx(16**0.9, rel=0.15)
    assert record["held_out_loss"] == pytest.approx(np.log(record["forward_perplexity"] * record["backward_perplexity"]) / 2)
    assert record["held_out_unknown"] == 0
    assert 300 <= record["held_out_places"] <= 500
    assert record["items"] >= 4000 * 10 * 0.98
    (none,) = train_elmo(corpus, tmp_path / "none.h5", replace(options, held_out=0, cells=2)).history
    assert "held_out_loss" not in none


def test_word_order_is_learned_in_both_directions(tmp_path):
    """`x` follows `a b` and `y` follows `b a`: one choice of two in four places, in both directions."""
    rng = np.random.default_rng(1)
    lines = ["a b x" if k else "b a y" for k in rng.integers(0, 2, 4000)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    corpus = encode(tmp_path / "text.txt", tmp_path / "corpus", EncodeOptions(min_count=1))
    options = replace(QUICK, epochs=1, dropout=0.0, batch=8, negatives=0, lr=0.03, softmax_lr=0.1)
    record = train_elmo(corpus, tmp_path / "model.h5", options).history[-1]
    entropy = np.log(2) / 4
    for direction in ("forward", "backward"):
        assert record[f"{direction}_perplexity"] == pytest.approx(np.exp(entropy), rel=0.04)


def test_vectors_of_words_are_those_of_the_network_without_context(corpus, tmp_path):
    model = train_elmo(corpus, tmp_path / "model.h5", QUICK)
    network = network_of(open_model(model.path, verify=True))
    rows = np.arange(3, len(corpus.vocabulary) + 3)
    np.testing.assert_array_equal(model.array("words"), network.word_vectors(Words.marked(corpus.vocabulary), rows))
    assert network.shape.words == len(corpus.vocabulary) + 3
    assert model.trained_with(ElmoOptions) == QUICK


def test_a_learning_rate_that_is_far_too_high_is_an_error(corpus, tmp_path):
    for options in (replace(QUICK, lr=1e30), replace(QUICK, optimizer="program", lr=1e30)):
        with pytest.raises(DivergenceError, match=r"the loss is .* in epoch 1; lower lr \(it is 1e\+30\)"):
            train_elmo(corpus, tmp_path / "model.h5", options)
    assert not (tmp_path / "model.h5").exists()


def test_a_loss_that_is_absurd_is_an_error(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "ABSURD", 1e-3)
    with pytest.raises(DivergenceError, match="a word in epoch 1"):
        train_elmo(corpus, tmp_path / "model.h5", QUICK)


def test_a_budget_that_is_too_small_is_refused_before_any_work(corpus, tmp_path):
    with pytest.raises(UsageError, match=r"too little to train elmo: it takes .*parameters .* steps"):
        train_elmo(corpus, tmp_path / "model.h5", ElmoOptions(), memory="20M")
    assert not list(tmp_path.iterdir())


def test_training_starts_from_another_model(corpus, tmp_path):
    first = train_elmo(corpus, tmp_path / "first.h5", QUICK)
    tiny = replace(QUICK, init=str(first.path), lr=1e-9, softmax_lr=1e-9, epochs=1)
    later = train_elmo(corpus, tmp_path / "later.h5", tiny)
    for name in first.names:
        np.testing.assert_allclose(later.array(name), first.array(name), atol=1e-4)
    (tmp_path / "other.txt").write_text("new words come, w3 and w1 w2\n" * 9)
    other = encode(tmp_path / "other.txt", tmp_path / "other", EncodeOptions(min_count=1))
    moved = train_elmo(other, tmp_path / "moved.h5", tiny)
    ids, row = first.vocabulary.ids, moved.vocabulary.ids["w3"]
    np.testing.assert_allclose(moved.array("softmax")[row + 3], first.array("softmax")[ids["w3"] + 3], atol=1e-4)
    assert np.abs(moved.array("softmax")[moved.vocabulary.ids["new"] + 3]).max() > 0
    with pytest.raises(UsageError, match=r"first.h5: has cells=8, but this training has cells=9"):
        train_elmo(corpus, tmp_path / "no.h5", replace(tiny, cells=9))


def test_words_outside_the_vocabulary_are_told_of(corpus, tmp_path):
    lines: list[str] = []
    progress = Progress()
    progress.say = lines.append
    path = tmp_path / "text.txt"
    path.write_text("often often rare\n" * 2 + "often often once twice\n" * 20)
    cut = encode(path, tmp_path / "corpus", EncodeOptions(min_count=3))
    train_elmo(cut, tmp_path / "model.h5", QUICK, progress=progress)
    assert "warning: 2.33% of the words are not in the vocabulary, and read as <UNK>; encode with --min-count 1" in lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": "1:4,x"}, "filters is '1:4,x'; it must be like 1:32,2:32,3:64,4:128"),
        ({"filters": "51:4"}, "widths must be from 1 to 50"),
        ({"softmax_words": 3}, "softmax_words is 3; it must be above 3"),
        ({"optimizer": "program", "softmax_lr": 0.1}, "softmax_lr goes with optimizer='adam'; otherwise lr is"),
        ({"negatives": 0, "noise_power": 1.0}, "noise_power goes with negatives above 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        ElmoOptions(**options)


def test_dropout_is_for_more_than_one_epoch():
    assert ElmoOptions().left_out == 0
    assert ElmoOptions(epochs=2).left_out == ElmoOptions(optimizer="program").left_out == 0.1
    assert ElmoOptions(epochs=2, dropout=0.0).left_out == 0


KILLED = """
import os, signal, sys
from cooc_engine.contextual.shape import Shape
from cooc_engine.contextual.text import softmax_counts
from cooc_engine.contextual.training import memory_plan, train_elmo
from cooc_engine.models.checkpoints import Checkpoint
from cooc_engine.models.elmo_options import ElmoOptions
corpus, output, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
original, seen = Checkpoint.between, []
def between(saver, *step):
    original(saver, *step)
    seen.append(1)
    if len(seen) == 97:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.between = between
train_elmo(corpus, output, options, checkpoint_every=0, threads=2)
"""


def test_a_training_that_is_killed_goes_on_with_the_same_bits(corpus, tmp_path):
    whole, output = train_elmo(corpus, tmp_path / "whole.h5", QUICK, threads=1), tmp_path / "model.h5"
    done = subprocess.run([sys.executable, "-c", KILLED, corpus.path, output, repr(QUICK)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert checkpoint_path(output).exists()
    assert not output.exists()
    assert arrays(train_elmo(corpus, output, QUICK, resume=True)) == arrays(whole)


def test_a_training_keeps_within_the_memory_that_it_plans(corpus, tmp_path):
    """What NumPy allocates at most, beside the plan, which is made for the worst of texts."""
    options = replace(QUICK, vector_size=64, cells=256, filters="1:64,3:128", batch=32, steps=20, epochs=1)
    shape = Shape.of(options, len(softmax_counts(corpus, options.softmax_words)))
    planned = sum(memory_plan(corpus, shape, options, 1 << 40).memory.values())
    train_elmo(corpus, tmp_path / "first.h5", options)  # what is allocated once is not the training's
    tracemalloc.start()
    try:
        train_elmo(corpus, tmp_path / "model.h5", options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert planned / 4 < peak <= planned
