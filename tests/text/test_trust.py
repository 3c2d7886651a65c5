"""A file names no code to run: a function that it records is refused, and when trusted is found on the user's own path only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support.command import QUIET

import cooc_engine
from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import CoocError, FormatError, InputError, UsageError
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.text import tokenizers
from cooc_engine.vectors.query import Vectors

REFUSED = r"m\.h5: splits text by Python code, strange:split, which only runs if you trust it: pass trust_tokenizer=True$"


def save(encode, name: str = "m.h5") -> Path:
    vectors = {"words": np.eye(2, 3, dtype=np.float32)}
    save_model(
        Path(name), ModelData("imported", Vocabulary.from_words(["a", "b"], [2, 1]), vectors, "w", {"encode": encode}, {})
    )
    return Path(name)


@pytest.fixture
def strange(tmp_path, monkeypatch):
    """The working directory, with a module in it that leaves a mark when it is imported, and a model that names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    Path("strange.py").write_text("open('mark', 'w').close()\ndef split(text): return text.split(',')\n")
    Path("pairs").write_text("a\tb\t1\nb\tb\t2\n")
    yield save({"tokenizer": "strange:split"})
    sys.modules.pop("strange", None)


ASKED = {
    "sentence-vector": (["sentence-vector", "m.h5", "a,b"], lambda kv: kv.sentence_vector("a,b")),
    "sentence-similarity": (["sentence-similarity", "m.h5", "a", "b"], lambda kv: kv.sentence_similarity("a", "b")),
    "keywords": (["keywords", "m.h5", "a,b"], lambda kv: kv.keywords("a,b")),
    "eval": (["eval", "m.h5", "--sentence-pairs", "pairs"], lambda kv: kv.knows("a")),
}


@pytest.mark.parametrize("command, ask", ASKED.values(), ids=ASKED)
def test_a_function_that_a_model_names_runs_only_if_it_is_trusted_and_is_on_the_path(
    strange, monkeypatch, capsys, command, ask
):
    with pytest.raises(UsageError, match=REFUSED):
        ask(Vectors.open(strange))
    with pytest.raises(UsageError, match=REFUSED):
        ask(Vectors.open(strange).some(np.array([0, 1])))
    assert main(command) == 2 and "pass --trust-tokenizer" in capsys.readouterr().err
    assert main([*command, "--trust-tokenizer"]) == 2
    assert "strange cannot be imported (ModuleNotFoundError" in capsys.readouterr().err
    assert not Path("mark").exists(), "nothing of the working directory ran"
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert main([*command, "--trust-tokenizer"]) == 0 and capsys.readouterr().out
    ask(Vectors.open(strange, trust_tokenizer=True))
    assert Path("mark").exists()


def test_questions_of_words_need_no_trust(strange):
    assert main(["nn", "m.h5", "a"]) == 0 and main(["info", "m.h5"]) == 0
    assert Vectors.open(strange).sentence_vector(["a", "b"]).tolist() == [1, 1, 0]
    assert not Path("mark").exists()


def test_counts_of_others_add_no_text_by_a_function_of_theirs(strange, monkeypatch):
    Path("text").write_text("a,b,a\n" * 9)
    assert main(["encode", "text", "--output", "corpus", "--tokenizer", "strange:split", "--min-count", "1", *QUIET]) == 0
    assert main(["count", "corpus", "--output", "cooc", *QUIET]) == 0
    Path("mark").unlink()
    with pytest.raises(UsageError, match=r"^cooc: splits text by Python code, strange:split"):
        cooc_engine.append("cooc", "text", "both")
    assert main(["append", "cooc", "text", "--output", "both", "--trust-tokenizer", *QUIET]) == 2
    assert not Path("mark").exists() and not Path("both").exists()
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert main(["append", "cooc", "text", "--output", "both", "--trust-tokenizer", *QUIET]) == 0
    assert cooc_engine.Cooc("both").manifest["tokens"] == 2 * cooc_engine.Cooc("cooc").manifest["tokens"]


@pytest.mark.parametrize(
    "encode",
    [{"tokenizer": 3}, {"tokenizer": "regex", "pattern": ["a"]}, {"tokenizer": "regex", "pattern": "("}, {"hmm": 1}],
)
def test_what_is_no_tokenizer_is_an_error_of_the_file(tmp_path, encode):
    kv = Vectors.open(save(encode, str(tmp_path / "m.h5")))
    with pytest.raises(FormatError, match=r"m\.h5: does not record how its text was split into words"):
        kv.words_of("a b")


def test_a_pattern_has_a_limited_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizers, "PATIENCE", 0.05)
    kv = Vectors.open(save({"tokenizer": "regex", "pattern": "(?:a|aa)+b"}, str(tmp_path / "m.h5")))
    with pytest.raises(
        InputError, match=r"^pattern '\(\?:a\|aa\)\+b' takes too long for a text of 60 characters; simplify it$"
    ):
        kv.sentence_vector("a" * 60)


@pytest.mark.parametrize(
    "pattern", ["(((a?){100}){100}){100}", "(?:a{1000}){2000}", "(" * 5000 + "a" + ")" * 5000, "a" * (1 << 21)]
)
def test_a_pattern_takes_little_memory(pattern):
    with pytest.raises(CoocError, match=r"^pattern .* is (too large|not a regular expression)"):
        cooc_engine.EncodeOptions(tokenizer="regex", pattern=pattern)
