"""The text of the demonstration, its directory, and the picture of a model."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InterruptedRun, UsageError
from cooc_engine.models.matrix_options import GloveOptions
from cooc_engine.pipeline import demo
from cooc_engine.reports import pictures
from cooc_engine.reports.word_map import frequent_words, neighbourhood_map

SOURCE = '''"""The module's Text."""
class A:
    """A class, once."""
    if True:
        async def f(self):
            """Inside a branch."""
            def g(): "Inside a function."
    def again(self):
        """A class, once."""
try:
    pass
except ValueError:
    def h():
        r"""Odd \\d escapes: :math:`x_1` isn't scipy.sparse's."""
def silent():
    return "not a docstring"
'''
LINES = [
    "the module's text .",
    "a class , once .",
    "inside a branch .",
    "inside a function .",
    "odd d escapes : x_1 isn't scipy.sparse's .",
]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of a few files, in place of the installed ones."""
    root = tmp_path / "lib"
    for name, text in {
        "a.py": SOURCE,
        "b.py": '"""Second \\d."""\n',  # an invalid escape warns when parsed
        "broken.py": '"""Never."""\ndef (:\n',
        "nul.py": '"""Never."""\0',
        "tests/c.py": '"""Never: a test."""',
        "idlelib/d.py": '"""Never: a window."""',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(demo, "_roots", lambda: [root])
    monkeypatch.setattr(demo, "_topics", lambda: {"topic": "A *help* topic (1.5)."})
    monkeypatch.setattr(demo, "COMPILED", ("no_such_module",))
    return tmp_path


def test_documentation_of_a_small_tree(tree: Path) -> None:
    path = tree / "text.txt"
    assert demo.write_documentation(path) == 7
    assert path.read_text().splitlines() == ["a help topic ( 1.5 ) .", *LINES, "second d ."]


def test_documentation_is_the_same_twice(tree: Path) -> None:
    paths = [tree / name for name in ("one", "two")]
    for path in paths:
        demo.write_documentation(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_documentation_has_its_name_only_when_it_is_whole(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_object_texts", interrupted)
    before = sorted(tree.iterdir())
    with pytest.raises(InterruptedRun, match=r"text\.txt: interrupted"):
        demo.write_documentation(tree / "text.txt")
    assert sorted(tree.iterdir()) == before


def test_documentation_of_a_compiled_module() -> None:
    texts = demo._object_texts("math")
    assert any("square root" in text for text in texts)
    assert int.__doc__ not in texts and float.__doc__ not in texts  # constants only repeat their type


def test_every_line_is_words_parted_by_spaces() -> None:
    assert demo.tokenize("  >>> np.zeros((2, 3))\n----\n") == "np.zeros ( ( 2 , 3 ) )"
    assert demo.tokenize(":class:`Lock`\u2028naïve\ud800_x") == "lock naïve _x"
    assert demo.tokenize("====") == ""


def test_modules_with_effects_are_not_imported(tmp_path: Path) -> None:
    assert {"antigravity", "this", "_tkinter", "readline"}.isdisjoint(demo.COMPILED)
    assert len(set(demo.COMPILED)) == len(demo.COMPILED)


def test_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "model.h5"
    theirs.write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        demo.demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]
    assert theirs.read_text() == "mine"


def test_directory_of_an_earlier_demo_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_pipeline", lambda output, progress: ["done"])
    output = tmp_path / "made" / "here"
    assert demo.demo(output) == ["done"]
    (output / "model.h5").write_text("old")
    assert demo.demo(output) == ["done"]


def test_interruption_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(output: Path, progress: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_pipeline", interrupted)
    with pytest.raises(InterruptedRun, match=r"interrupted; run the demo again$"):
        demo.demo(tmp_path / "out")


@pytest.mark.parametrize("drawn", [True, False])
def test_whole_pipeline(tree: Path, monkeypatch: pytest.MonkeyPatch, drawn: bool) -> None:
    words = [*demo.SHOWN[:4], "of", "a", "the", "some", "more", "words"]
    rng = np.random.default_rng(1)
    texts = {str(i): " ".join(rng.choice(words, 30)) for i in range(60)}
    monkeypatch.setattr(demo, "_topics", lambda: texts)
    monkeypatch.setattr(demo, "GLOVE", GloveOptions(vector_size=8, epochs=3, x_max=10.0))
    if drawn:
        pytest.importorskip("matplotlib")
        pytest.importorskip("sklearn")
    else:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    output = tree / "out"
    lines = demo.demo(output)
    assert lines == demo.demo(output)  # a second time, over the first
    names = {"README.txt", "documentation.txt", "corpus", "cooc", "model.h5", *(["report.png"] if drawn else [])}
    assert {path.name for path in output.iterdir()} == names
    assert [line.split()[0] for line in lines if line.startswith("  ")] == words[:4]
    assert any("report.png" in line for line in lines) == drawn
    assert any("pip install" in line for line in lines) != drawn


def fake_model(words: int, width: int, epochs: int = 5) -> SimpleNamespace:
    """Vectors in four bundles, words beyond ASCII and with mathematics' dollar signs among them."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(4, width)) * 3
    vectors = (centres[np.arange(words) % 4] + rng.normal(size=(words, width))).astype(np.float32)
    names = ["".join(chr(97 + int(digit)) for digit in f"{i:04d}") for i in range(words)]
    names[-3:] = ["字词", "наука", "a$x$"]
    vocabulary = Vocabulary.from_words(names, range(words + 10, 10, -1))
    history = [{"epoch": i + 1, "loss": 0.1 / (i + 1)} for i in range(epochs)]
    return SimpleNamespace(matrix=vectors, vocabulary=vocabulary, history=history)


def test_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    paths = [pictures.plot_model(fake_model(200, 8), tmp_path / name) for name in ("one.png", "two.png")]
    data = [path.read_bytes() for path in paths]
    assert data[0] == data[1]
    assert data[0].startswith(b"\x89PNG") and 20_000 < len(data[0]) < 2_000_000
    width, height = (int.from_bytes(data[0][at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1920, 1080)
    assert "matplotlib.pyplot" not in sys.modules
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


@pytest.mark.parametrize(("words", "width", "epochs"), [(3, 1, 1), (5, 2, 0), (12, 1, 1), (40, 3, 2)])
def test_picture_of_little(tmp_path: Path, words: int, width: int, epochs: int) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    assert pictures.plot_model(fake_model(words, width, epochs), tmp_path / "small.png").stat().st_size > 5_000


def test_picture_of_equal_vectors(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    model = fake_model(30, 4)
    model.matrix[:] = 1
    assert pictures.plot_model(model, tmp_path / "flat.png").stat().st_size > 5_000


@pytest.mark.parametrize(("module", "name"), [("matplotlib", "matplotlib"), ("sklearn.manifold", "scikit-learn")])
def test_picture_without_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf'^a picture needs {name}: python -m pip install "cooc_engine\[plot\]"$'):
        pictures.plot_model(fake_model(20, 4), tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def test_the_map_keeps_clusters_together() -> None:
    pytest.importorskip("sklearn")
    model = fake_model(120, 16)
    places = neighbourhood_map(model.matrix.astype(np.float64))
    distances = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(len(places))
    same = distances.argmin(axis=1) % 4 == np.arange(len(places)) % 4
    assert np.isfinite(places).all() and same.mean() > 0.95


def test_words_of_the_map() -> None:
    names = [
        *(f"w{'a' * (i + 1)}" for i in range(50)),
        "the",
        ".",
        "x",
        "1.5",
        "array_like",
        "字",
        "numpy.array",
        "word",
    ]
    vocabulary = Vocabulary.from_words(names, range(100, 100 - len(names), -1))
    chosen = [names[row] for row in frequent_words(vocabulary, 300)]
    assert chosen[-4:] == ["the", "array_like", "字", "word"] and len(frequent_words(vocabulary, 2)) == 2
