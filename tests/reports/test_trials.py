"""The picture of a search's trials."""

from __future__ import annotations

import pytest

from cooc_engine.reports.trials import _axis, plot_trials

pytest.importorskip("matplotlib")

TRIALS = [
    {"options": {"lr": 0.1, "epochs": 5, "word_ngrams": 2, "subwords": "none"}, "score": 0.7},
    {"options": {"lr": 1.0, "epochs": 50, "word_ngrams": 2, "subwords": "3-6"}, "score": 0.9},
    {"options": {"lr": 0.01, "epochs": 500, "word_ngrams": 2, "subwords": "2-5"}, "score": 0.8},
]


def test_numbers_that_are_far_apart_are_on_a_logarithmic_axis():
    assert _axis("lr", [0.1, 1.0, 0.01]).places == pytest.approx([0.5, 1, 0])
    assert _axis("f1", [0.7, 0.9, 0.75]).places == pytest.approx([0, 1, 0.25])
    assert _axis("subwords", ["none", "3-6", "none"]).places == [0.75, 0.25, 0.75]
    assert _axis("word ngrams", [2, 2]).places == [0.5, 0.5]


def test_each_trial_is_a_line_and_the_best_is_in_colour(tmp_path):
    svg = plot_trials(TRIALS, tmp_path / "trials.svg", "f1").read_text()
    assert svg.count("stroke: #c2571a") == 1
    assert svg.count("stroke: #8a8a8a") == 2
    assert plot_trials(TRIALS, tmp_path / "trials.png", "f1").read_bytes().startswith(b"\x89PNG")
