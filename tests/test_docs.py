"""The documentation: that it is built without a warning, complete, self-contained, and true."""

from __future__ import annotations

import dataclasses
import functools
import html
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support import tutorial

import cooc_engine
from cooc_engine.cli.app import command_line
from cooc_engine.cli.foreign_flags import FOREIGN
from cooc_engine.cli.hints import commands
from cooc_engine.runtime.options import Options

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
WRITTEN = (path for path in DOCS.rglob("*.md") if path.parent.name != "commands")  # and not generated
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")), *WRITTEN]
BUILD = ("--fail-on-warning", "--keep-going", "--nitpicky", "--quiet")


# --------------------------------------------------------------------------------------------------------- the tutorial


@pytest.fixture
def follow(tmp_path, monkeypatch, capsys):
    """Do in a new directory what a page says, and compare what it shows; returns the languages of its blocks."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    reader = tutorial.Reader(tmp_path / "home", lambda: capsys.readouterr().out)

    def follow(page: str) -> set[str]:
        blocks = list(tutorial.blocks(DOCS / page))
        for language, content, shown in blocks:
            printed = reader.follow(language, content)
            if shown is None:
                assert not printed, f"the page does not show what this prints: {content}"
                continue
            wanted, found = tutorial.skeletons(shown), tutorial.skeletons(printed)
            assert [line for line, _ in found] == [line for line, _ in wanted], content
            for (line, numbers), (_, expected) in zip(found, wanted, strict=True):
                assert numbers == pytest.approx(expected, rel=0.1, abs=0.05), line
        return {language for language, _, _ in blocks}

    return follow


def test_the_tutorial_does_what_it_says(follow):
    assert follow("tutorial.md") == {"sh", "python", "toml"}
    for made in ("page.html", "page.png", "page.json", "all/page.html", "all/table.tsv"):
        assert Path(made).stat().st_size > 0


def test_the_guide_to_sparse_matrices_does_what_it_says(follow):
    pytest.importorskip("anndata")
    assert follow("guides/sparse.md") == {"sh", "python"}


def test_a_page_that_lies_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\necho 1 a\n```\n```text\n1 b\n```\n```toml\n# x.toml\n```\n")
    blocks = list(tutorial.blocks(page))
    assert blocks == [("sh", "echo 1 a\n", "1 b\n"), ("toml", "# x.toml\n", None)]
    printed = tutorial.Reader(tmp_path / "home", str).follow(*blocks[0][:2])
    assert printed == "1 a\n"
    assert tutorial.skeletons(printed) != tutorial.skeletons("1 b\n")
    assert tutorial.skeletons("b -1,000.5, 2.1 s\na") == [("a", []), ("b #", [-1000.5])]


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the king and the queen , the man and the woman : ice is water\n" * 40)
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    exec(code.replace("vector_size=100", "vector_size=4, epochs=2"), {})
    assert (tmp_path / "model.h5").exists()


# ----------------------------------------------------------------------------------------------------------- docstrings


@pytest.fixture(scope="module")
def plaintext() -> Iterator[ModuleType]:
    pytest.importorskip("sphinx")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield importlib.import_module("plaintext")


LISTED = """
    Do `train` to `it`.

    a, b    what they are: 2 * x_, |v|
            and more
    longer  `c`

        code(a,  b)

    No list: no.
    """


def test_docstrings_become_restructured(plaintext):
    assert plaintext.restructured(LISTED) == [
        "Do :py:obj:`~cooc_engine.train` to ``it``.", "",
        "``a``, ``b``", r"    what they are: 2 \* x\_, \|v\| and more", "``longer``", "    ``c``", "",
        "::", "", "    code(a,  b)", "",
        "No list: no.", "",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["plain", "a  b\nc", "a  b\n c  d", "", "  a  b"])
def test_what_is_no_list(plaintext, text):
    assert plaintext.definitions(text.split("\n")) == []


def test_a_backtick_alone_is_an_error(plaintext):
    with pytest.raises(ValueError, match="a backtick without another"):
        plaintext.restructured("one ` only")


# ------------------------------------------------------------------------------------------------------------ the pages


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The built pages, made as `scripts/docs` makes them, and with a proxy that is not there: nothing is fetched."""
    pytest.importorskip("myst_parser")
    out = tmp_path_factory.mktemp("docs")
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "sphinx", *BUILD, "-d", out / "trees", DOCS, out / "html"]
    run = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return out / "html"


def test_the_script_builds_as_strictly_as_the_test():
    assert " ".join(BUILD) in (ROOT / "scripts" / "docs").read_text()
    assert "scripts/docs" in (ROOT / ".ci" / "run").read_text().split()


def page_of(pages: Path, name: str) -> str:
    return (pages / "reference" / "python" / f"cooc_engine.{name}.html").read_text("utf-8")


def test_every_public_name_has_a_page(pages):
    listed = (pages / "reference" / "python.html").read_text("utf-8")
    for name in cooc_engine.__all__:
        assert f'id="cooc_engine.{name}"' in page_of(pages, name)
        assert f'href="python/cooc_engine.{name}.html' in listed


def test_every_option_of_python_is_on_its_page(pages):
    classes = [cls for name in cooc_engine.__all__ if isinstance(cls := getattr(cooc_engine, name), type)]
    for cls in [cls for cls in classes if issubclass(cls, Options)]:
        entry = page_of(pages, cls.__name__).partition(f'id="cooc_engine.{cls.__name__}"')[2].partition('<dt class="sig')[0]
        shown = re.findall(r'<dt><code[^>]*><span class="pre">(\w+)</span>', entry)
        assert shown == [field.name for field in dataclasses.fields(cls)], cls


def test_every_command_has_a_page_with_its_flags(pages):
    listed = (pages / "reference" / "commands.html").read_text("utf-8")
    found = list(commands(command_line()))
    assert {("encode",), ("train", "glove"), ("eval",)} <= {path for path, _ in found}
    for path, command in found:
        name = f"commands/{'-'.join(path)}.html"
        section = html.unescape((pages / "reference" / name).read_text("utf-8"))
        assert f'href="{name}"' in listed
        assert "--no-" not in section, "a switch has no opposite here"
        assert "For example:" in section and f"cooc-engine {' '.join(path)} " in section
        shown = set(re.sub("<[^>]*>", " ", section).replace(",", " ").split())
        for argument in command.assemble_argument_collection():
            if argument.show:
                assert argument.names[0] in shown or argument.names[0].upper() in shown, (path, argument.names)


def test_pages_ask_for_nothing_from_elsewhere(pages):
    for page in [*pages.rglob("*.html"), *pages.rglob("*.css")]:
        text = page.read_text("utf-8")
        asked = re.findall(r"""(?:\bsrc=|<link[^>]*\bhref=|url\(|@import)\s*["']?(?:https?:)?//[^\s"')]*""", text)
        assert not asked, page.name


@functools.cache
def flags() -> set[str]:
    """Every flag of every command, and those of other programs that are understood."""
    app = command_line()
    known = {name for _, command in commands(app) for arg in command.assemble_argument_collection() for name in arg.names}
    return known | {name for name in app if name.startswith("-")} | set(FOREIGN)


OTHERS = {  # flags of Dask and SLURM
    "--nthreads", "--memory-limit", "--scheduler-file", "--local-directory", "--death-timeout",
    "--nodes", "--ntasks-per-node", "--cpus-per-task", "--time",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_that_are_spoken_of_exist(page):
    said = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page.read_text("utf-8")))
    assert said <= flags() | OTHERS


FASTTEXT = """
    input output verbose minCount minCountLabel wordNgrams bucket minn maxn t label lr lrUpdateRate dim ws epoch neg loss
    thread pretrainedVectors saveOutput seed autotune-validation autotune-metric autotune-predictions autotune-duration
    autotune-modelsize cutoff retrain qnorm qout dsub
"""
COMMANDS = """
    supervised quantize test test-label predict predict-prob skipgram cbow print-word-vectors print-sentence-vectors
    print-ngrams nn analogies dump
"""


def test_every_flag_and_command_of_fasttext_has_a_line():
    guide = (DOCS / "guides" / "coming-from.md").read_text("utf-8").partition("\n## fastText\n")[2].partition("\n## ")[0]
    wanted = [*(f"-{flag}" for flag in FASTTEXT.split()), *COMMANDS.split()]
    assert [name for name in wanted if not re.search(rf"`{name}[ `]", guide)] == []


def links(page: Path) -> Iterator[str]:
    """Yield the links of a Markdown file that point into this project."""
    prose = tutorial.FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not target.startswith(("http://", "https://", "#")):
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in links(page):
        assert (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page_and_is_short():
    found = {(ROOT / target).resolve() for target in links(ROOT / "README.md")}
    guides = {*(DOCS / "guides").glob("*.md"), *DOCS.glob("*.md")} - {DOCS / "index.md", DOCS / "changelog.md"}
    assert guides <= found
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200


# ------------------------------------------------------------------------------------------------- beside the documentation


def test_the_version_is_the_same_everywhere():
    citation, changes = (ROOT / "CITATION.cff").read_text("utf-8"), (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [cooc_engine.__version__]
    assert re.findall(r"^## \[(.*?)\]", changes, re.MULTILINE)[0] == cooc_engine.__version__


def test_the_citation_has_what_the_format_requires():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    keys = re.findall(r"^([\w-]+):", citation, re.MULTILINE)
    assert len(keys) == len(set(keys)) and {"cff-version", "message", "title", "authors"} <= set(keys)
    assert "cff-version: 1.2.0\n" in citation and "license: Apache-2.0\n" in citation and "type: software\n" in citation
    references = citation.partition("references:\n")[2].split("  - type: ")[1:]
    assert len(references) >= 5
    for reference in references:
        assert all(f"\n    {key}:" in reference for key in ("title", "authors", "year")), reference


def test_sections_of_changes_are_those_of_keep_a_changelog():
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert set(re.findall(r"^### (.*)$", changes, re.MULTILINE)) <= {
        "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security",
    }  # fmt: skip


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", DOCS / "reference" / "layout.md"], ids=lambda page: page.name)
def test_paths_that_are_spoken_of_exist(page):
    spoken = re.findall(r"`((?:[\w.]+/)+[\w.]+|\.ci/run)(?: [^`]*)?`", page.read_text("utf-8"))
    assert len(spoken) > 5
    for path in (path for path in spoken if not path.startswith("..")):
        assert any((root / path).exists() for root in (ROOT, ROOT / "cooc_engine")), path


def test_markers_that_are_spoken_of_exist():
    page, project = (ROOT / "CONTRIBUTING.md").read_text("utf-8"), (ROOT / "pyproject.toml").read_text("utf-8")
    for marker in ("shared", "browser"):
        assert f"`{marker}` marks" in page and f'"{marker}: ' in project


def test_the_layout_tells_of_every_room():
    page = (DOCS / "reference" / "layout.md").read_text("utf-8")
    rooms = {path.parent.name for path in (ROOT / "cooc_engine").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == rooms
