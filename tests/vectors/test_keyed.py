"""Every method of gensim's KeyedVectors that is here gives gensim's answers, in gensim's words."""

from __future__ import annotations

import numpy as np
import pytest

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UnknownWordError, UsageError
from cooc_engine.vectors.query import Vectors

keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of gensim in itself

WORDS = ["The", "the", *(f"w{i}" for i in range(60))]
PAIRS = "# a comment\nw1\tw2\t7\nW3\tw4\t2.5\nw5\tnowhere\t1\nw6\tw7\t3\nno line\nw8\tw9\tx\nThe\tw9\t4\n"
QUESTIONS = ": one\nw1 w2 w3 w4\nW5 w6 w7 W8\nw1 w2 nowhere w4\nthree words only\n: two\nw9 w10 w11 w12\nthe w1 w2 w3\n"


@pytest.fixture(scope="module")
def ours() -> Vectors:
    matrix = np.random.default_rng(3).normal(size=(len(WORDS), 6)).astype(np.float32)
    return Vectors(Vocabulary.from_words(WORDS, range(100, 100 - len(WORDS), -1)), matrix)


@pytest.fixture(scope="module")
def theirs(ours):
    return ours.to_gensim()


VECTOR = np.arange(6, dtype=np.float32)
CALLS = {
    "similar_by_word": lambda kv: kv.similar_by_word("w3", 4),
    "similar_by_key": lambda kv: kv.similar_by_key("w3", topn=4, restrict_vocab=20),
    "similar_by_vector": lambda kv: kv.similar_by_vector(VECTOR / np.linalg.norm(VECTOR), 5),
    "restrict_vocab": lambda kv: kv.most_similar("w3", topn=6, restrict_vocab=9),
    "restricted beyond": lambda kv: kv.most_similar("w3", topn=6, restrict_vocab=9000),
    "clip": lambda kv: kv.most_similar(["w1", "w40"], topn=6, clip_start=10, clip_end=50),
    "weights": lambda kv: kv.most_similar([("w1", 0.3), "w2"], [("w4", -2.5)], topn=6),
    "one weight": lambda kv: kv.most_similar([("w1", 1.0)]),
    "numbers": lambda kv: kv.most_similar([3, "w2"], 7, topn=3),
    "many": lambda kv: kv.most_similar("w3", topn=100),
    "none": lambda kv: kv.most_similar(positive=None, negative=["w2"], topn=3),
    "all": lambda kv: kv.most_similar(["w3"], ["w8"], topn=None).tolist(),
    "all clipped": lambda kv: kv.most_similar("w3", topn=None, restrict_vocab=7).tolist(),
    "cosmul": lambda kv: kv.most_similar_cosmul(["w1", "w2"], ["w3"], topn=5),
    "distance": lambda kv: kv.distance("w1", "w9"),
    "distances": lambda kv: kv.distances("w1", ["w4", "w9"]).tolist(),
    "distances of all": lambda kv: kv.distances(VECTOR).tolist(),
    "cosines": lambda kv: kv.cosine_similarities(VECTOR, kv.vectors[:4]).tolist(),
    "closer": lambda kv: kv.closer_than("w1", "w4"),
    "rank": lambda kv: kv.rank("w1", "w4"),
    "given": lambda kv: kv.most_similar_to_given("w1", ["w4", "w9", "w7"]),
    "central": lambda kv: [(word, float(value)) for value, word in kv.rank_by_centrality(["w1", "w2", "w3", "w9"])],
    "relative": lambda kv: float(kv.relative_cosine_similarity("w1", "w2", 5)),
    "normed": lambda kv: kv.get_normed_vectors().tolist(),
    "mean": lambda kv: kv.get_mean_vector(["w1", "nowhere", "w3"]).tolist(),
    "weighted mean": lambda kv: kv.get_mean_vector(["w1", VECTOR, 5], [1, -2, 0.5], pre_normalize=False).tolist(),
    "unit mean": lambda kv: kv.get_mean_vector(["w1", "w3"], np.array([1.0, 3.0]), post_normalize=True).tolist(),
    "index": lambda kv: [kv.get_index("w1"), kv.get_index("nowhere", 7), kv.get_index(3), kv.has_index_for("w1")],
    "inside": lambda kv: [3 in kv, 62 in kv, -1 in kv, "w1" in kv, "W1" in kv],
    "by number": lambda kv: [kv[3].tolist(), kv[[0, 5]].tolist(), kv.get_vector(np.int64(2), norm=True).tolist()],
    "count": lambda kv: int(kv.get_vecattr("w1", "count")),
    "chosen": lambda kv: kv.vectors_for_all(["w4", "nowhere", "w2", "w4"]).index_to_key,
    "n_similarity": lambda kv: float(kv.n_similarity(["w1", "w2"], ["w3"])),
    "doesnt_match": lambda kv: kv.doesnt_match(["w1", "w2", "w5", "w7"]),
}


def assert_equal(found, wanted) -> None:
    """The same, but for rounding."""
    if isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for pair in zip(found, wanted, strict=True):
            assert_equal(*pair)
    else:
        assert found == (pytest.approx(wanted, abs=2e-6) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_same_as_gensim(ours, theirs, call):
    assert_equal(call(ours), call(theirs))


@pytest.mark.parametrize("how", [{}, {"restrict_vocab": 12}, {"case_insensitive": False}, {"dummy4unknown": True}], ids=str)
def test_judged_as_by_gensim(ours, theirs, tmp_path, how):
    (tmp_path / "pairs.tsv").write_text(PAIRS)
    (tmp_path / "questions.txt").write_text(QUESTIONS)
    (pearson, spearman, unknown), wanted = (kv.evaluate_word_pairs(tmp_path / "pairs.tsv", **how) for kv in (ours, theirs))
    assert_equal([*map(float, (*pearson, *spearman))], [*map(float, (*wanted[0], *wanted[1]))])
    assert unknown == pytest.approx(wanted[2])
    score, sections = ours.evaluate_word_analogies(tmp_path / "questions.txt", **how)
    assert (score, sections) == theirs.evaluate_word_analogies(tmp_path / "questions.txt", **how)
    assert len(sections) == 3 and sections[-1]["section"] == "Total accuracy"


def test_right_analogies_are_found(ours, tmp_path):
    names = ["a", "b", "c", "d", "e"]
    kv = Vectors(names, [[1, 0, 0], [1, 1, 0], [0.1, 0, 1], [0.1, 1, 1], [-1, -1, 0]])
    (tmp_path / "questions.txt").write_text(": s\nA b c D\na b c e\n")
    score, sections = kv.evaluate_word_analogies(tmp_path / "questions.txt")
    assert score == 0.5 and sections[0]["correct"] == [("A", "B", "C", "D")]


def test_tests_that_are_none(ours, tmp_path):
    (tmp_path / "pairs.tsv").write_text("w1 w2 3\n")
    with pytest.raises(InputError, match=r"pairs\.tsv: has no pair of known words with a score"):
        ours.evaluate_word_pairs(tmp_path / "pairs.tsv")
    (tmp_path / "questions.txt").write_text("w1 w2 w3 w4\n")
    with pytest.raises(InputError, match=r"questions\.txt:1: a question before the first section"):
        ours.evaluate_word_analogies(tmp_path / "questions.txt")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim leaves a file open
@pytest.mark.parametrize(("binary", "header"), [(True, True), (False, True), (False, False)])
def test_files_in_both_directions(ours, theirs, tmp_path, binary, header):
    ours.save_word2vec_format(tmp_path / "ours", binary=binary, write_header=header)
    theirs.save_word2vec_format(tmp_path / "theirs", binary=binary, write_header=header)
    again = keyedvectors.KeyedVectors.load_word2vec_format(str(tmp_path / "ours"), binary=binary, no_header=not header)
    back = Vectors.load_word2vec_format(tmp_path / "theirs", binary=binary, no_header=not header)
    for read in (again, back):
        assert read.index_to_key == WORDS and np.array_equal(read.vectors, ours.vectors)
    ours.save_word2vec_format(tmp_path / "ours", binary=binary)  # over the older file, as gensim does


def test_to_gensim_and_back(ours, theirs):
    back = Vectors.from_gensim(theirs)
    assert back.index_to_key == WORDS and np.array_equal(back.vectors, ours.vectors)
    assert back.vocabulary.counts.tolist() == ours.vocabulary.counts.tolist()
    with pytest.raises(UsageError, match="a list is neither gensim KeyedVectors"):
        Vectors.from_gensim([1])


def test_fasttext_in_gensim_and_here():
    fasttext = pytest.importorskip("gensim.models.fasttext")
    texts = [[f"word{i % 7}{i % 3}" for i in range(start, start + 9)] for start in range(30)]
    model = fasttext.FastText(texts, vector_size=5, min_count=1, bucket=90, epochs=1, workers=1, seed=1)
    here = Vectors.from_gensim(model)
    unseen = ["words", "ward31", "中国"]
    np.testing.assert_allclose(here[unseen], [model.wv[word] for word in unseen], atol=1e-6)
    assert "words" not in here and here.most_similar("words", topn=1)[0][0] == model.wv.most_similar("words", topn=1)[0][0]
    again = here.to_gensim()
    np.testing.assert_allclose(again["words"], model.wv["words"], atol=1e-6)
    assert again.get_vecattr("word00", "count") == model.wv.get_vecattr("word00", "count")


def test_what_is_refused(ours):
    for call, says in (
        (lambda: ours.doesnt_match("w1 w2"), r"is a string where a list of words is needed; pass \['w1 w2'\]"),
        (lambda: ours.n_similarity("w1", ["w2"]), "is a string where a list of words is needed"),
        (lambda: ours.most_similar("w1", clip_start=70), "there are no rows 70:62; the vocabulary has 62 words"),
        (lambda: ours.get_mean_vector([]), "a mean needs at least one word"),
        (lambda: ours.get_mean_vector(["w1"], [1, 2]), "weights has 2 numbers for 1 words; pass a weight for each"),
        (lambda: ours.save_word2vec_format("x", binary=True, write_header=False), "begins with a header"),
    ):
        with pytest.raises(UsageError, match=says):
            call()
    for call in (
        lambda: ours[62],
        lambda: ours.get_index("nowhere"),
        lambda: ours.get_vecattr("w1", "frequency"),
        lambda: ours.get_mean_vector(["w1", "nowhere"], ignore_missing=False),
    ):
        with pytest.raises(UnknownWordError):
            call()
