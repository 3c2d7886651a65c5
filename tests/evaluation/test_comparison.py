"""Intervals against a slow twin and on simulated data; models side by side; the numbers of the record."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import vectors as naive

from cooc_engine import CompareOptions, compare, evaluate
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import CoocError, InputError, UsageError
from cooc_engine.evaluation.bootstrap import difference, holm, interval, resampled_correlations, resampled_means, resamples
from cooc_engine.evaluation.comparison import comparison
from cooc_engine.evaluation.geometry import norm_profile, overlaps, spectrum
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.vectors.query import Vectors

WORDS = [f"w{i}" for i in range(60)]
COUNTS = [1000 // (i + 1) for i in range(60)]


def make_model(path: Path, seed: int, *, words=WORDS, noise: float = 1.0, width: int = 6, **fields) -> Path:
    """A simpler-GloVe model whose vectors are those of seed 0 and some noise of their own."""
    shared = np.random.default_rng(0).normal(size=(len(words), width))
    own = np.random.default_rng(seed).normal(size=(len(words), width))
    vocabulary = Vocabulary.from_words(words, COUNTS[: len(words)])
    data = {"config": {}, "provenance": {"entries": 7, "threads": 2}, **fields}
    save_model(path, ModelData("simpler-glove", vocabulary, {"words": (shared + noise * own).astype(np.float32)}, "w", **data))
    return path


@pytest.fixture
def models(tmp_path) -> list[Path]:
    chosen = (("a", 1, 0.2), ("b", 2, 1), ("c", 3, 3))
    return [make_model(tmp_path / f"{name}.h5", seed, noise=noise) for name, seed, noise in chosen]


@pytest.fixture
def pairs(tmp_path) -> Path:
    """Word pairs whose scores are nearly the cosines of seed 0."""
    rng, vectors = np.random.default_rng(9), np.random.default_rng(0).normal(size=(60, 6))
    chosen = rng.integers(0, 60, (80, 2))
    lines = [f"w{i}\tW{j}\t{naive.cosine(vectors[i], vectors[j]) + 0.1 * rng.normal():.4f}" for i, j in chosen]
    path = tmp_path / "some-pairs.tsv"
    path.write_text("\n".join([*lines, "nobody\tw1\t3"]) + "\n")
    return path


@pytest.fixture
def questions(tmp_path) -> Path:
    rows = np.random.default_rng(4).integers(0, 60, (200, 3))
    vectors = np.random.default_rng(0).normal(size=(60, 6))
    lines = [(*q, naive.answer(vectors, *q, multiply=False)) for q in rows.tolist() if len(set(q)) == 3]
    path = tmp_path / "questions.txt"
    path.write_text(": all\n" + "".join("w{} w{} w{} W{}\n".format(*line) for line in lines) + "w1 w2 w3 nobody\n")
    return path


# ------------------------------------------------------------------------------------------------------- resampling


def drawn(items: int, samples: int, seed) -> list[list[int]]:
    """The items of each resample, one after another."""
    weights = np.concatenate(list(resamples(items, samples, seed))).astype(int)
    return [np.repeat(np.arange(items), row).tolist() for row in weights]


def test_a_resample_has_as_many_items_as_the_set():
    found = drawn(7, 300, (1, 2))
    assert {len(items) for items in found} == {7}
    assert len({tuple(items) for items in found}) > 200
    assert np.bincount(np.concatenate(found)).min() > 200  # of 300 expected
    assert found == drawn(7, 300, (1, 2)) != drawn(7, 300, (1, 3))


def test_blocks_do_not_show(monkeypatch):
    whole = drawn(11, 50, (5,))
    monkeypatch.setattr(sys.modules["cooc_engine.evaluation.bootstrap"], "HELD", 33)
    assert drawn(11, 50, (5,)) == whole


values = st.lists(st.tuples(st.integers(-3, 3), st.integers(-2, 2), st.integers(0, 50)), min_size=2, max_size=12)


@settings(deadline=None, max_examples=60)
@given(values)
def test_resampled_correlations_are_those_of_the_items_drawn(rows):
    x, y, wanted = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    for kind, shown in {"spearman": naive.ranks, "pearson": list}.items():
        found = resampled_correlations(kind, [x, y], wanted, 20, (3,))
        for sample, items in enumerate(drawn(len(wanted), 20, (3,))):
            for values, series in zip(found[:, sample], (x, y), strict=True):
                left, right = series[items], wanted[items]
                if np.ptp(left) == 0 or np.ptp(right) == 0:
                    assert np.isnan(values)
                else:
                    assert values == pytest.approx(naive.pearson(shown(left), shown(right)), abs=1e-9)


def test_resampled_shares_are_those_of_the_items_drawn():
    hits = [np.array([True, False, True, True, False]), np.array([False] * 5)]
    found = resampled_means(hits, 40, (8,))
    for sample, items in enumerate(drawn(5, 40, (8,))):
        assert found[0, sample] == pytest.approx(sum(hits[0][items]) / 5)
    assert not found[1].any()
    assert np.isnan(resampled_means([[]], 9, (1,))).all()


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of many simulated sets, about 95 % of the intervals hold the correlation, or the share, that the data were made with."""
    rng, rho, n, sets = np.random.default_rng(0), 0.6, 100, 300
    truth = 6 / np.pi * np.arcsin(rho / 2)
    held = {"spearman": 0, "share": 0, "same": 0}
    for number in range(sets):
        x, y, z = rng.normal(size=(3, n))
        wanted = rho * x + np.sqrt(1 - rho**2) * y
        low, high = interval(resampled_correlations("spearman", [x], wanted, 300, (number,))[0])
        held["spearman"] += low <= truth <= high
        low, high = interval(resampled_means([z < 0.3], 300, (number,))[0])
        held["share"] += low <= scipy.stats.norm.cdf(0.3) <= high
        both = resampled_correlations("spearman", [x + 0.7 * y, x + 0.7 * z], x, 300, (number,))
        held["same"] += not difference(0.0, *both)["clear"]
    for share in (count / sets for count in held.values()):
        assert 0.90 <= share <= 0.99  # four standard deviations around 0.945


def test_paired_intervals_are_narrower_than_those_apart():
    x, y, noise = np.random.default_rng(1).normal(size=(3, 200))
    both = resampled_correlations("spearman", [x + y, x + y + 0.1 * noise], x, 500, (1,))
    apart = resampled_correlations("spearman", [x + y + 0.1 * noise], x, 500, (2,))
    paired, single = difference(0.0, *both), difference(0.0, both[0], apart[0])
    assert paired["high"] - paired["low"] < 0.3 * (single["high"] - single["low"])


def test_differences_and_what_they_mean():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.8, 0.01, 999), rng.normal(0.5, 0.01, 999)
    found = difference(0.3, first, second)
    assert found["clear"] and found["p"] == pytest.approx(2 / 1000) and found["low"] < 0.3 < found["high"]
    found = difference(0.0, first, first + rng.normal(0, 0.1, 999))
    assert not found["clear"] and found["p"] > 0.5
    assert difference(0.0, first, first)["p"] == 1
    assert difference(0.1, np.full(9, np.nan), np.zeros(9)) is None
    assert interval(np.array([np.nan, 2.0])) == (2.0, 2.0)


# ------------------------------------------------------------------------------------------------------------ record


def test_scores_are_those_of_evaluate(models, pairs, questions):
    record = comparison(models, [pairs], [questions], CompareOptions(restrict=50, samples=200))
    judged = evaluate(models, [pairs], [questions], restrict=50)
    wanted = {(row["model"], row["dataset"], row["kind"]): row for row in judged}
    for data in record["sets"]:
        assert [score["model"] for score in data["scores"]] == ["a", "b", "c"]
        for path, score in zip(models, data["scores"], strict=True):
            row = wanted[str(path), data["name"], data["kind"]]
            assert score["value"] == pytest.approx(row["value"], abs=1e-12)
            assert (data["covered"], data["total"]) == (row["covered"], row["total"])
            assert score["low"] <= score["value"] <= score["high"]
    assert [data["covered"] < data["total"] for data in record["sets"]] == [True, True]
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm (1979): 4p, 3p, 2p, p, rising
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_p_values_are_corrected_over_all_sets_and_nothing_need_be_written(models, pairs, questions, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    record = compare(models, pairs=[pairs], analogies=[questions], options=CompareOptions(samples=100))
    gaps = [gap for data in record["sets"] for gap in data["differences"]]
    assert len(gaps) == 6 and [gap["p_holm"] for gap in gaps] == holm([gap["p"] for gap in gaps])
    assert sorted(tmp_path.iterdir()) == before


def test_differences_name_the_better_model_first(models, pairs):
    (data,) = comparison(models, [pairs], options=CompareOptions(samples=300))["sets"]
    score = {one["model"]: one["value"] for one in data["scores"]}
    assert score["a"] > score["b"] > score["c"]
    assert [(gap["first"], gap["second"]) for gap in data["differences"]] == [("a", "b"), ("a", "c"), ("b", "c")]
    for gap in data["differences"]:
        assert gap["value"] == pytest.approx(score[gap["first"]] - score[gap["second"]])
        assert gap["clear"] == (gap["low"] > 0 or gap["high"] < 0)
    assert data["differences"][1]["clear"]
    assert data["leaders"][0] == "a" and "c" not in data["leaders"]


def test_a_seed_gives_the_same_and_the_place_of_a_set_is_nothing(models, pairs, questions, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text("w1\tw2\t1\nw3\tw4\t2\nw5\tw6\t3\nw7\tw8\t5\n")
    options = CompareOptions(samples=100)
    first = comparison(models, [pairs, other], options=options)["sets"]
    assert comparison(models, [other, pairs], options=options)["sets"] == first[::-1]
    assert comparison(models, [pairs, other], options=CompareOptions(samples=100, seed=2))["sets"] != first


def test_what_cannot_be_said_is_none(models, tmp_path):
    nothing, one = tmp_path / "nothing.tsv", tmp_path / "one.txt"
    nothing.write_text("no\tnobody\t1\nw1\tw2\t2\n")
    one.write_text("a b c d\n")
    for data in comparison(models, [nothing], [one], CompareOptions(samples=100))["sets"]:
        assert all(score["value"] is score["low"] is score["high"] is None for score in data["scores"])
        assert data["differences"] == data["leaders"] == []


def test_facts_come_from_history_and_provenance(tmp_path):
    history = [{"epoch": i, "loss": 1.0, "seconds": 1.5, "items": 30, "lr": 0.1} for i in (1, 2)]
    a = make_model(tmp_path / "a.h5", 1, history=history, provenance={"entries": 9, "threads": 4, "peak_memory_bytes": 5 << 20})
    b = make_model(tmp_path / "b.h5", 2)
    first, second = comparison({"one": a, "two": b})["models"]
    wanted = {"name": "one", "seconds": 3.0, "items_per_second": 20.0, "epochs": 2, "threads": 4, "item": "entries"}
    assert first.items() >= {**wanted, "peak_memory_bytes": 5 << 20, "file_bytes": a.stat().st_size, "vector_size": 6}.items()
    assert second["seconds"] is second["items_per_second"] is second["peak_memory_bytes"] is None


def test_options_that_differ(tmp_path):
    def config(**train):
        return {
            "encode": {"min_count": 5},
            "count": {"window": 10},
            "train": {"lr": 0.1, "vector_size": 6, "x_max": 100.0, **train},
        }

    a = make_model(tmp_path / "a.h5", 1, config=config(clip=3.0, window=2))
    b = make_model(tmp_path / "b.h5", 2, config=config(lr=0.2))
    rows = {row["option"]: row["values"] for row in comparison([a, b])["options_that_differ"]}
    # 6 is not the default of the size, a window of training stands before that of counting, x-max is what it always is
    assert rows == {"window": [2, 10], "lr": [0.1, 0.2], "vector-size": [6, 6], "clip": [3.0, None]}


def test_names_tell_models_apart(tmp_path):
    (tmp_path / "x").mkdir()
    paths = [make_model(tmp_path / at, 1) for at in ("a.h5", "x/a.h5", "b.h5")]
    assert [model["name"] for model in comparison(paths)["models"]] == [str(paths[0]), str(paths[1]), "b"]


# ---------------------------------------------------------------------------------------------------------- refusals


def test_other_words_are_refused_or_left_out(tmp_path, pairs):
    a = make_model(tmp_path / "a.h5", 1)
    b = make_model(tmp_path / "b.h5", 2, words=[*WORDS[::-1][:40], "more"])
    with pytest.raises(UsageError, match=r"b\.h5: has different words from .*a\.h5 \(41 and 60\); pass common=True"):
        comparison([a, b], [pairs])
    record = comparison([a, b], [pairs], options=CompareOptions(common=True, samples=100))
    assert record["words"] == 40
    (data,) = record["sets"]
    assert 0 < data["covered"] < 80
    lines = [line.lower().split("\t") for line in pairs.read_text().splitlines()]
    both = [line for line in lines if all(w in WORDS[20:] for w in line[:2])]
    assert data["covered"] == len(both)
    (tmp_path / "both.tsv").write_text("".join("\t".join(line) + "\n" for line in both))
    wanted = [row["value"] for row in evaluate([a, b], [tmp_path / "both.tsv"]) if row["kind"] == "spearman"]
    assert [score["value"] for score in data["scores"]] == pytest.approx(wanted)
    lone = make_model(tmp_path / "c.h5", 3, words=["x", "y", "z"])
    with pytest.raises(UsageError, match=r"has no two words in common"):
        comparison([a, lone], options=CompareOptions(common=True))


def test_the_order_of_words_matters(tmp_path):
    a, b = make_model(tmp_path / "a.h5", 1), make_model(tmp_path / "b.h5", 1, words=[WORDS[1], WORDS[0], *WORDS[2:]])
    with pytest.raises(UsageError, match="different words"):
        comparison([a, b])


def test_what_is_refused(models, tmp_path):
    for asked, says in (
        (models[:1], "two or more models"),
        (models[0], "two or more models"),
        ([models[0], models[0]], r"a\.h5: is given twice"),
    ):
        with pytest.raises(UsageError, match=says):
            comparison(asked)
    with pytest.raises(InputError, match="no such file"):
        comparison([*models, tmp_path / "none.h5"])
    with pytest.raises(CoocError, match="samples"):
        CompareOptions(samples=3)


# ---------------------------------------------------------------------------------------------------------- geometry


def test_overlap_is_that_of_sets(models):
    record = comparison(models, options=CompareOptions(frequent=30, restrict=45, neighbours=4))["neighbours"]
    assert (record["words"], record["within"], record["topn"]) == (30, 45, 4)
    near = []
    for path in models:
        units = naive_units(path)[:45]
        cosines = units @ units.T - 9 * np.eye(45)
        near.append([set(np.argsort(-row)[:4].tolist()) for row in cosines[:30]])
    for i, first in enumerate(near):
        for j, second in enumerate(near):
            share = np.mean([len(a & b) / 4 for a, b in zip(first, second, strict=True)])
            jaccard = np.mean([len(a & b) / len(a | b) for a, b in zip(first, second, strict=True)])
            assert record["share"][i][j] == pytest.approx(share)
            assert record["jaccard"][i][j] == pytest.approx(jaccard)
    assert record["share"][0][1] > record["share"][0][2]


def naive_units(path: Path) -> np.ndarray:
    from cooc_engine import open_model

    vectors = np.asarray(open_model(path).matrix, np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_fewer_neighbours_than_asked_for():
    share, jaccard = overlaps([np.array([[1, 2, -1]]), np.array([[2, 3, -1]])])
    assert share[0, 1] == 0.5 and jaccard[1, 0] == pytest.approx(1 / 3)


def named(matrix) -> Vectors:
    return Vectors([f"w{i}" for i in range(len(matrix))], matrix)


def test_the_spectrum_is_that_of_the_centred_vectors(monkeypatch):
    monkeypatch.setattr(sys.modules["cooc_engine.evaluation.geometry"], "BLOCK", 17)
    vectors = (np.random.default_rng(3).normal(size=(90, 5)) * [5, 3, 1, 1, 0.1] + 2).astype(np.float32)
    wide = vectors.astype(np.float64)
    wanted = np.linalg.svd(wide - wide.mean(0), compute_uv=False)
    found = spectrum(named(vectors))
    assert found["singular_values"] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-9)
    assert found["effective_dimensions"] == pytest.approx((wanted**2).sum() ** 2 / (wanted**4).sum())
    assert found["mean_share"] == pytest.approx((wide.mean(0) ** 2).sum() / (wide**2).sum(1).mean())
    assert spectrum(named(np.zeros((4, 3))))["effective_dimensions"] == 0


def test_norms_go_with_frequency():
    counts = np.arange(500, 0, -1)
    surprise = -np.log(counts / counts.sum())
    found = norm_profile(surprise, counts)
    assert found["rank_correlation"] == pytest.approx(1, abs=1e-4)
    assert sum(group["words"] for group in found["groups"]) == 500
    for group in found["groups"]:
        assert group["low"] <= group["middle"] <= group["high"]
        assert group["middle"] == pytest.approx(group["surprise"] / surprise.mean(), rel=0.05)
    assert norm_profile(surprise[::-1], counts)["rank_correlation"] == pytest.approx(-1, abs=1e-4)
    unseen = norm_profile(np.concatenate([surprise, 9 + surprise]), np.concatenate([counts, 0 * counts]))
    assert unseen == found
    assert norm_profile(0 * surprise, counts) == {"rank_correlation": None, "groups": []}


def test_counts_whose_sum_is_beyond_64_bits_are_still_shares():
    profile = norm_profile(np.array([1.0, 2.0, 3.0]), np.array([2**62, 2**62, 2**61]))
    assert np.isfinite([group[key] for group in profile["groups"] for key in ("surprise", "middle")]).all()
