"""What the articles on GloVe and simpler-GloVe promise, on real text: norms, sums, keywords, neighbours by context words."""

from __future__ import annotations

import importlib.util
import itertools
import lzma
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions, UniformCountOptions
from cooc_engine.evaluation.bootstrap import interval, resampled_means
from cooc_engine.matrix.glove import train_glove, train_simpler_glove
from cooc_engine.models.matrix_options import GloveOptions, SimplerGloveOptions
from cooc_engine.vectors.query import Vectors

pytestmark = pytest.mark.shared

LINES = 8_000
LATER = 500  # lines after these, that no model has seen
SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "claims.py"
spec = importlib.util.spec_from_file_location("claims", SCRIPT)
assert spec is not None
assert spec.loader is not None
claims = importlib.util.module_from_spec(spec)
spec.loader.exec_module(claims)

FUNCTION_WORDS = "and which both being thus however even having though itself now instead whose only another while".split()  # noqa: SIM905
CONNECTIVES = "once though both even thus instead further however rather almost either eventually".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def texts(shared, tmp_path_factory) -> tuple[Path, Path]:
    """The lines that models are trained on, and later ones."""
    directory = tmp_path_factory.mktemp("claims")
    with lzma.open(shared / "data/enwiki-17m.txt.xz", "rb") as source:
        for name, lines in ("text", LINES), ("later", LATER):
            (directory / name).write_bytes(b"".join(itertools.islice(source, lines)))
    return directory / "text", directory / "later"


@pytest.fixture(scope="module")
def text(texts) -> Path:
    return texts[0]


@pytest.fixture(scope="module")
def corpus(text):
    return encode(text, text.with_name("corpus"), EncodeOptions(min_count=5))


@pytest.fixture(scope="module")
def models(text, corpus):
    uniform = count(corpus, text.with_name("uniform"), UniformCountOptions())
    harmonic = count(corpus, text.with_name("harmonic"), CountOptions())
    simpler = {
        truncate: train_simpler_glove(
            uniform, text.with_name(f"{truncate}.h5"), SimplerGloveOptions(vector_size=50, epochs=14, truncate_weight=truncate)
        )
        for truncate in ("on", "off")
    }
    options = GloveOptions(vector_size=50, epochs=10, x_max=10)
    return simpler | {"glove": train_glove(harmonic, text.with_name("glove.h5"), options)}


def test_norms_grow_with_rarity_in_simpler_glove_and_not_in_glove(models):
    assert claims.norm_correlation(models["off"]) > 0.6
    assert claims.norm_correlation(models["on"]) > 0.6
    assert claims.norm_correlation(models["glove"]) < -0.3


def mean_place(model, words) -> float:
    """Mean place of words among the frequent ones by length, 0 the shortest and 1 the longest."""
    order = claims.shortest(model)
    return sum(order.index(word) for word in words) / len(words) / len(order)


def test_function_words_are_shortest_without_truncation_and_connectives_with_it(models):
    assert mean_place(models["off"], FUNCTION_WORDS) < 0.1
    assert mean_place(models["on"], CONNECTIVES) < 0.1
    assert mean_place(models["glove"], FUNCTION_WORDS) > 0.3
    most_frequent = models["off"].vocabulary.words[:10]
    assert mean_place(models["on"], most_frequent) > mean_place(models["off"], most_frequent)


def test_stop_words_fill_the_sum_of_a_text_with_glove_and_less_so_with_simpler_glove(models, text):
    counts = claims.word_counts(str(text))
    shares = {name: claims.stop_words_share(model, counts, centred=False) for name, model in models.items()}
    assert shares["off"] < 0.6 * shares["glove"]
    assert shares["glove"] > 0.6
    assert claims.stop_words_share(models["glove"], counts, centred=True) < shares["glove"]


@pytest.fixture(scope="module")
def vectors(models) -> dict[str, Vectors]:
    return {name: Vectors.open(model.path) for name, model in models.items()}


def grammar_gain(vectors: Vectors) -> tuple[float, float]:
    """Limits of 95 % of by how much more neighbours are of the same closed class by few context words than by many."""
    with threadpool_limits(1, "blas"):  # between so small products more threads would spin
        few, many = (claims.class_share(vectors, words) for words in (claims.GRAMMAR, claims.TOPIC))
    limits = interval(resampled_means([few - many], 1000, [1])[0])
    assert limits is not None
    return limits


def test_few_context_words_find_the_same_grammar_in_simpler_glove_and_not_in_glove(vectors):
    assert grammar_gain(vectors["off"])[0] > 0  # topic by many needs the whole corpus: it does not show in so few lines
    assert sum(grammar_gain(vectors["glove"])) / 2 < 0


def test_ppmi_is_that_of_the_counts(text, models):
    cooc = Cooc(text.with_name("uniform"))
    counts, row = cooc.csr().astype(np.float64), 400
    sums = counts.sum(0)
    with np.errstate(divide="ignore"):
        expected = np.log(counts[[row]].toarray()[0] * sums.sum() / (sums[row] * sums))
    assert claims.ppmi(cooc, row) == pytest.approx(np.maximum(0, expected))


def test_keywords_of_a_paragraph_are_its_content_words_and_with_glove_its_most_frequent_ones(vectors, texts):
    paragraphs = claims.paragraphs(str(texts[1]))
    shares = {name: claims.stop_keywords(kv, paragraphs) for name, kv in vectors.items()}
    assert shares["off"] < 0.05
    assert shares["on"] < 0.05
    assert shares["glove"] > 0.9
