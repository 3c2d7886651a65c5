"""The explorer: what its page holds is what `Vectors` answers, hostile words stay words, nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cooc_engine import Vectors, explore, plot
from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import UsageError
from cooc_engine.models.file import ModelData, save_model

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("sklearn")

EVIL = ["</script><script>alert(1)</script>", '"><img/src=x>', "&lt;", "<!--", "{{7*7}}", "\u2028"]
WORDS = [*EVIL, *(f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60))]


def make_model(path: Path, seed: int, width: int = 8) -> Path:
    vectors = np.random.default_rng(seed).normal(size=(len(WORDS), width)).astype(np.float32)
    vocabulary = Vocabulary.from_words(WORDS, [1 + 5000 // (i + 1) for i in range(len(WORDS))])
    history = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    save_model(path, ModelData("simpler-glove", vocabulary, {"words": vectors}, "w", {}, {}, history))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[Path]:
    at = tmp_path_factory.mktemp("explored")
    return [make_model(at / "one.h5", 1), make_model(at / "two.h5", 2, 12)]


@pytest.fixture(scope="module")
def page(models, tmp_path_factory) -> Path:
    return explore(models, tmp_path_factory.mktemp("page") / "page.html", 50).path


class Tags(HTMLParser):
    """All tags with their attributes, and the text in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.inside: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inside.append((self.tags[-1][1].get("type", self.tags[-1][0]), data))


def records(page: Path) -> list[dict]:
    return json.loads(dict(Tags(page.read_text("utf-8")).inside)["application/json"])


def array(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_data_answer_as_the_vectors_do(models, page):
    for path, record in zip(models, records(page), strict=True):
        kv = Vectors.open(path)
        assert record["words"] == WORDS[:50] and record["known"] == len(WORDS)
        stored = array(record["vectors"], "i1").reshape(50, record["size"]).astype(np.float64)
        units = stored / np.linalg.norm(stored, axis=1, keepdims=True)
        wanted = np.stack([kv.get_vector(word, norm=True) for word in WORDS[:50]])
        assert np.allclose(units @ units.T, wanted @ wanted.T, atol=0.02)
        squares, surprise = kv.norms(WORDS[:50])
        assert np.allclose(array(record["norms"], "<f4") ** 2, squares, rtol=1e-5)
        assert np.allclose(array(record["surprise"], "<f4"), surprise, rtol=1e-5)
        places = array(record["places"], "<f4").reshape(50, 2)
        assert np.isfinite(places).all() and np.ptp(places, axis=0).min() > 0
        assert array(record["colours"], "u1").max() < 10


def test_hostile_words_are_data_and_nothing_else_runs_or_loads(page):
    text = page.read_text("utf-8")
    found = Tags(text)
    assert {tag for tag, _ in found.tags} & {"img", "iframe", "object", "base"} == set()
    assert [kind for kind, _ in found.inside] == ["style", "application/json", "script"]
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(dict(found.inside)[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not re.search(r"https?:|@import|url\(|innerHTML|eval\(", text)
    assert [attrs.get(name) for _, attrs in found.tags for name in ("src", "href") if name in attrs] == ["data:,"]


def test_what_cannot_be_explored(models, tmp_path, capsys):
    with pytest.raises(UsageError, match=r"page\.txt: is not the name of a page"):
        explore(models, tmp_path / "page.txt")
    with pytest.raises(UsageError, match=r"^an explorer takes one or more models"):
        explore([], tmp_path / "page.html")
    with pytest.raises(UsageError, match="at least 3"):
        explore(models, tmp_path / "page.html", 2)
    (tmp_path / "page.html").write_text("dear")
    assert main(["explore", str(models[0]), "--output", str(tmp_path / "page.html")]) == 2
    assert "page.html: exists; pass --force" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_text() == "dear"


def test_from_the_command_line(models, tmp_path, capsys):
    output = tmp_path / "page.html"
    assert main(["explore", *map(str, models), "--output", str(output), "--words", "20", "--progress", "none"]) == 0
    assert capsys.readouterr().out.startswith(f"{output}: 20 words of one, 20 words of two, ")


def test_rows_and_columns_with_names_are_two_sides(tmp_path, capsys):
    """None of their names is a function word, or left out since it is no word."""
    rng, names = (
        np.random.default_rng(1),
        [Vocabulary.from_words([f"{what} {i}" for i in range(20)], [1] * 20) for what in "ui"],
    )
    sides = {name: rng.normal(size=(20, 4)).astype(np.float32) for name in ("words", "contexts")}
    arrays = {**sides, "singular_values": np.ones(4, np.float32), "residuals": np.zeros(4, np.float32)}
    save_model(tmp_path / "m.h5", ModelData("pmi-svd", names[0], arrays, "w", {}, {}, column_names=names[1]))
    made = explore(tmp_path / "m.h5", tmp_path / "page.html")
    assert made.words == {"m": 20, "m columns": 20}
    assert [record["words"][0] for record in records(made.path)] == ["u 0", "i 0"]
    assert main(["plot", str(tmp_path / "m.h5"), "--output", str(tmp_path / "columns.svg"), "--columns"]) == 0
    text = (tmp_path / "columns.svg").read_text("utf-8")
    assert "20 columns, 4 dimensions" in text and "i 7" in text and "too few columns" not in text


def test_a_plot_of_a_model_in_both_formats(models, tmp_path):
    made = plot(models[0], tmp_path / "m.svg", 30)
    assert made.read_text("utf-8").startswith("<?xml") and "<svg" in made.read_text("utf-8")
    assert plot(models[0], tmp_path / "again.svg", 30).read_bytes() == made.read_bytes()
    assert main(["plot", str(models[0]), "--output", str(tmp_path / "m.png"), "--words", "30"]) == 0
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"m\.gif: is not the name of a picture"):
        plot(models[0], tmp_path / "m.gif")
    with pytest.raises(UsageError, match="exists"):
        plot(models[0], tmp_path / "m.png")


# ------------------------------------------------------------------------------------------------------- in a browser


PRESS = "document.getElementById('map').dispatchEvent(new KeyboardEvent('keydown', {{key: '{}'}})), map.zoom"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_reader_searches_asks_and_zooms(browser, models, page, width):
    browser.open(page, width)
    assert not browser.said("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    requests = [each["request"]["url"] for each in browser.said("Network.requestWillBeSent")]
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    for path, column in zip(models, (0, 1), strict=True):
        browser.evaluate("choose('WORDAB')")
        shown = browser.evaluate(
            f"[...document.querySelectorAll('#neighbours > div')[{column}].querySelectorAll('button')].map(b => b.textContent)"
        )
        kv = Vectors.open(path).some(np.arange(50))
        assert len(set(shown) & {word for word, _ in kv.most_similar("wordab", topn=15)}) >= 14
    assert browser.evaluate("document.getElementById('shown').textContent") == "wordab"
    browser.evaluate(f"choose({json.dumps(EVIL[0])})")
    assert browser.evaluate("document.getElementById('shown').textContent") == EVIL[0]
    assert browser.evaluate("document.querySelectorAll('script').length") == 2
    assert browser.evaluate(PRESS.format("+")) > 1 and browser.evaluate(PRESS.format("0")) == 1
    asked = "['a', 'b', 'c'].forEach((id, at) => byId(id).value = ['wordaa', 'wordab', 'wordac'][at]), askAnalogy()"
    browser.evaluate(asked)
    first = browser.evaluate("document.querySelector('#answers button').textContent")
    assert first == Vectors.open(models[0]).some(np.arange(50)).analogy("wordaa", "wordab", "wordac", 1)[0][0]
    browser.evaluate("choose('nowhere')")
    assert "nowhere" in browser.evaluate("document.getElementById('message').textContent")
