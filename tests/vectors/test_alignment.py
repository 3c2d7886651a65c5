"""Two models in one space: the rotation, the file, and what cannot be aligned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine import Vectors, align
from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.file import ModelData, open_model, save_model
from cooc_engine.vectors.alignment import rotation


def make_model(path: Path, words, vectors) -> Path:
    vocabulary = Vocabulary.from_words(list(words), list(range(len(words), 0, -1)))
    save_model(path, ModelData("simpler-glove", vocabulary, {"words": np.asarray(vectors, np.float32)}, "w", {}, {}))
    return path


def turned(vectors, seed: int, width: int | None = None) -> np.ndarray:
    """Vectors in other coordinates, of which there may be more."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(width or vectors.shape[1],) * 2))
    return vectors @ basis[: vectors.shape[1]]


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """A model, and most of its words in another order and other coordinates, with words of its own and some noise."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 6)) * rng.lognormal(size=(80, 1))
    words = [f"w{i}" for i in range(80)]
    kept = rng.permutation(80)[:60]
    other = turned(vectors[kept] + 0.01 * rng.normal(size=(60, 6)), 1)
    reference = make_model(tmp_path / "b.h5", [words[i] for i in kept] + ["own", "more"], np.vstack([other, np.ones((2, 6))]))
    return make_model(tmp_path / "a.h5", words, vectors), reference


def test_the_words_of_both_come_together_and_cosines_stay(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("cooc_engine.vectors.alignment.BLOCK", 7)
    done = align(*pair, tmp_path / "c.h5")
    assert (done.path, done.words) == (tmp_path / "c.h5", 60)
    assert done.before < 0.5 < 0.999 < done.after
    ours, theirs, result = (Vectors.open(path) for path in (*pair, done.path))
    assert result.index_to_key == ours.index_to_key
    rows = np.arange(80)
    tables = [kv.unit_rows(rows) @ kv.unit_rows(rows).T for kv in (result, ours)]
    np.testing.assert_allclose(*tables, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), np.linalg.norm(ours.vectors, axis=1), rtol=1e-5)
    common = [word for word in ours if word in theirs]
    cosines = [float(result.get_vector(w, norm=True) @ theirs.get_vector(w, norm=True)) for w in common]
    assert np.mean(cosines) == pytest.approx(done.after, abs=1e-6)
    model = open_model(done.path)
    assert (model.family, model.vocabulary.counts.tolist()) == ("imported", list(range(80, 0, -1)))
    assert model.config["align"] == {"words": 60, "before": done.before, "after": done.after}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 99))
def test_the_rotation_is_that_of_scipy(words, width, seed):
    rng = np.random.default_rng(seed)
    ours, theirs = (Vectors([f"w{i}" for i in range(words)], rng.normal(size=(words, width))) for _ in range(2))
    rows = np.arange(words)
    turn = rotation(ours, theirs, rows, rows)
    np.testing.assert_allclose(turn @ turn.T, np.eye(width), atol=1e-9)
    wanted, _ = scipy.linalg.orthogonal_procrustes(ours.unit_rows(rows).astype(float), theirs.unit_rows(rows).astype(float))
    errors = [np.linalg.norm(ours.unit_rows(rows) @ r - theirs.unit_rows(rows)) for r in (turn, wanted)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-6)  # where the rank is not full, there is more than one


def test_a_reference_of_longer_vectors(pair, tmp_path):
    ours = Vectors.open(pair[0])
    longer = make_model(tmp_path / "long.h5", ours.index_to_key, turned(ours.vectors, 3, 9))
    done = align(pair[0], longer, tmp_path / "c.h5")
    assert done.before is None and done.after == pytest.approx(1, abs=1e-6)
    assert Vectors.open(done.path).vector_size == 9
    with pytest.raises(UsageError, match=r"long\.h5: has vectors of 9, those of .*a\.h5 are of 6; align the other to it"):
        align(longer, pair[0], tmp_path / "d.h5")


def test_what_cannot_be_aligned(pair, tmp_path):
    stranger = make_model(tmp_path / "s.h5", ["x", "y"], np.eye(2, 6))
    with pytest.raises(InputError, match=r"a\.h5: has no word in common with .*s\.h5"):
        align(pair[0], stranger, tmp_path / "c.h5")
    with pytest.raises(UsageError, match="exists"):
        align(*pair, pair[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5", "s.h5"]


def test_on_the_command_line(pair, tmp_path, capsys):
    assert main(["align", *map(str, pair), str(tmp_path / "c.h5")]) == 0
    assert "aligned by 60 words, whose mean cosine is 0.99" in capsys.readouterr().out
    assert main(["align", *map(str, pair), str(tmp_path / "c.h5"), "--force", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["words"], record["output"]) == (60, str(tmp_path / "c.h5"))
