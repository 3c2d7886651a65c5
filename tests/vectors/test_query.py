"""Queries against a slow twin, gensim's habits, bounded memory."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.models import make_data
from twins import vectors as naive

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import CoocError, FormatError, InputError, UnknownWordError, UsageError
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.vectors import profiles, search
from cooc_engine.vectors.query import Vectors, nn


def make_vectors(size: int = 300, width: int = 7, seed: int = 0) -> Vectors:
    matrix = np.random.default_rng(seed).normal(size=(size, width)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(size)], matrix)


def assert_answers(kv: Vectors, question, answers, wanted) -> None:
    """The same cosines in the same order, each that of its word; words that tie but for rounding may swap."""
    assert [value for _, value in answers] == pytest.approx([cosine for _, cosine in wanted], abs=2e-6)
    assert [naive.cosine(kv[word], question) for word, _ in answers] == pytest.approx([v for _, v in answers], abs=2e-6)
    assert len({word for word, _ in answers}) == len(answers)


# -------------------------------------------------------------------------------------------------------- access


def test_gensim_habits():
    kv = make_vectors()
    assert len(kv) == 300 and kv.vector_size == 7
    assert kv.index_to_key[3] == "w3" and kv.key_to_index["w3"] == 3 and list(kv)[:2] == ["w0", "w1"]
    assert "w3" in kv and "nothing" not in kv
    assert np.array_equal(kv["w3"], kv.vectors[3])
    assert np.array_equal(kv[["w3", "w1"]], kv.vectors[[3, 1]])
    assert kv.similarity("w3", "w8") == pytest.approx(naive.cosine(kv["w3"], kv["w8"]), abs=1e-12)
    assert kv.similarity("w3", "w3") == 1
    assert kv.most_similar("w3", topn=4) == kv.most_similar(positive=["w3"], topn=4)


def test_to_numpy_vectors_are_a_matrix():
    kv = Vectors(["a", "b"], np.eye(2, dtype=np.float32))
    assert np.asarray(kv).tolist() == np.eye(2).tolist() and np.asarray(kv, np.float64).dtype == np.float64
    assert np.shares_memory(np.asarray(kv), kv.vectors) and list(kv) == ["a", "b"]


def test_opened_from_a_file(tmp_path):
    kv = make_vectors(20)
    zeros = np.zeros(20)
    arrays = {"words": kv.vectors, "contexts": kv.vectors * 2, "word_bias": zeros, "context_bias": zeros}
    vocabulary = Vocabulary.from_words(kv.index_to_key, range(40, 20, -1))
    save_model(tmp_path / "m.h5", ModelData("glove", vocabulary, arrays, "w+c", {}, {}))
    opened = Vectors.open(tmp_path / "m.h5")
    assert opened.vocabulary is not None and opened.vocabulary.counts[0] == 40
    assert np.array_equal(opened["w4"], kv["w4"] * 3)
    found = nn(tmp_path / "m.h5", ["w4", "w7"], topn=3)
    assert list(found) == ["w4", "w7"]
    assert_answers(kv, kv["w7"], found["w7"], naive.nearest(kv.vectors, kv.vectors[7], 3, [7]))
    with pytest.raises(UnknownWordError, match=r"m\.h5: 'W4' is not in the vocabulary; did you mean 'w4'\?"):
        nn(tmp_path / "m.h5", ["W4"])
    with pytest.raises(InputError, match="no such file"):
        nn(tmp_path / "none.h5", ["w4"])


def test_unknown_words():
    kv = Vectors(["the", "government", "Köln", "bank"], np.eye(4))
    for call in (lambda: kv["goverment"], lambda: kv.similarity("bank", "goverment"), lambda: kv[["goverment"]]):
        with pytest.raises(KeyError) as caught:
            call()
        assert isinstance(caught.value, CoocError) and caught.value.exit_code == 1
        assert str(caught.value) == "'goverment' is not in the vocabulary"
    for word, near in (("goverment", "government"), ("THE", "the"), ("köln", "Köln")):
        with pytest.raises(UnknownWordError) as caught:
            kv.most_similar(word)
        assert str(caught.value) == f"{word!r} is not in the vocabulary; did you mean {near!r}?"
    for word in ("zzz", ""):
        with pytest.raises(UnknownWordError, match=r"is not in the vocabulary$"):
            kv.neighbours([word])


def test_what_makes_no_sense():
    kv = make_vectors()
    with pytest.raises(UsageError, match="at least one word"):
        kv.most_similar()
    for topn in ("3", 2.5, True):
        with pytest.raises(UsageError, match=f"^topn is {topn!r}; it must be of type int$"):
            kv.most_similar("w1", topn=topn)
    with pytest.raises(UsageError, match=r"^Vectors.words, matrix. takes .*; Vectors.open.model. opens those of a model$"):
        Vectors(kv)
    with pytest.raises(UsageError, match="topn is 0"):
        kv.most_similar("w1", topn=0)
    with pytest.raises(UsageError, match="vector of shape"):
        kv.most_similar(np.ones(3, np.float32))
    with pytest.raises(FormatError, match="2 words do not fit"):
        Vectors(["a", "b"], np.ones((3, 4)))
    with pytest.raises(FormatError, match="1 words do not fit"):
        Vectors(["a"], np.ones(4))
    with pytest.raises(FormatError, match=r"^'b' is given 2 times; each word has one vector$"):
        Vectors(["a", "b", "b"], np.eye(3))
    for key in (slice(3), 1.5, None):
        with pytest.raises(UsageError, match="it must be a word, the number of its row, or a list of these; vectors has"):
            kv[key]


# ---------------------------------------------------------------------------------------------------- neighbours


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 400), width=st.integers(1, 9), topn=st.integers(1, 30), seed=st.integers(0, 99))
def test_neighbours_are_those_of_the_twin(size, width, topn, seed):
    kv = make_vectors(size, width, seed)
    words = kv.index_to_key[:: max(1, size // 7)]
    for word, answers in kv.neighbours(words, topn).items():
        row = kv.key_to_index[word]
        assert_answers(kv, kv[word], answers, naive.nearest(kv.vectors, kv[word], topn, [row]))
        assert word not in dict(answers)


@pytest.mark.parametrize(("queries", "block", "first"), [(1, 1, 1), (3, 7, 2), (256, 2048, 64)])
def test_blocks_do_not_matter(monkeypatch, queries, block, first):
    for name, value in (("QUERIES", queries), ("BLOCK", block), ("FIRST", first)):
        monkeypatch.setattr(search, name, value)
    kv = make_vectors(90)
    for word, answers in kv.neighbours(kv.index_to_key, 5).items():
        row = kv.key_to_index[word]
        assert_answers(kv, kv[word], answers, naive.nearest(kv.vectors, kv[word], 5, [row]))
        assert word not in dict(answers)


def test_most_similar_with_several_words_and_vectors():
    kv = make_vectors()
    given_vector = np.arange(7, dtype=np.float32)
    wanted = naive.unit(kv["w5"]) + naive.unit(given_vector) - naive.unit(kv["w9"])
    answers = kv.most_similar(positive=["w5", given_vector], negative="w9", topn=8)
    assert_answers(kv, wanted, answers, naive.nearest(kv.vectors, wanted, 8, [5, 9]))
    assert not {"w5", "w9"} & dict(answers).keys()
    scaled = Vectors(kv.index_to_key, kv.vectors * np.linspace(0.1, 9, 300)[:, None])
    assert [w for w, _ in scaled.most_similar(["w5", given_vector], "w9", topn=8)] == [w for w, _ in answers]


def test_analogy_is_3cosadd():
    kv = make_vectors()
    word, _ = kv.analogy("w1", "w2", "w3", topn=1)[0]
    assert kv.key_to_index[word] == naive.answer(kv.vectors, 1, 2, 3, multiply=False)


def test_planted_analogy():
    rng = np.random.default_rng(1)
    country, capital = rng.normal(size=(2, 20))
    places = rng.normal(size=(5, 20)) * 2
    matrix = np.concatenate([places + country, places + capital, rng.normal(size=(50, 20))])
    names = [f"country{i}" for i in range(5)] + [f"capital{i}" for i in range(5)] + [f"x{i}" for i in range(50)]
    assert Vectors(names, matrix).analogy("country1", "capital1", "country3")[0][0] == "capital3"


def test_ties_are_in_order_of_rows_and_zeros_are_nobodys_neighbour():
    matrix = np.zeros((400, 2))
    matrix[[3, 100, 250, 399]] = [1, 0]
    matrix[7] = [-1, 0]
    kv = Vectors([f"w{i}" for i in range(400)], matrix)
    assert kv.most_similar("w250", topn=3) == [("w3", 1.0), ("w100", 1.0), ("w399", 1.0)]
    assert kv.most_similar("w0", topn=3) == [("w1", 0.0), ("w2", 0.0), ("w3", 0.0)]
    assert kv.most_similar("w3", topn=999)[-1] == ("w7", -1.0)
    assert kv.similarity("w0", "w3") == 0
    assert len(kv.most_similar("w3", topn=999)) == 399


@pytest.mark.parametrize("order", ["any", "rising"])
def test_memory_is_bounded(order):
    """64 MB at most, even if every word is nearer than those before it, which makes every score a candidate."""
    kv = make_vectors(40_000, 16)
    one = kv.vectors[0].copy()
    if order == "rising":
        kv = Vectors(kv.vocabulary, kv.vectors[np.argsort(kv.vectors @ one * kv.inverse_norms)])
    queries = np.repeat(one[None, :], 300, axis=0)
    kv.nearest(queries[:1], 10)  # what is loaded on the way is not of the questions
    tracemalloc.start()
    try:
        kv.nearest(queries, 10)
        peak = tracemalloc.get_traced_memory()[1]
        assert peak < 64 << 20
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------------------------------------------------ screen


@pytest.fixture
def screened(monkeypatch):
    """Every single question is answered through a screen, whose answers are counted."""
    monkeypatch.setattr(search, "SCREENED", (1, 1 << 30))
    monkeypatch.setattr(search, "FIRST_SINGLES", 0)
    monkeypatch.setattr(search, "PART", 1 << 10)  # several threads
    counted = {"found": 0, "left": 0}
    original = search.Screen.nearest

    def nearest(*args):
        found = original(*args)
        counted["left" if found is None else "found"] += 1
        return found

    monkeypatch.setattr(search.Screen, "nearest", nearest)
    return counted


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 700),
    width=st.integers(1, 40),
    topn=st.integers(1, 30),
    seed=st.integers(0, 99),
    spread=st.sampled_from([0, 2, 8]),
)
def test_a_screen_changes_no_answer(screened, size, width, topn, seed, spread):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(size, width)) * np.exp(spread * rng.normal(size=(1, width)) / 4)  # some columns rule
    kv = Vectors([f"w{i}" for i in range(size)], (matrix * rng.lognormal(size=(size, 1))).astype(np.float32))
    for row in range(0, size, max(1, size // 5)):
        wanted = naive.nearest(kv.vectors, kv.vectors[row], topn, [row])
        assert_answers(kv, kv.vectors[row], kv.most_similar(f"w{row}", topn=topn), wanted)
    assert screened["found"]


@pytest.mark.parametrize("width", [1, 2, 3, 127, 1000, 1001])
@pytest.mark.parametrize("spread", [0.01, 1])
def test_sums_of_a_screen_fit_their_integers(screened, width, spread):
    """Where all numbers of all rows are nearly the same, every product is the largest that there is."""
    matrix = (1 + spread * np.random.default_rng(width).normal(size=(130, width))).astype(np.float32)
    matrix[1::2] *= -1
    kv = Vectors([f"w{i}" for i in range(130)], matrix)
    for row in (0, 1, 129):
        wanted = naive.nearest(matrix, matrix[row], 5, [row])
        assert_answers(kv, matrix[row], kv.most_similar(f"w{row}", topn=5), wanted)
        wanted = naive.nearest(matrix, -matrix[row], 5, [row])
        assert_answers(kv, -matrix[row], kv.most_similar(negative=f"w{row}", topn=5), wanted)
    assert screened == {"found": 6, "left": 0}


def test_equal_rows_and_zeros_are_left_to_the_blocks(screened, monkeypatch):
    monkeypatch.setattr(search.Screen, "MOST", 50)
    matrix = np.zeros((400, 2))
    matrix[[3, 100, 250, 399]] = [1, 0]
    matrix[7] = [-1, 0]
    kv = Vectors([f"w{i}" for i in range(400)], matrix)
    assert kv.most_similar("w250", topn=3) == [("w3", 1.0), ("w100", 1.0), ("w399", 1.0)]
    assert kv.most_similar("w0", topn=3) == [("w1", 0.0), ("w2", 0.0), ("w3", 0.0)]
    assert screened == {"found": 0, "left": 2}


def test_a_screen_answers_many_threads_at_once(screened):
    kv = make_vectors(3000, 12)
    wanted = kv.neighbours(kv.index_to_key[:40], 5)
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(wanted, pool.map(lambda word: kv.most_similar(word, topn=5), wanted), strict=True))
    assert {word: [key for key, _ in answers] for word, answers in found.items()} == {
        word: [key for key, _ in answers] for word, answers in wanted.items()
    }


def test_screens_are_made_for_many_questions_of_middling_vocabularies():
    small, large = make_vectors(300), make_vectors(5000)
    for _ in range(search.FIRST_SINGLES + 1):
        small.most_similar("w1")
        large.most_similar("w1")
    assert "_screen" not in vars(small._exact) and "_screen" in vars(large._exact)


# --------------------------------------------------------------------------------------------------- gensim's habits


@pytest.fixture(scope="module")
def gensims():
    """The same vectors in gensim."""
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    kv = make_vectors(200, 10, 4)
    theirs = keyedvectors.KeyedVectors(10)
    theirs.add_vectors(kv.index_to_key, kv.vectors)
    return kv, theirs


def assert_same_answers(ours, theirs) -> None:
    assert [word for word, _ in ours] == [word for word, _ in theirs]
    assert [value for _, value in ours] == pytest.approx([value for _, value in theirs], abs=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of gensim in itself
def test_the_same_as_gensim(gensims):
    ours, theirs = gensims
    for arguments in (("w1",), (["w1", "w2"], ["w3"]), (["w1", "w2", "w7"],), ([], ["w9"]), (["w1", "w2"], ["w3", "w4"])):
        assert_same_answers(ours.most_similar(*arguments, topn=7), theirs.most_similar(*arguments, topn=7))
        if arguments[0]:
            assert_same_answers(ours.most_similar_cosmul(*arguments, topn=7), theirs.most_similar_cosmul(*arguments, topn=7))
    for seed in range(20):
        words = [f"w{i}" for i in np.random.default_rng(seed).choice(200, 6, replace=False)]
        assert ours.doesnt_match(words) == theirs.doesnt_match(words)
        assert ours.n_similarity(words[:4], words[4:]) == pytest.approx(theirs.n_similarity(words[:4], words[4:]), abs=1e-6)
        assert ours.similarity(*words[:2]) == pytest.approx(theirs.similarity(*words[:2]), abs=1e-6)
    assert np.allclose(ours.get_vector("w3", norm=True), theirs.get_vector("w3", norm=True), atol=1e-6)
    assert np.array_equal(ours.get_vector("w3"), theirs.get_vector("w3")) and np.array_equal(ours["w3"], theirs["w3"])
    assert ours.key_to_index == theirs.key_to_index and ours.index_to_key == theirs.index_to_key
    assert ("w3" in ours, "x" in ours, 3 in ours, 200 in ours) == (True, False, True, False)


def test_cosmul_is_the_twins():
    kv = make_vectors(80, 6)
    found = kv.most_similar_cosmul(["w3", "w8"], "w5", topn=20)
    wanted = naive.cosmul(kv.vectors, [3, 8], [5])[:20]
    assert_same_answers(found, [(f"w{i}", value) for i, value in wanted])
    assert {"w3", "w5", "w8"}.isdisjoint(dict(found))


def test_vectors_of_unknown_words():
    kv = make_vectors(20)
    assert np.array_equal(kv.vector("w3"), kv["w3"]) and not kv.vector("nothing", oov="zero").any()
    assert kv.vector("nothing", oov="zero").shape == (7,)
    with pytest.raises(KeyError, match="'nothing' is not in the vocabulary"):
        kv.vector("nothing")
    for call in (kv.related, kv.similar, lambda w: kv.norms([w]), lambda w: kv.doesnt_match(["w1", w])):
        with pytest.raises(UnknownWordError, match="'w21' is not in the vocabulary; did you mean"):
            call("w21")
    for bad in (
        lambda: kv.vector("w3", oov="maybe"),
        lambda: kv.doesnt_match(["w1"]),
        lambda: kv.n_similarity([], ["w1"]),
        lambda: kv.similar("w1", context_words=1),
        lambda: kv.sentence_vector("w1", how="product"),
        lambda: kv.sentence_vector("w1", how="sif"),
        lambda: kv.keywords("w1", topn=0),
        lambda: kv.keywords("w1", measure="best"),
        lambda: kv.most_similar_cosmul(),
    ):
        with pytest.raises(UsageError):
            bad()


# --------------------------------------------------------------------------------------------------------------- PMI


def counted_vectors(size: int = 200, width: int = 6, seed: int = 0, **more) -> Vectors:
    kv = make_vectors(size, width, seed)
    return Vectors(Vocabulary.from_words(kv.index_to_key, range(3 * size, 2 * size, -1)), kv.vectors, **more)


def test_related_is_the_inner_product():
    kv = make_vectors()
    dots = sorted(((float(kv["w9"].astype(float) @ row), i) for i, row in enumerate(kv.vectors) if i != 9), reverse=True)
    assert_same_answers(kv.related("w9", topn=12), [(f"w{i}", value) for value, i in dots[:12]])
    assert kv.related("w9", normalize=True) == kv.most_similar("w9")


@pytest.mark.parametrize("count", [2, 5, 6, 7, 50, 200, 10_000])
def test_similar_is_the_correlation_of_profiles(count):
    kv = make_vectors(200, 6)
    found = kv.similar("w11", topn=199, context_words=count)
    assert len(found) == 199 and "w11" not in dict(found)
    for word, value in found[::9]:
        wanted = naive.profile_correlation(kv.vectors, 11, kv.key_to_index[word], min(count, 200))
        assert value == pytest.approx(wanted, abs=2e-4 if count < 8 else 1e-5)
    assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)


def test_similar_where_cholesky_fails(monkeypatch):
    """A column that is always the same leaves nothing when it is centred."""
    matrix = np.random.default_rng(2).normal(size=(100, 5)).astype(np.float32)
    matrix[:, 2] = 3
    kv = Vectors([f"w{i}" for i in range(100)], matrix)
    for word, value in kv.similar("w4", topn=30, context_words=80):
        assert value == pytest.approx(naive.profile_correlation(matrix, 4, kv.key_to_index[word], 80), abs=1e-5)
    monkeypatch.setattr(profiles, "BLOCK", 7)
    assert_same_answers(
        kv.similar("w4", context_words=81)[:3], Vectors(kv.index_to_key, matrix).similar("w4", context_words=81)[:3]
    )


def test_norms():
    kv = counted_vectors()
    squares, surprises = kv.norms(["w5", "w199"])
    assert squares == pytest.approx([float((kv[w].astype(float) ** 2).sum()) for w in ("w5", "w199")])
    total = sum(range(600, 400, -1))
    assert surprises == pytest.approx([-np.log(595 / total), -np.log(401 / total)])
    assert len(kv.norms()[0]) == 200 and np.isnan(make_vectors().norms(["w5"])[1]).all()


# --------------------------------------------------------------------------------------------------------- sentences


def test_sentence_vectors():
    kv = counted_vectors()
    wide = kv.vectors.astype(np.float64)
    text, rows = "w3 w7 nothing W3\tw9", [3, 7, 3, 9]
    assert np.allclose(kv.sentence_vector(text), wide[rows].sum(0), atol=1e-5)
    assert np.allclose(kv.sentence_vector(text.split(), how="mean"), wide[rows].mean(0), atol=1e-6)
    shares = kv.vocabulary.counts / kv.vocabulary.counts.sum()
    weights = 1e-3 / (1e-3 + shares[rows])
    assert np.allclose(kv.sentence_vector(text, how="sif"), weights @ wide[rows] / 4, atol=1e-6)
    assert not kv.sentence_vector("nothing known").any() and kv.sentence_vector("").dtype == np.float32
    texts = [text, "", "w7", "nothing known", text]
    for how in ("sum", "mean", "sif"):
        wanted = [kv.sentence_vector(one, how) for one in texts]
        np.testing.assert_allclose(kv.sentence_vectors(texts, how), wanted, rtol=1e-6)
    assert kv.sentence_vectors([]).shape == (0, kv.vector_size)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=20), st.lists(st.integers(0, 60), max_size=20))
def test_sentence_similarity_is_the_double_sum_of_pmis(words1, words2):
    kv = make_vectors(50)
    sentences = [" ".join(f"w{i}" for i in words) for words in (words1, words2)]
    known = [[i for i in words if i < 50] for words in (words1, words2)]
    assert kv.sentence_similarity(*sentences) == pytest.approx(naive.pmi_sum(kv.vectors, *known), abs=1e-4)
    sums = [kv.vectors[k].astype(np.float64).sum(0) for k in known]
    assert kv.sentence_similarity(*sentences, measure="cosine") == pytest.approx(naive.cosine(*sums), abs=1e-9)


def test_keywords():
    kv = counted_vectors()
    text = "w3 w7 w3 w9 nothing w11"
    total = kv.sentence_vector(text).astype(np.float64)
    scores = sorted(((float(kv[w].astype(float) @ total), w) for w in ("w3", "w7", "w9", "w11")), reverse=True)
    assert_same_answers(kv.keywords(text), [(w, v) for v, w in scores])
    cosines = sorted(((naive.cosine(kv[w], total), w) for w in ("w3", "w7", "w9", "w11")), reverse=True)
    assert_same_answers(kv.keywords(text, topn=2, measure="cosine"), [(w, v) for v, w in cosines[:2]])
    assert kv.keywords("nothing here") == []


def test_keywords_of_glove_say_that_they_are_reversed():
    with pytest.warns(UserWarning, match="least telling words first"):
        counted_vectors(family="glove").keywords("w1 w2")


def test_a_text_is_cut_as_the_models_was(tmp_path):
    kv = make_vectors(20)
    config = {"encode": {"tokenizer": "regex", "pattern": r"w\d", "lowercase": True}}
    vocabulary = Vocabulary.from_words(kv.index_to_key, range(40, 20, -1))
    save_model(tmp_path / "m.h5", ModelData("imported", vocabulary, {"words": kv.vectors}, "w", config, {}))
    opened = Vectors.open(tmp_path / "m.h5")
    assert np.allclose(opened.sentence_vector("(W1)w2!"), kv.vectors[[1, 2]].sum(0), atol=1e-6)


def test_nothing_is_added_up_or_indexed_that_is_not_needed(tmp_path):
    """Sums of matrices are made of the rows that a question needs, and words are found without a dictionary."""
    data = make_data(300, 8)
    save_model(tmp_path / "m.h5", data)
    kv = Vectors.open(tmp_path / "m.h5")
    wanted = Vectors(data.vocabulary.words, data.arrays["words"] + data.arrays["contexts"])
    assert_same_answers(kv.most_similar("wört7"), wanted.most_similar("wört7"))
    assert_same_answers(kv.similar("wört7", context_words=50), wanted.similar("wört7", context_words=50))
    assert_same_answers(kv.most_similar_cosmul(["wört7", "wört1"]), wanted.most_similar_cosmul(["wört7", "wört1"]))
    assert kv.similarity("wört7", "wört9") == wanted.similarity("wört7", "wört9") and "wört400" not in kv
    assert "vectors" not in vars(kv) and not {"ids", "words"} & set(vars(kv.vocabulary))
    assert np.array_equal(kv.vectors, wanted.vectors)


@pytest.mark.parametrize("question", ["similar", "related", "most_similar_cosmul"])
def test_memory_of_other_questions_is_bounded(question):
    kv = make_vectors(60_000, 64)
    getattr(make_vectors(50, 64), question)("w3")  # what is loaded on the way is not of the question
    tracemalloc.start()
    try:
        getattr(kv, question)("w3")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------------------------------- words outside the vocabulary


class Spelt(Vectors):
    """Vectors that make one for any word of letters from the letters."""

    def outside(self, words):
        known = np.array([word.isalpha() for word in words])
        letters = [[np.cos(ord(letter) * np.arange(1, 8)) for letter in word] for word in words]
        made = [np.mean(part, axis=0) if has else np.zeros(7) for part, has in zip(letters, known, strict=True)]
        return np.array(made, np.float32), known


def test_a_word_outside_the_vocabulary_can_have_a_vector():
    plain = make_vectors()
    kv = Spelt(plain.index_to_key, plain.vectors)
    made = kv.outside(["strange"])[0][0]
    assert "strange" not in kv and "strange" not in kv.key_to_index
    assert np.array_equal(kv["strange"], made) and np.array_equal(kv.vector("strange"), made)
    assert np.array_equal(kv.get_word_vector("strange"), made) and not kv.vector("strange", oov="zero").any()
    with pytest.raises(UnknownWordError, match="'strange' is not in the vocabulary"):
        kv.vector("strange", oov="raise")
    assert np.array_equal(kv[["w3", "strange"]], [kv["w3"], made])
    assert kv.similarity("strange", "w3") == pytest.approx(naive.cosine(made, kv["w3"]))
    assert kv.n_similarity(["strange"], ["strange"]) == pytest.approx(1)
    wanted = naive.nearest(kv.vectors, made, 5, [])
    for answers in (kv.neighbours(["w1", "strange"], 5)["strange"], kv.most_similar("strange", topn=5)):
        assert_answers(kv, made, answers, wanted)
    wanted = naive.unit(kv["w2"]) + naive.unit(made) - naive.unit(kv["w1"])
    assert_answers(kv, wanted, kv.analogy("w1", "w2", "strange", 4), naive.nearest(kv.vectors, wanted, 4, [1, 2]))
    assert kv.related("strange", 1)[0][1] == pytest.approx(float((kv.vectors @ made).max()), abs=1e-5)
    assert len(kv.similar("strange", 3)) == len(kv.most_similar_cosmul(["strange", "w1"], topn=3)) == 3
    squares, surprises = kv.norms(["strange", "w3"])
    assert squares == pytest.approx([float(made @ made), float(kv["w3"] @ kv["w3"])]) and np.isnan(surprises).all()
    assert kv.doesnt_match(["strange", "w1", "w1"]) == "strange"
    assert np.allclose(kv.sentence_vector("w3 strange 1st", how="mean"), (kv["w3"] + made) / 2, atol=1e-6)
    assert dict(kv.keywords("strange w3 strange 1st")).keys() == {"strange", "w3"}
    assert kv.knows("1st strange") and not kv.knows("1st")
    with pytest.raises(UnknownWordError, match="'1st' is not in the vocabulary"):
        kv.neighbours(["strange", "1st"])


def test_norms_of_a_word_outside_the_vocabulary_have_no_count():
    counted = counted_vectors(width=7)
    kv = Spelt(counted.vocabulary, counted.vectors)
    assert np.isnan(kv.norms(["strange", "w3"])[1]).tolist() == [True, False]
