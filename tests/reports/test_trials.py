"""The picture of a search's trials."""

from __future__ import annotations

import re

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


def comments(svg: str) -> list[str]:
    """The texts of a picture, each of which is a comment before its outlines."""
    return re.findall(r"<!-- (.*?) -->", svg, re.DOTALL)


def test_each_trial_is_a_line_and_the_best_is_in_colour(tmp_path):
    svg = plot_trials(TRIALS, tmp_path / "trials.svg", "f1").read_text()
    assert svg.count("stroke: #c2571a") == 1
    assert svg.count("stroke: #dbe0e8") == 1, "the worst"
    assert svg.count("stroke: #7d9fc8") == 1, "one half as good"
    assert plot_trials(TRIALS, tmp_path / "trials.png", "f1").read_bytes().startswith(b"\x89PNG")


def test_the_values_of_the_best_and_all_that_are_few_are_marked_unless_they_would_overlap(tmp_path):
    marked = comments(plot_trials(TRIALS, tmp_path / "trials.svg", "f1").read_text())
    assert [marked.count(text) for text in ("1", "0.1", "0.01", "50", "5", "500", "3-6", "none", "0.9")] == [1] * 9
    near = [{"options": {"buckets": 1_000_000 + n}, "score": 0.5 + n / 1000} for n in (0, 1, 100)]
    marked = comments(plot_trials(near, tmp_path / "near.svg", "f1").read_text())
    assert {"1,000,000", "1,000,100"} <= {*marked} and "1,000,001" not in marked


def test_a_single_trial_and_a_long_metric(tmp_path):
    metric = "f1:__label__of_more_than_twenty_characters_$x$"
    marked = comments(plot_trials(TRIALS[:1], tmp_path / "one.svg", metric).read_text())
    assert "1 trial" in marked and "0.7" in marked
    assert {"f1:__label__of_more_", "than_twenty_charact…"} <= {*marked}
