"""Scores against slow twins, the textbook cases, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import naive_vectors as naive
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from cooc_engine import evaluation as module
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation import evaluate, pearson, read_analogies, read_pairs, spearman
from cooc_engine.modelfile import ModelData, save_model
from cooc_engine.query import Vectors
from cooc_engine.vocab import Vocabulary

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "eval"


def make_vectors(size: int = 40, width: int = 4, seed: int = 0) -> Vectors:
    matrix = np.random.default_rng(seed).normal(size=(size, width)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(size)], matrix)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------- textbook cases


def test_a_reversed_ranking_is_exactly_minus_one():
    for n in (2, 3, 10, 353, 999, 3000):
        assert spearman(range(n), [-(x**3) for x in range(n)]) == -1


def test_a_monotone_curve_has_spearman_one_above_pearson():
    x = np.arange(1, 30)
    assert spearman(x, np.exp(x)) == 1
    linear = pearson(x, np.exp(x))
    assert linear is not None and linear < 0.7


def test_a_parabola_on_a_symmetric_range_has_none():
    x = np.arange(-10, 11)
    assert pearson(x, x**2) == pytest.approx(0, abs=1e-15)
    assert spearman(x, x**2) == pytest.approx(0, abs=1e-15)


def test_ties_share_their_average_rank():
    assert module._ranks([3, 1, 3, 2, 3, 1]).tolist() == [5, 1.5, 5, 3, 5, 1.5]
    with_ties = spearman([1, 2, 2, 3], [1, 2, 3, 4])
    assert with_ties == pytest.approx(naive.pearson([1, 2.5, 2.5, 4], [1, 2, 3, 4]), abs=1e-15)
    simple = 1 - 6 * (0.5**2 + 0.5**2) / (4 * 15)
    assert with_ties != pytest.approx(simple, abs=1e-4)  # the formula without ties does not hold


series = st.lists(st.tuples(st.integers(-5, 5), st.floats(-1, 1, width=16)), min_size=2, max_size=40)


@settings(deadline=None)
@given(series)
def test_correlations_are_those_of_the_twin_and_of_scipy(points):
    x, y = (list(column) for column in zip(*points, strict=True))
    rank_x, rank_y = naive.ranks(x), naive.ranks(y)
    assert module._ranks(y).tolist() == rank_y
    if min(np.ptp(x), np.ptp(y)) == 0:
        assert spearman(x, y) is None and pearson(x, y) is None
        return
    assert spearman(x, y) == pytest.approx(naive.pearson(rank_x, rank_y), abs=1e-12)
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    if np.ptp(y) > 1e-3:
        assert pearson(x, y) == pytest.approx(naive.pearson(x, y), abs=1e-9)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0.1, 0.1, 0.1])])
def test_nothing_can_be_said(x, y):
    assert pearson(x, y) is None
    assert spearman(x, y) is None


# -------------------------------------------------------------------------------------------------------- pairs


def test_pairs(tmp_path):
    kv = make_vectors()
    text = "# a comment\nw1\tw2\t3.5\n\nw3 w4 1\nW5\tw6\t-2e0\r\nw7\tnothing\t9\nw8\tw8\t10\n"
    path = write(tmp_path / "some.tsv", "\ufeff" + text)
    wanted = [naive.cosine(kv[f"w{a}"], kv[f"w{b}"]) for a, b in ((1, 2), (3, 4), (5, 6), (8, 8))]
    scores = [3.5, 1, -2, 10]
    rows = evaluate({"mine": kv}, [path])
    assert rows == [
        {
            "model": "mine",
            "dataset": "some",
            "kind": "spearman",
            "value": pytest.approx(naive.pearson(naive.ranks(wanted), naive.ranks(scores)), abs=1e-12),
            "covered": 4,
            "total": 5,
        },
        {
            "model": "mine",
            "dataset": "some",
            "kind": "pearson",
            "value": pytest.approx(naive.pearson(wanted, scores), abs=1e-6),
            "covered": 4,
            "total": 5,
        },
    ]


def test_words_are_matched_as_written_before_lower_case(tmp_path):
    kv = Vectors(["us", "US", "we", "you"], [[1, 0], [0, 1], [1, 0.5], [0.1, 1]])
    path = write(tmp_path / "p.tsv", "US you 3\nUs we 2\nUS we 1\n")
    cosines = [naive.cosine(kv[a], kv[b]) for a, b in (("US", "you"), ("us", "we"), ("US", "we"))]
    assert cosines == sorted(cosines, reverse=True)
    spearman_row, pearson_row = evaluate({"m": kv}, [path])
    assert (spearman_row["value"], spearman_row["covered"]) == (pytest.approx(1), 3)
    assert pearson_row["value"] == pytest.approx(naive.pearson(cosines, [3, 2, 1]), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("w1 w2 1\nno nobody 2\n", 1),
        ("no nobody 2\n", 0),
        ("w1 w2 5\nw3 w4 5\nw5 w6 5\n", 3),
        ("w1 w1 1\nw2 w2 2\n", 2),
    ],
)
def test_pairs_of_which_nothing_can_be_said(tmp_path, text, covered):
    for row in evaluate({"m": make_vectors()}, [write(tmp_path / "p.tsv", text)]):
        assert row["value"] is None and row["covered"] == covered


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\tb\t1\na\tb\n", r"p\.tsv:2: expected word, word and score, found 2 fields"),
        ("a b c 1\n", r"p\.tsv:1: .*found 4"),
        ("word1\tword2\tscore\n", r"p\.tsv:1: the score 'score' is not a number"),
        ("\n# x\na b nan\n", r"p\.tsv:3: the score 'nan'"),
        ("a\t\t1\n", r"p\.tsv:1"),
        ("", r"p\.tsv: holds no word pairs"),
        ("# only\n\n", r"p\.tsv: holds no word pairs"),
    ],
)
def test_bad_pair_files(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        evaluate({"m": make_vectors()}, [write(tmp_path / "p.tsv", text)])


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin").write_bytes(b"caf\xe9 the 1\n")
    for read in (read_pairs, read_analogies):
        with pytest.raises(InputError, match="latin: not UTF-8 at byte 3"):
            read(tmp_path / "latin")
        with pytest.raises(InputError, match="none: no such file"):
            read(tmp_path / "none")
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path)


# ---------------------------------------------------------------------------------------------------- analogies


def wanted_shares(kv: Vectors, questions, limit: int) -> dict[str, float]:
    matrix = kv.vectors[:limit]
    shares = {}
    for kind, multiply in (("analogy-add", False), ("analogy-mul", True)):
        hits = [naive.answer(matrix, a, b, c, multiply=multiply) == d for a, b, c, d in questions]
        shares[kind] = sum(hits) / len(hits)
    return shares


def planted(limit: int, seed: int, *, noise: float = 0.5) -> tuple[Vectors, list[tuple[int, int, int, int]]]:
    """Words in pairs that differ by one direction, and questions about them, answered right and wrong."""
    rng = np.random.default_rng(seed)
    base, direction = rng.normal(size=(limit // 2, 6)), rng.normal(size=6)
    matrix = np.empty((2 * (limit // 2) + 10, 6), np.float32)
    matrix[: 2 * (limit // 2) : 2] = base
    matrix[1 : 2 * (limit // 2) : 2] = base + direction + noise * rng.normal(size=base.shape)
    matrix[-10:] = rng.normal(size=(10, 6))
    pairs = rng.integers(0, limit // 2, (80, 2))
    questions = [(int(2 * i), int(2 * i + 1), int(2 * j), int(2 * j + 1)) for i, j in pairs if i != j]
    return Vectors([f"w{i}" for i in range(len(matrix))], matrix), questions


def analogy_text(questions) -> str:
    return "".join("{} {} {} {}\n".format(*(f"W{i}" if n == 2 else f"w{i}" for n, i in enumerate(q))) for q in questions)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("scores", "group"), [(1 << 22, 64), (90, 3)])
def test_analogies_are_answered_as_by_the_twin(tmp_path, monkeypatch, seed, scores, group):
    monkeypatch.setattr(module, "SCORES", scores)
    monkeypatch.setattr(module, "QUESTIONS", group)
    kv, questions = planted(60, seed)
    path = write(tmp_path / "a.txt", ": one\n" + analogy_text(questions))
    wanted = wanted_shares(kv, questions, len(kv))
    assert 0.1 < wanted["analogy-add"] < 0.99
    rows = evaluate({"m": kv}, analogies=[path])
    assert {row["kind"]: row["value"] for row in rows} == wanted
    assert all((row["covered"], row["total"], row["dataset"]) == (len(questions),) * 2 + ("a",) for row in rows)


def test_every_answer_is_the_twins():
    kv, questions = planted(50, 9)
    answers = module._answers(kv, np.array(questions)[:, :3], 45)
    for kind, multiply in enumerate((False, True)):
        wanted = [naive.answer(kv.vectors[:45], a, b, c, multiply=multiply) for a, b, c, _ in questions if max(a, b, c) < 45]
        found = [answer for answer, (a, b, c, _) in zip(answers[kind], questions, strict=True) if max(a, b, c) < 45]
        assert found == wanted


def test_only_the_first_words_are_known(tmp_path):
    kv, questions = planted(60, 3)
    path = write(tmp_path / "a.txt", analogy_text(questions))
    known = [q for q in questions if max(q) < 30]
    assert 0 < len(known) < len(questions)
    rows = evaluate({"m": kv}, analogies=[path], restrict=30)
    assert {row["kind"]: row["value"] for row in rows} == wanted_shares(kv, known, 30)
    assert all((row["covered"], row["total"]) == (len(known), len(questions)) for row in rows)
    assert evaluate({"m": kv}, analogies=[path], restrict=None) == evaluate({"m": kv}, analogies=[path], restrict=999)


def test_the_questions_words_are_no_answers(tmp_path):
    """b - a + c is nearest to c itself where a and b are alike."""
    kv = Vectors(["a", "b", "c", "d"], [[1, 0, 0], [1, 0.01, 0], [0, 0, 1], [0, 0.5, 1]])
    rows = evaluate({"m": kv}, analogies=[write(tmp_path / "q.txt", "a b c d\na b c c\n")])
    assert [row["value"] for row in rows] == [0.5, 0.5]


def test_sections(tmp_path):
    kv, questions = planted(60, 5)
    first, second = questions[:20], questions[20:]
    text = f": one two\n{analogy_text(first)}\n:three\n{analogy_text(second)}: four\nno such words here\n"
    path = write(tmp_path / "a.txt", text)
    rows = evaluate({"m": kv}, analogies=[path], by_section=True)
    found = {(row["dataset"], row["kind"]): row for row in rows}
    assert len(rows) == 8
    for name, part in (("a", questions), ("a:one two", first), ("a:three", second)):
        for kind, share in wanted_shares(kv, part, len(kv)).items():
            assert found[name, kind]["value"] == share
            assert found[name, kind]["covered"] == len(part)
    assert found["a", "analogy-add"]["total"] == len(questions) + 1
    assert found["a:four", "analogy-mul"] | {"model": 0} == {
        "model": 0,
        "dataset": "a:four",
        "kind": "analogy-mul",
        "value": None,
        "covered": 0,
        "total": 1,
    }
    assert evaluate({"m": kv}, analogies=[path]) == rows[:2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (": x\na b c d\na b c\n", r"a\.txt:3: expected four words, found 3"),
        ("a b c d e\n", r"a\.txt:1: expected four words, found 5"),
        (": x\n\n", r"a\.txt: holds no analogies"),
    ],
)
def test_bad_analogy_files(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        read_analogies(write(tmp_path / "a.txt", text))


def test_restrict_must_make_sense():
    with pytest.raises(UsageError, match="--restrict is 0"):
        evaluate({"m": make_vectors()}, restrict=0)


def test_models_from_files_by_name(tmp_path):
    kv = make_vectors(10)
    for name, sign in (("a.h5", 1), ("b.h5", -1)):
        arrays = {"words": kv.vectors, "contexts": np.abs(kv.vectors) * sign}
        arrays |= {"word_bias": np.zeros(10), "context_bias": np.zeros(10)}
        vocabulary = Vocabulary.from_words(kv.index_to_key, [1] * 10)
        save_model(tmp_path / name, ModelData("glove", vocabulary, arrays, "w+c", {}, {}))
    path = write(tmp_path / "p.tsv", "w1 w2 3\nw3 w4 1\nw5 w6 2\n")
    rows = evaluate([tmp_path / "a.h5", str(tmp_path / "b.h5")], [path])
    assert [row["model"] for row in rows] == [str(tmp_path / n) for n in ("a.h5", "a.h5", "b.h5", "b.h5")]
    assert rows[1]["value"] != rows[3]["value"]
    assert evaluate(tmp_path / "a.h5", [path]) == rows[:2]
    with pytest.raises(InputError, match="no such file"):
        evaluate([tmp_path / "none.h5"], [path])


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the evaluation sets are not here")
def test_published_sets_are_read_whole():
    sizes = {"men": 3000, "rg65": 65, "simlex999": 999, "wordsim353": 353}
    assert {name: len(read_pairs(SHARED / f"{name}.tsv").pairs) for name in sizes} == sizes
    questions = read_analogies(SHARED / "google-analogies.txt")
    assert len(questions.questions) == 19544
    assert len(set(questions.sections)) == 14
