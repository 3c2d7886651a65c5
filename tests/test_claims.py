"""What the articles on GloVe and simpler-GloVe promise, on real text: norms, function words, connectives, ratios."""

from __future__ import annotations

import importlib.util
import itertools
import lzma
from pathlib import Path

import pytest

from cooc_engine.config import CountOptions, EncodeOptions, GloveOptions, SimplerGloveOptions, UniformCountOptions
from cooc_engine.cooc import count
from cooc_engine.corpus import encode
from cooc_engine.glove import train_glove, train_simpler_glove

pytestmark = pytest.mark.shared

LINES = 8_000
SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "claims.py"
spec = importlib.util.spec_from_file_location("claims", SCRIPT)
assert spec is not None
assert spec.loader is not None
claims = importlib.util.module_from_spec(spec)
spec.loader.exec_module(claims)

FUNCTION_WORDS = "and which both being thus however even having though itself now instead whose only another while".split()  # noqa: SIM905
CONNECTIVES = "once though both even thus instead further however rather almost either eventually".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def text(shared, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("claims") / "text"
    with lzma.open(shared / "data/enwiki-17m.txt.xz", "rb") as source:
        path.write_bytes(b"".join(itertools.islice(source, LINES)))
    return path


@pytest.fixture(scope="module")
def models(text):
    corpus = encode(text, text.with_name("corpus"), EncodeOptions(min_count=5))
    uniform = count(corpus, text.with_name("uniform"), UniformCountOptions())
    harmonic = count(corpus, text.with_name("harmonic"), CountOptions())
    simpler = {
        truncate: train_simpler_glove(
            uniform, text.with_name(f"{truncate}.h5"), SimplerGloveOptions(vector_size=50, epochs=20, truncate_weight=truncate)
        )
        for truncate in ("on", "off")
    }
    options = GloveOptions(vector_size=50, epochs=15, x_max=10)
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
