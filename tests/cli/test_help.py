"""What the command line says of itself: grouped help with examples, hints, completion."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess

import pytest
from cyclopts.completion import ShellDetectionError
from support.command import assert_one_line

from cooc_engine.cli import app as module
from cooc_engine.cli.app import VERBS, command_line
from cooc_engine.cli.foreign_flags import modern
from cooc_engine.cli.hints import commands

COMMANDS = dict(commands(command_line()))


WIDTH = 80  # of a terminal that is not wide


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_verb_has_examples_that_are_understood(path):
    examples = inspect.getdoc(COMMANDS[path].default_command).partition("For example:\n\n")[2].partition("\n\n")[0].splitlines()
    assert any(f"cooc-engine {' '.join(path)} " in line for line in examples)
    assert all(len(line) <= WIDTH for line in examples)
    for line in map(str.strip, examples):
        begin, _, words = line.partition("cooc-engine ")
        assert re.fullmatch(r"(cat \*\.txt \| |[A-Z_]+=\S+ )?", begin)
        words = words.partition(" <")[0].partition(" >")[0]
        command_line().parse_args(modern(shlex.split(words)), exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    "words",
    [
        "train supervised text -output m.h5 -minCount 2 -minCountLabel 1 -wordNgrams 2 -bucket 9 -minn 2 -maxn 3 -label L "
        "-lr 0.1 -dim 9 -epoch 1 -neg 5 -loss one-vs-all -thread 1 -pretrainedVectors v.vec -seed 0",
        "train fasttext text -output m.h5 -minCount 2 -bucket 9 -minn 2 -maxn 3 -t 1e-4 -lr 0.1 -dim 9 -ws 4 -epoch 1 -neg 5 "
        "-loss ns -thread 1 -pretrainedVectors v.vec -seed 0",
        "autotune text -output m.h5 -autotune-validation v -autotune-metric f1 -autotune-predictions 1 -autotune-duration 9 "
        "-autotune-modelsize 2M",
        "quantize m.h5 -output s.h5 -cutoff 9 -retrain text -qnorm -qout -dsub 2 -thread 1",
    ],
)
def test_flags_are_understood_as_fasttexts_program_spells_them(words):
    command_line().parse_args(modern(words.split()), exit_on_error=False, print_error=False)


def test_help_is_grouped_in_the_order_of_the_table(call):
    text = call("--help")[1]
    places = [text.index(f"─ {title} ─") for title in [*VERBS, "Flags"]]
    assert places == sorted(places) and "─ Commands ─" not in text
    assert call("help")[1] == text
    shown = call("help", "train", "glove")[1]
    assert shown == call("train", "glove", "--help")[1]
    assert "default: False" not in shown and "default: None" not in shown
    places = [shown.index(f"─ {title} ─") for title in ("Arguments", "Options", "Encoding the text", "Counting", "Running")]
    assert places == sorted(places)
    assert places[1] < shown.index("--x-max") < places[2] < shown.index("--lowercase") < places[3] < shown.index("--threads")


def test_usage_shows_what_repeats(call):
    for verb, repeated in {
        "nn": "MODEL [WORD...]",
        "related": "MODEL WORD...",
        "predict": "MODEL TEXT [K] [THRESHOLD]",
        "encode": "TEXT...",
        "compare": "MODEL...",
        "merge": "COOC...",
    }.items():
        assert call(verb, "--help")[1].splitlines()[0].endswith(repeated)


def test_what_is_missing_is_named(call):
    for arguments, says in (
        (["encode", "text.txt"], "encode needs --output; cooc-engine help encode explains it"),
        (["encode", "text.txt", "--output"], "--output needs a value"),
        (["train", "glove", "cooc"], "train glove needs --output; cooc-engine help train glove explains it"),
        (["nn"], "nn needs MODEL; cooc-engine help nn explains it"),
        (["export", "m.h5", "--output", "m.txt"], "Unknown option: --output. The file to write is the last argument"),
        (["train", "skipgram", "-train", "t"], "The text is an argument, before the flags: train skipgram TEXT --output FILE."),
        (["train", "word2vec", "t"], 'Unknown command "word2vec". Use train skipgram or train cbow.'),
    ):
        assert_one_line(*call(*arguments), 2, says)


def test_the_version(call):
    assert call("-V") == call("--version")
    assert call("-V")[1].strip() == module.__version__


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--init", "Unknown option: --init. It belongs to train glove, train simpler-glove, train skipgram, train cbow and"),
        ("--stopwords", "Unknown option: --stopwords."),
        ("--input=t.txt", "The text is an argument, before the flags: train pmi-svd TEXT --output FILE."),
        ("--sg", "Choose the model by name: train skipgram or train cbow."),
        ("--vectr-size=3", "Unknown option: --vectr-size. Did you mean --vector-size?"),
        ("--dry-run", "It belongs to encode, count, merge, run."),
    ],
)
def test_hints_do_not_mislead(call, flag, says):
    result = call("train", "pmi-svd", "cooc", "--output", "m.h5", flag)
    assert_one_line(*result, 2, says)
    assert "--win" not in result[2] and "--workers" not in result[2] and "--ws" not in result[2]


def test_a_family_that_is_taken_for_a_command_is_found(call):
    assert_one_line(*call("supervised", "text.txt"), 2, "Did you mean train supervised?")
    assert_one_line(*call("skipgram", "text.txt"), 2, "Use train skipgram, or train fasttext for a model with n-grams.")


def test_the_training_text_of_quantize_is_not_its_argument(call):
    assert_one_line(
        *call("quantize", "m.h5", "--output", "q.h5", "-input", "t"), 2, "a text to retrain it on is --retrain TEXT"
    )


def test_commands_of_other_programs_are_named_as_ours(call):
    assert_one_line(*call("print-sentence-vectors", "m.bin"), 2, "Use sentence-vector.")


def test_completion_is_installed_and_completes(call, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, text, _ = call("--install-completion", "--shell", "bash")
    script = tmp_path / ".local/share/bash-completion/completions/cooc-engine"
    assert (code, text) == (0, f"{script}: written, and loaded by new shells\n")
    ask = f'. {script}; COMP_WORDS=(cooc-engine train glove --vec); COMP_CWORD=3; _cooc_engine; echo "${{COMPREPLY[@]}}"'
    assert subprocess.run(["bash", "-c", ask], capture_output=True, text=True).stdout == "--vector-size --vectors\n"


def test_a_shell_that_is_not_known(call, monkeypatch):
    def detect() -> str:
        raise ShellDetectionError

    monkeypatch.setattr("cyclopts.completion.detect.detect_shell", detect)
    assert_one_line(*call("--install-completion"), 2, "the shell is not known; pass --shell bash, zsh or fish")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["trian"], "there is no command 'trian'; did you mean train?"),
        (["train", "glvoe"], "'train glvoe'; did you mean glove?"),
    ],
)
def test_help_for_a_command_that_there_is_not(call, command, says):
    assert_one_line(*call("help", *command), 2, says)
