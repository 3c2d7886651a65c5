"""Scores against slow twins, the textbook cases, and files that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import vectors as naive

from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation import analogies, correlation
from cooc_engine.evaluation import judge as module
from cooc_engine.evaluation.correlation import pearson, spearman
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.evaluation.sets import read_analogies, read_pairs
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.vectors.query import Vectors

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "eval"


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
    assert correlation.ranks([3, 1, 3, 2, 3, 1]).tolist() == [5, 1.5, 5, 3, 5, 1.5]
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
    assert correlation.ranks(y).tolist() == rank_y
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
        ("a b -1e308\n", r"p\.tsv:1: the score '-1e308' is not a number below 1e\+100"),
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
    monkeypatch.setattr(analogies, "SCORES", scores)
    monkeypatch.setattr(analogies, "QUESTIONS", group)
    kv, questions = planted(60, seed)
    path = write(tmp_path / "a.txt", ": one\n" + analogy_text(questions))
    wanted = wanted_shares(kv, questions, len(kv))
    assert 0.1 < wanted["analogy-add"] < 0.99
    rows = evaluate({"m": kv}, analogies=[path])
    assert {row["kind"]: row["value"] for row in rows} == wanted
    assert all((row["covered"], row["total"], row["dataset"]) == (len(questions),) * 2 + ("a",) for row in rows)


def test_every_answer_is_the_twins():
    kv, questions = planted(50, 9)
    answers, known = analogies.answers(kv, [[f"w{i}" for i in question[:3]] for question in questions], 45)
    assert known.tolist() == [max(question[:3]) < 45 for question in questions]
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
        "restrict": 70,
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
    with pytest.raises(UsageError, match="restrict is 0"):
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


# ------------------------------------------------------------------------------------------------------ sentence pairs


def test_textbook_cases_on_sentence_pairs(tmp_path):
    """Sentences whose cosines rise from pair to pair, against scores that rise, fall, and rise steeply."""
    angles = np.linspace(0, 3, 12)
    matrix = np.stack([np.cos(angles), np.sin(angles)], 1)
    kv = Vectors([f"w{i}" for i in range(12)], matrix)
    near = [-np.cos(angle) for angle in angles]
    cases = {"falls": near, "rises": [-x for x in near], "steep": [np.exp(-9 * x) for x in near]}
    found = {}
    for name, scores in cases.items():
        lines = [f"w0 w0\tw{i} nothing w{i}\t{score}\n" for i, score in enumerate(scores)]
        (tmp_path / f"{name}.tsv").write_text("".join(lines))
        rows = evaluate({"m": kv}, sentence_pairs=[tmp_path / f"{name}.tsv"])
        found[name] = {row["kind"]: row["value"] for row in rows}
        assert all((row["covered"], row["total"]) == (12, 12) for row in rows)
    assert found["falls"]["spearman"] == -1 and found["falls"]["pearson"] == pytest.approx(-1)
    assert found["rises"]["spearman"] == 1
    assert found["steep"]["spearman"] == 1 > found["steep"]["pearson"] + 0.2
    (tmp_path / "bent.tsv").write_text("".join(f"w0\tw{i}\t{(i - 5.5) ** 2}\n" for i in range(12)))
    symmetric = Vectors(
        [f"w{i}" for i in range(12)], np.stack([np.linspace(-1, 1, 12), np.sqrt(1 - np.linspace(-1, 1, 12) ** 2)], 1)
    )
    lines = "".join(f"w11\tw{i}\t{(i - 5.5) ** 2}\n" for i in range(12))
    (tmp_path / "bent.tsv").write_text(lines)
    assert [row["value"] for row in evaluate({"m": symmetric}, sentence_pairs=[tmp_path / "bent.tsv"])] == pytest.approx(
        [0, 0], abs=1e-6
    )


def test_sentence_pairs_that_are_not_known(tmp_path):
    kv = make_vectors()
    text = "# comment\nw1 w2\tw3\t5\nno word\tw3\t1\nw4\tW5 w6\t2\nw7 w8\tw9\t3\n"
    rows = evaluate({"m": kv}, sentence_pairs=[write(tmp_path / "s.tsv", text)])
    sums = [(["w1", "w2"], ["w3"]), (["w4"], ["w5", "w6"]), (["w7", "w8"], ["w9"])]
    cosines = [naive.cosine(*(sum(kv[w].astype(float) for w in side) for side in pair)) for pair in sums]
    assert [(row["covered"], row["total"]) for row in rows] == [(3, 4)] * 2
    assert rows[1]["value"] == pytest.approx(naive.pearson(cosines, [5, 2, 3]), abs=1e-9)
    with pytest.raises(InputError, match=r"s\.tsv:1: expected sentence, sentence and score, found 1 fields"):
        evaluate({"m": kv}, sentence_pairs=[write(tmp_path / "s.tsv", "a b 1\n")])


# ----------------------------------------------------------------------------------------------------------- bootstrap


def test_rows_have_intervals_if_asked(tmp_path):
    kv, questions = planted(60, 5)
    pairs = write(tmp_path / "p.tsv", "".join(f"w{i}\tw{i + 20}\t{i % 7}\n" for i in range(20)) + "no\tone\t1\n")
    analogies = write(tmp_path / "a.txt", analogy_text(questions))
    empty = write(tmp_path / "e.tsv", "no one 1\n")
    how = {"pairs": [pairs, empty], "analogies": [analogies], "bootstrap": 100}
    rows = evaluate({"m": kv}, **how)
    assert evaluate({"m": kv}, **how, seed=1) == rows != evaluate({"m": kv}, **how, seed=2)
    for row in rows:
        if row["dataset"] == "e":
            assert row["value"] is row["low"] is row["high"] is None
        else:
            assert row["low"] <= row["value"] <= row["high"] and row["low"] < row["high"]
    plain = evaluate({"m": kv}, pairs=[pairs, empty], analogies=[analogies])
    assert [{k: v for k, v in row.items() if k not in ("low", "high")} for row in rows] == plain
    assert plain[-1]["restrict"] == 70


# ------------------------------------------------------------------------------------------- categories and outliers


def bundles(seed: int = 0, spread: float = 0.2) -> Vectors:
    """Four bundles of ten words each, of very different lengths."""
    rng = np.random.default_rng(seed)
    matrix = np.repeat(rng.normal(size=(4, 8)), 10, axis=0) + spread * rng.normal(size=(40, 8))
    return Vectors([f"w{i}" for i in range(40)], matrix * rng.lognormal(size=(40, 1)))


def test_categories(tmp_path):
    kv = bundles()
    lines = [f"W{i}\tclass{i // 10}\n" for i in range(40)]
    path = write(tmp_path / "c.tsv", "# words\n" + "".join(lines) + "nothing\tclass0\n")
    assert evaluate({"m": kv}, categories=[path]) == [
        {"model": "m", "dataset": "c", "kind": "purity", "value": 1.0, "covered": 40, "total": 41}
    ]
    mixed = write(tmp_path / "c.tsv", "".join(f"w{i} {'odd' if i % 5 == 0 else i // 10}\n" for i in range(40)))
    (row,) = evaluate({"m": kv}, categories=[mixed], bootstrap=50)
    assert 0.7 <= row["value"] <= 0.9 and row["low"] <= row["value"] <= row["high"]
    (row,) = evaluate({"m": kv}, categories=[write(tmp_path / "c.tsv", "no one\n")])
    assert (row["value"], row["covered"], row["total"]) == (None, 0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), min_size=1, max_size=30))
def test_purity_is_the_twins(pairs):
    clusters, classes = (list(column) for column in zip(*pairs, strict=True))
    assert module.purity(clusters, classes) == pytest.approx(naive.purity(clusters, classes))


@pytest.mark.parametrize("seed", range(3))
def test_clusters_are_as_tight_as_scikit_learns(seed):
    cluster = pytest.importorskip("sklearn.cluster")
    points = bundles(seed, 0.8).unit_rows(np.arange(40))
    labels = module._clusters(points, 5, seed)
    centres = np.stack([points[labels == k].mean(0) for k in np.unique(labels)])
    error = sum(((points[labels == k] - centre) ** 2).sum() for k, centre in zip(np.unique(labels), centres, strict=True))
    theirs = cluster.KMeans(5, n_init=10, random_state=seed).fit(points)
    assert error <= 1.03 * theirs.inertia_
    assert np.array_equal(module._clusters(points, 5, seed), labels)


def test_clusters_of_equal_points():
    assert set(module._clusters(np.ones((4, 2)), 3, 0)) <= {0, 1, 2}


def test_outliers(tmp_path):
    kv = bundles(1, 0.6)
    topics = [([0, 1, 2, 3], [11, 25]), ([12, 13, 14], [15, 30, 2]), ([20, 21, 31], [4])]
    text = "".join(f": topic {n}\n" + "".join(f"w{i}\n" for i in a) + "\n\n" + "".join(f"W{i}\n" for i in b) + "nobody\n"
                   for n, (a, b) in enumerate(topics))  # fmt: skip
    wanted = [naive.outlier_place(kv.vectors, members, outlier) for members, others in topics for outlier in others]
    rows = evaluate({"m": kv}, outliers=[write(tmp_path / "o.txt", text)])
    assert [row["kind"] for row in rows] == ["outlier-accuracy", "outlier-position"]
    assert [row["value"] for row in rows] == pytest.approx([np.mean([w[n] for w in wanted]) for n in (0, 1)])
    assert 0 < rows[0]["value"] < 1 and all((row["covered"], row["total"]) == (6, 9) for row in rows)
    one = "w0\nw1\nnot here\nw2\n\nw30\nw31\n"  # a file of 8-8-8 is one topic without a name
    assert evaluate({"m": kv}, outliers=[write(tmp_path / "o.txt", one)])[0]["covered"] == 2
    unknown = "no\nnone\nw1\n\nw30\n"
    assert evaluate({"m": kv}, outliers=[write(tmp_path / "o.txt", unknown)])[0]["value"] is None


@pytest.mark.parametrize(
    ("option", "text", "says"),
    [
        ("categories", "a b\nc\n", r"f:2: expected a word and its class, found 1"),
        ("categories", "# only\n", "holds no words"),
        ("outliers", "a\n\nb\n", "f:1: expected two or more words"),
        ("outliers", ": x\na\nb\n\nc\n: y\na\nb\n", "f:6: expected two or more words"),
        ("outliers", "\n\n", "holds no words"),
        ("sentence_pairs", "", "holds no sentence pairs"),
    ],
)
def test_bad_files_of_other_sets(tmp_path, option, text, says):
    with pytest.raises(InputError, match=says):
        evaluate({"m": make_vectors()}, **{option: [write(tmp_path / "f", text)]})


def test_anything_that_can_be_judged_will_do(tmp_path):
    """What is asked of vectors is no more than `Judged` says."""
    kv = bundles()

    class Other:
        def __len__(self) -> int:
            return len(kv)

    for name in ("rows_of", "cosines", "cosine_table", "unit", "knows", "sentence_similarity"):
        setattr(Other, name, staticmethod(getattr(kv, name)))
    sets = {
        "pairs": [write(tmp_path / "p.tsv", "w1 w2 3\nw1 w30 1\nw2 w25 2\n")],
        "sentence_pairs": [write(tmp_path / "s.tsv", "w1\tw2\t3\nw1\tw30\t1\n")],
        "analogies": [write(tmp_path / "a.txt", "w1 w2 w3 w4\nw11 w2 w3 w24\n")],
        "categories": [write(tmp_path / "c.tsv", "w1 a\nw2 a\nw15 b\n")],
        "outliers": [write(tmp_path / "o.txt", "w1\nw2\n\nw15\n")],
    }
    assert evaluate({"m": Other()}, **sets, by_section=True) == evaluate({"m": kv}, **sets, by_section=True)


class Spelt(Vectors):
    """Vectors that make one for any word of letters from its letters."""

    def outside(self, words):
        known = np.array([word.isalpha() for word in words])
        letters = [[np.cos(ord(letter) * np.arange(1, self.vector_size + 1)) for letter in word] for word in words]
        made = [np.mean(part, axis=0) if has else np.zeros(self.vector_size) for part, has in zip(letters, known, strict=True)]
        return np.array(made, np.float32), known


def test_words_outside_the_vocabulary_are_judged_by_the_vectors_that_they_have(tmp_path):
    plain = bundles()
    kv = Spelt(plain.index_to_key, plain.vectors)
    sets = {
        "pairs": [write(tmp_path / "p.tsv", "w1 strange 3\nodd strange 1\nw2 w25 2\n")],
        "sentence_pairs": [write(tmp_path / "s.tsv", "strange\tw2\t3\nodd\tw30\t1\n")],
        "analogies": [write(tmp_path / "a.txt", "w1 w2 odd w4\nw11 w2 w3 strange\n")],
        "categories": [write(tmp_path / "c.tsv", "w1 a\nodd a\nw15 b\n")],
        "outliers": [write(tmp_path / "o.txt", "w1\nodd\n\nstrange\n")],
    }
    covered = {row["kind"]: (row["covered"], row["total"]) for row in evaluate({"m": kv}, **sets)}
    assert covered["spearman"] == (2, 2) and covered["purity"] == (3, 3) and covered["outlier-accuracy"] == (1, 1)
    assert covered["analogy-add"] == (1, 2)  # an answer is a word of the vocabulary
    assert [row["covered"] for row in evaluate({"m": kv}, pairs=sets["pairs"])] == [3, 3]
    assert evaluate({"m": kv}, analogies=sets["analogies"], restrict=30)[0]["covered"] == 0  # which leaves rare words out
    cosines = [naive.cosine(kv[a], kv[b]) for a, b in (("w1", "strange"), ("odd", "strange"), ("w2", "w25"))]
    assert evaluate({"m": kv}, pairs=sets["pairs"])[1]["value"] == pytest.approx(naive.pearson(cosines, [3, 1, 2]), abs=1e-6)


def test_the_command_line_has_all_sets(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kv = bundles()
    vocabulary = Vocabulary.from_words(kv.index_to_key, [1] * 40)
    save_model(Path("m.h5"), ModelData("imported", vocabulary, {"words": kv.vectors}, "w", {}, {}))
    files = {
        "--pairs": "w1 w2 3\nw1 w30 1\nw2 w25 2\n",
        "--sentence-pairs": "w1\tw2\t3\nw1\tw30\t1\n",
        "--analogies": "w1 w2 w3 w4\n",
        "--categories": "w1 a\nw2 a\nw15 b\n",
        "--outliers": "w1\nw2\n\nw15\n",
    }
    arguments = []
    for flag, text in files.items():
        arguments += [flag, str(write(Path(flag[2:]), text))]
    assert main(["eval", "m.h5", *arguments, "--bootstrap", "20", "--seed", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    wanted = ["spearman", "pearson"] * 2 + ["analogy-add", "analogy-mul", "purity", "outlier-accuracy", "outlier-position"]
    assert [row["kind"] for row in rows] == wanted
    assert all({"low", "high"} <= set(row) for row in rows) and rows[4]["restrict"] == 40
    assert main(["eval", "m.h5", *arguments]) == 0
    text = capsys.readouterr().out
    assert "0 of 1 among the first 40 words" in text or "1 of 1 among the first 40 words" in text
    assert main(["eval", "m.h5"]) == 2 and "nothing to evaluate on" in capsys.readouterr().err
    assert main(["eval", "m.h5", *arguments, "--bootstrap", "-1"]) == 2
    assert "--bootstrap is -1; it must be at least 0" in capsys.readouterr().err
