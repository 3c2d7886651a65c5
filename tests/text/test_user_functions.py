"""Functions of users as tokenizers: scripts, jobs and the shell find them, and what fails in them is a line with its place."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import QUIET
from support.corpora import read_back
from support.tokenizing import encode_text, options

from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import InputError, UsageError
from cooc_engine.models.file import open_model
from cooc_engine.text import readers
from cooc_engine.text.tokenizers import DEFAULT_PATTERN, LONGEST_WORD, tokenizer

# ------------------------------------------------------------------------------------------------ what users' code does


FAILURES = {
    "fail": "failed (ValueError: on two lines)",
    "string": "failed (TypeError: it returned a string, not an iterable of words)",
    "nothing": "failed (TypeError: 'NoneType' object is not iterable)",
    "numbers": "gave a word that is not a string (sequence item 0: expected str instance, int found)",
    "spaced": "gave a word that is empty, or holds white space or a NUL: 'New York'",
    "empty": "gave a word that is empty, or holds white space or a NUL: ''",
    "nul": "gave a word that is empty, or holds white space or a NUL: 'a\\x00b'",
    "surrogate": "gave a word with half of a surrogate pair",
    "huge": f"gave a word of {LONGEST_WORD} bytes or more",
}


@pytest.mark.parametrize("function, says", FAILURES.items())
def test_what_goes_wrong_in_a_function_is_one_line_with_its_place(monkeypatch, function, says):
    monkeypatch.setattr(readers, "PIECE_BYTES", 32)
    text = "good line\n" * 20 + "a bad line\n" + "good line\n" * 20 if function == "fail" else "line\n"
    with pytest.raises(InputError) as caught:
        encode_text(text, options(f"mine:{function}"), threads=2)
    assert str(caught.value) == f"text:{21 if function == 'fail' else 1}: tokenizer mine:{function} {says}"
    assert not Path("corpus").exists() and not Path("corpus.part").exists()
    with pytest.raises(InputError) as caught:
        encode_documents(["good", ["word"], "bad", "worse"], "corpus", options(f"mine:{function}"))
    assert str(caught.value).startswith(f"documents: document {3 if function == 'fail' else 1}: tokenizer mine:{function} ")


def test_a_line_of_an_error_is_short():
    Path("mine.py").write_text("def f(text): raise OSError('x' * 10_000)")
    with pytest.raises(InputError, match=r"^text:1: tokenizer mine:f failed \(OSError: x{191} \.\.\.\)$"):
        encode_text("a", options("mine:f"))


@pytest.mark.parametrize(
    "name, says",
    [
        ("nowhere:f", "nowhere cannot be imported (ModuleNotFoundError: No module named 'nowhere')"),
        ("mine:nothere", "mine.py has no nothere"),
        ("mine:Home.nothere", "mine.py has no Home.nothere"),
        ("mine:word", "is not a function, but 'no function'"),
        ("broken:f", "broken cannot be imported (SyntaxError: "),
        ("leaving:f", "leaving cannot be imported (SystemExit: 5)"),
        ("dying:f", "its process ended with code 7 while starting"),
    ],
)
def test_a_function_that_is_not_there(capsys, name, says):
    Path("broken.py").write_text("def f(:")
    Path("leaving.py").write_text("import sys\nsys.exit(5)")
    Path("dying.py").write_text("import os\nos._exit(7)")
    Path("text").write_text("a b\n")
    assert main(["encode", "text", "--output", "corpus", "--tokenizer", name, *QUIET]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and err.startswith(f"cooc-engine: --tokenizer {name}: ") and says in err
    assert main(["train", "glove", "text", "--output", "model.h5", "--tokenizer", name, *QUIET]) == 2
    assert not {"corpus", "corpus.part", "model.h5", "model.h5.work"} & {path.name for path in Path().iterdir()}


def test_a_method_and_what_is_printed(capfd):
    corpus = encode_text("b,a\nc", options("mine:Home.cut"))
    assert sorted(corpus.vocabulary.words) == ["a", "b", "c"]
    capfd.readouterr()
    assert encode_text("say\n" * 3, options("mine:shout"), threads=1).vocabulary.words == ["SAY"]
    assert capfd.readouterr() == ("", "printed say\n" * 3)


def test_read_back_of_functions_matches_the_command_line():
    encode_text("a,b\nc\n", options("mine:Home.cut"))
    assert main(["encode", "text", "--output", "c", "--tokenizer", "mine:Home.cut", "--min-count", "1", *QUIET]) == 0
    assert read_back(Corpus("c")) == read_back(Corpus("corpus"))


# ------------------------------------------------------------------------------------------- from scripts and the shell


SCRIPT = """
from cooc_engine import EncodeOptions, encode
corpus = encode("text", "corpus", EncodeOptions(min_count=1, tokenizer={name!r}), threads=2)
print(sorted(corpus.vocabulary.words))
def cut(text): return text.split()
"""


def python(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, check=False, **more)


@pytest.mark.parametrize("name", ["regex", "mine:split"])
def test_a_script_needs_no_main_guard(name):
    Path("text").write_text("b a\n")
    Path("elsewhere").mkdir()
    Path("elsewhere/script.py").write_text(SCRIPT.format(name=name))
    done = python("elsewhere/script.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a', 'b']\n", "")


def test_a_script_that_is_its_own_module_and_has_no_guard_says_so():
    Path("text").write_text("b a\n")
    Path("script.py").write_text(SCRIPT.format(name="script:cut"))
    done = python("script.py")
    assert done.returncode == 1
    assert "script cannot be imported (UsageError: the module of the tokenizer encodes text when it is imported" in done.stderr


def test_the_module_path_of_the_caller_reaches_the_processes():
    Path("text").write_text("b a\n")
    Path("library").mkdir()
    Path("mine.py").rename("library/their.py")
    done = python("-c", "import sys; sys.path.insert(0, 'library')\n" + SCRIPT.format(name="their:split"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a', 'b']\n", "")


def test_the_directory_of_the_command_can_be_imported_from():
    """As the installed command starts: without it in the path."""
    Path("text").write_text("b a\n")
    start = "import sys; sys.path[0] = '/nowhere'; from cooc_engine.__main__ import main; main()"
    done = python("-c", start, "encode", "text", "--output", "corpus", "--tokenizer", "mine:split", "--min-count", "1", *QUIET)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_job_and_an_input_from_the_standard_input():
    Path("text").write_text("B a, a\n" * 5)
    encoding = '[encode]\ntexts = ["text"]\ntokenizer = "regex"\nlowercase = true\nmin-count = 1\n'
    Path("job.toml").write_text(encoding + '[[train]]\nmodel = "glove"\nepochs = 1\n')
    assert main(["run", "job.toml", *QUIET]) == 0
    assert main(["run", "job.toml", *QUIET]) == 0
    recorded = open_model(Path("job/glove.h5")).config["encode"]
    assert (recorded["tokenizer"], recorded["pattern"], recorded["lowercase"]) == ("regex", DEFAULT_PATTERN, True)
    assert tokenizer(recorded)("B, don't") == ["b", "don't"]
    train = ["train", "glove", "text", "--output", "model.h5", "--tokenizer", "mine:split", "--epochs", "1", *QUIET]
    assert main(train) == 0
    assert open_model(Path("model.h5")).config["encode"]["tokenizer"] == "mine:split"
    done = python(
        "-m", "cooc_engine", "encode", "-", "--output", "c", "--tokenizer=regex", "--json", *QUIET, input="a, a\n" * 5
    )
    assert json.loads(done.stdout)["tokens"] == 10


# ----------------------------------------------------------------------------------------------------- the function itself


def test_a_function_is_taken_by_its_name(monkeypatch):
    monkeypatch.syspath_prepend(str(Path.cwd()))
    mine = importlib.import_module("mine")
    chosen = EncodeOptions(min_count=1, tokenizer=mine.split)
    assert chosen.tokenizer == "mine:split" and chosen == EncodeOptions(min_count=1, tokenizer="mine:split")
    assert encode_documents(["a b", "c"], "corpus", chosen, threads=1).vocabulary.words == ["a", "b", "c"]


def test_a_function_that_processes_cannot_import_is_refused():
    def local(text):
        return text.split()

    for function in (local, lambda text: text.split(), local.__get__(3)):
        says = r"tokenizer is <.*>, which other processes cannot import; put the function into a module of its own, or pass its"
        with pytest.raises(UsageError, match=says):
            EncodeOptions(tokenizer=function)
