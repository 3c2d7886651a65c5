"""The page of a comparison: what stands in it, that words cannot break it, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cooc_engine import CompareOptions, compare, run
from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import ResourceError, UsageError
from cooc_engine.models.families import trainable
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.pipeline.job_plan import JobPlan, read_job
from cooc_engine.reports import charts
from cooc_engine.reports.canvas import COLOURS, DARK
from cooc_engine.reports.html import TEMPLATES, palette
from cooc_engine.reports.page import verdict

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

EVIL = ["<script>alert(1)</script>", '"><img/src=x>', "&amp;", "</title>", "{{7*7}}", "$x_$"]
WORDS = [*(f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(150)), *EVIL]
NAMES = [
    "glove",
    "simpler-glove",
    "pmi-svd",
    "skipgram",
    "a_model_of_a_very_long_name_indeed_with_options_that_has_no_place_for_a_line_end",
]
QUICK = CompareOptions(samples=100, frequent=170, restrict=170)


def make_model(path: Path, seed: int) -> Path:
    vectors = np.random.default_rng(seed).normal(size=(len(WORDS), 8)).astype(np.float32)
    vocabulary = Vocabulary.from_words(WORDS, [1 + 5000 // (i + 1) for i in range(len(WORDS))])
    history = [{"epoch": 1, "loss": 1.0, "seconds": 70.0 * seed, "items": 10**9, "lr": 0.1}]
    config = {"train": {"lr": 0.1 * seed, "vector_size": 100}}
    provenance = {"threads": 2, "entries": 5}
    save_model(path, ModelData("simpler-glove", vocabulary, {"words": vectors}, "w", config, provenance, history))
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict:
    """Five models, sets of pairs with one of a name that is markup, and analogies."""
    at = tmp_path_factory.mktemp("page")
    rng = np.random.default_rng(1)
    for name in ("men", "wordsim353-relatedness", "<b>set & co"):
        chosen = zip(rng.integers(0, 150, (60, 2)), rng.random(60), strict=True)
        rows = [f"{WORDS[i]}\t{WORDS[j]}\t{score:.2f}" for (i, j), score in chosen]
        (at / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    questions = [" ".join(WORDS[i] for i in row) for row in rng.integers(0, 150, (80, 4))]
    (at / "analogies.txt").write_text(": all\n" + "\n".join(questions) + "\n")
    models = {name: make_model(at / f"{number}.h5", number) for number, name in enumerate(NAMES, 1)}
    return {"models": models, "pairs": sorted(at.glob("*.tsv")), "analogies": [at / "analogies.txt"]}


@pytest.fixture(scope="module")
def page(sources, tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("made") / "page.html"
    compare(**sources, output=at, options=QUICK)
    return at


class Outline(HTMLParser):
    """Tags that are open at each moment, and all texts and attributes."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_three_files_are_made(page):
    assert sorted(path.name for path in page.parent.iterdir()) == ["page.html", "page.json", "page.png"]
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    record = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert [model["name"] for model in record["models"]] == NAMES
    assert len(record["sets"]) == 4


def test_the_page_is_sound_and_needs_nothing_else(page):
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    outline = Outline(text.partition(">")[2])
    assert outline.open == []
    tags = [tag for tag, _ in outline.tags]
    assert not {"script", "img", "iframe", "object", "base", "b>set"} & set(tags)
    linking = ("src", "href", "xlink:href")
    addresses = [attributes[key] for _, attributes in outline.tags for key in linking if key in attributes]
    assert addresses == ["data:,"]
    assert text.count("<table") == text.count('<div class="wide">\n<table') > 4, "none can make the page wider than the screen"
    assert not re.search(r"https?:|@import|url\(", text)
    for tag, attributes in outline.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") or (attributes["role"] == "img" and attributes["aria-label"])
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
    assert tags.count("h1") == 1 and tags.count("table") == 7


def test_pages_have_the_colours_of_pictures(page):
    style = palette()
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    for part, colours in ((light, COLOURS), (dark, DARK)):
        assert all(f" --c{number}: {colour};" in part for number, colour in enumerate(colours))
    assert style in page.read_text("utf-8")
    templates = "".join(path.read_text("utf-8") for path in TEMPLATES.iterdir())
    assert not any(colour in templates for colour in (*COLOURS, *DARK)), "they are written once"


def test_all_models_sets_and_words_are_in_it(page):
    shown = " ".join(Outline(page.read_text("utf-8").partition(">")[2]).texts)
    record = json.loads(page.with_suffix(".json").read_text("utf-8"))
    for data in record["sets"]:
        assert data["name"] in shown
        assert verdict(data) in shown
        for score in data["scores"]:
            assert charts.plain(score["value"]) in shown
            assert f"{charts.plain(score['low'])} to {charts.plain(score['high'])}" in shown
    for example in record["neighbours"]["examples"]:
        assert example["word"] in shown
    assert all(name in shown for name in NAMES)


def test_words_are_words_even_if_they_look_like_markup(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["cooc_engine.evaluation.comparison"], "_examples", lambda words: range(150, 156))
    models = dict(zip([*EVIL[:4], "a byte that is not UTF-8: \udcff"], sources["models"].values(), strict=True))
    compare(models, tmp_path / "p.html", options=QUICK)
    outline = Outline((tmp_path / "p.html").read_text("utf-8").partition(">")[2])
    assert not {"script", "img"} & {tag for tag, _ in outline.tags}
    assert set(EVIL) <= {text.strip() for text in outline.texts}
    assert [tag for tag, _ in outline.tags].count("title") >= 1 and outline.open == []


def test_without_sets_of_words_the_rest_is_shown(sources, tmp_path):
    record = compare(sources["models"], tmp_path / "p.html", options=QUICK)
    assert record["sets"] == [] and (tmp_path / "p.png").stat().st_size > 10_000
    outline = Outline((tmp_path / "p.html").read_text("utf-8").partition(">")[2])
    assert {"Scores", "What the lengths show"} & {*outline.texts} == {"What the lengths show"}


def test_a_page_is_not_replaced_unless_told(sources, page):
    before = page.read_bytes()
    with pytest.raises(UsageError, match=r"page\.html: exists; pass force=True"):
        compare(**sources, output=page, options=QUICK)
    compare(**sources, output=page, options=QUICK, force=True)
    assert page.read_bytes() == before


def test_nothing_is_left_when_a_write_fails(sources, tmp_path, monkeypatch):
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResourceError, match="No space"):
        compare(**sources, output=tmp_path / "p.html", options=QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named(sources, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf'a page needs {library}: python -m pip install "cooc_engine\[plot\]"'):
        compare(**sources, output=tmp_path / "p.html")


def test_what_is_no_page(sources, tmp_path):
    for name, says in (("page.json", "ends in .html"), ("none/p.html", "no such directory")):
        with pytest.raises(UsageError, match=says):
            compare(**sources, output=tmp_path / name)


def test_a_directory_holds_the_page(sources, tmp_path, capsys):
    models = [str(path) for path in sources["models"].values()][:2]
    command = ["compare", *models, "--output", str(tmp_path / "new" / "pages"), "--samples", "100", "--progress", "none"]
    assert main([*command[:2], str(tmp_path / "none.h5"), *command[3:]]) == 1
    assert not (tmp_path / "new" / "pages").exists()
    assert main(command) == 0
    assert "pages/page.html: 2 models" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "new" / "pages").iterdir()) == ["page.html", "page.json", "page.png"]
    assert main(command) == 2
    assert "page.html: exists; pass --force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_from_the_command_line(sources, tmp_path, capsys):
    models, pairs = [str(path) for path in sources["models"].values()], str(sources["pairs"][1])
    arguments = ["compare", *models[:2], "--output", str(tmp_path / "p.html"), "--pairs", pairs, "--samples", "100"]
    assert main([*arguments, "--frequent", "50"]) == 0
    shown = capsys.readouterr().out
    assert "spearman  60 of 60" in shown and "p.html: 2 models on 1 set of words" in shown
    assert main([*arguments, "--json", "--force", "--progress", "none"]) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert err == "" and record["output"] == str(tmp_path / "p.html")
    assert record.items() >= json.loads((tmp_path / "p.json").read_text("utf-8")).items()
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_job_ends_in_a_page(tmp_path):
    text = "the cat sat on the mat\nthe dog sat on the log\na cat saw a dog\n" * 40
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "pairs.tsv").write_text("cat\tdog\t9\nmat\tlog\t8\ncat\tsat\t2\nthe\tdog\t1\n")
    train = '[[train]]\nmodel = "pmi-svd"\nvector-size = 3\n[[train]]\nmodel = "cbow"\nvector-size = 3\nepochs = 1\n'
    head = f'output = "out"\n[encode]\ntexts = ["text.txt"]\n{train}[eval]\npairs = ["pairs.tsv"]\nrestrict = 7\n'
    job = tmp_path / "job.toml"
    job.write_text(head + '[compare]\noutput = "all.html"\nsamples = 100\n')
    assert len(run(job)) == 4
    record = json.loads((tmp_path / "out" / "all.json").read_text("utf-8"))
    assert [model["name"] for model in record["models"]] == ["pmi-svd", "cbow"]
    assert (record["options"]["restrict"], record["options"]["samples"]) == (7, 100)
    assert [data["name"] for data in record["sets"]] == ["pairs"]
    assert len(run(job)) == 4  # the page is made again
    for table, says in (
        ("[compare]\nsample = 9\n", r"job\.toml \[compare\]: unknown option 'sample'; did you mean samples"),
        ('[compare]\noutput = "x.png"\n', r"ends in \.html"),
    ):
        job.write_text(head + table)
        with pytest.raises(UsageError, match=says):
            run(job)
    job.write_text(head.replace('[[train]]\nmodel = "cbow"\nvector-size = 3\nepochs = 1\n', "") + "[compare]\n")
    with pytest.raises(UsageError, match=r"\[compare\]: takes two or more models"):
        run(job)


@pytest.mark.shared
def test_the_job_that_compares_all_families_is_sound(shared, tmp_path):
    job = tmp_path / "checkout" / "data" / "enwiki.toml"
    job.parent.mkdir(parents=True)
    job.write_bytes((Path(__file__).parents[2] / "data" / "enwiki.toml").read_bytes())
    (tmp_path / "shared").symlink_to(shared.resolve())
    plan = JobPlan.open(job)
    # Explicit vectors are the matrix of PMI-SVD, the text has no labels for a classifier, and ELMo's are made in a sentence.
    others = {"pmi", "supervised", "elmo"}
    dense = [family for name, family in trainable().items() if name not in others]
    assert {training.family for training in plan.trainings} == set(dense)
    assert len(plan.compared["pairs"]) == 6 and len(plan.compared["analogies"]) == 1


def test_the_job_for_a_plain_checkout_has_the_same_families_and_all_files():
    data = Path(__file__).parents[2] / "data"
    plan = JobPlan.open(data / "families.toml")
    other = read_job(data / "enwiki.toml")
    assert [training.family.title for training in plan.trainings] == [trainable()[one["model"]].title for one in other["train"]]
    assert all(Path(path).exists() for path in (*plan.compared["pairs"], *plan.compared["analogies"]))


# ---------------------------------------------------------------------------------------------------------- pictures


def test_ticks_are_round():
    assert charts.ticks(0.21, 0.58) == pytest.approx([0.3, 0.4, 0.5])
    assert charts.ticks(-0.04, 0.11) == pytest.approx([0, 0.05, 0.1])
    assert charts.ticks(2, 2) == [2]
    for low, high in ((0, 1), (3, 3.001), (-7e6, 1e3)):
        marks = charts.ticks(low, high)
        assert 1 <= len(marks) <= 5 and min(marks) >= low - 1e-9 and max(marks) <= high + 1e-9


def test_dots_stand_where_the_numbers_are(page):
    record = json.loads(page.with_suffix(".json").read_text("utf-8"))
    colours = {name: i for i, name in enumerate(NAMES)}
    for data in record["sets"]:
        panel = charts.score_dots(data, colours)
        order = sorted(panel.dots, key=lambda dot: dot.x)
        assert [dot.title for dot in order] == [s["model"] for s in sorted(data["scores"], key=lambda score: score["value"])]
        for dot in panel.dots:
            assert panel.left < dot.low <= dot.x <= dot.high < panel.right
            assert dot.strong == (dot.title in data["leaders"])
        gaps = charts.difference_dots(data, colours)
        for dot, gap in zip(gaps.dots, data["differences"], strict=True):
            assert (dot.x >= gaps.zero) == (gap["value"] >= 0)
            assert dot.strong == (dot.low > gaps.zero or dot.high < gaps.zero)


# ----------------------------------------------------------------------------------------------------------- browser

OVERFLOWING = """const edge = document.documentElement.clientWidth + 0.5; [...document.querySelectorAll('body *')].filter(
  e => !e.closest('.wide, svg') && getComputedStyle(e).position !== 'absolute' && e.getBoundingClientRect().right > edge
).map(e => e.outerHTML.slice(0, 90))"""
SMALLEST = """Math.min(...[...document.querySelectorAll('svg text')].map(text => {
  const svg = text.ownerSVGElement
  return parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width
}))"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 768, 1200])
def test_in_a_browser(browser, page, width):
    browser.open(page, width)
    assert browser.said("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
    requested = [event["request"]["url"] for event in browser.said("Network.requestWillBeSent")]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.evaluate(SMALLEST) >= 9  # pixels: legible on a phone
    shown = browser.evaluate("document.body.innerText")
    record = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert all(name in shown for name in NAMES)
    assert all(data["name"] in shown for data in record["sets"])


@pytest.mark.browser
def test_colours_follow_the_reader_and_print_is_light(browser, page):
    browser.open(page, 800)
    seen = {}
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        browser.send("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        seen[media, scheme] = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert seen["screen", "light"] == seen["print", "dark"] == "rgb(255, 255, 255)" != seen["screen", "dark"]


@pytest.mark.browser
def test_the_browser_would_notice(browser, tmp_path):
    """What the tests above find missing, they would see."""
    bad = tmp_path / "bad.html"
    wide = "<body style='margin:0'><div style='width:900px'>x</div>"
    bad.write_text(f"<meta name=viewport content='width=device-width'><img src=x.png><script>console.error(1)</script>{wide}")
    browser.open(bad, 360)
    assert browser.said("Runtime.consoleAPICalled")
    assert len(browser.said("Network.requestWillBeSent")) == 2
    assert browser.evaluate("document.documentElement.scrollWidth") == 900
    assert len(browser.evaluate(OVERFLOWING)) == 1
