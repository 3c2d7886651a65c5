"""Errors speak Python in Python, and flags on the command line."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from cooc_engine.cli.app import main
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.errors import SWITCHES, CoocError, UnknownWordError, UsageError
from cooc_engine.evaluation.options import CompareOptions
from cooc_engine.models.families import trainable
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.runtime.keywords import Run


@pytest.mark.parametrize(
    ("text", "flags", "python"),
    [
        ("--cds is -1; it must be at least 0", None, "cds is -1; it must be at least 0"),
        ("m.h5: exists; pass --force to replace it", None, "m.h5: exists; pass force=True to replace it"),
        ("--pmi-shift=2.5: no", "--pmi-shift 2.5: no", "pmi_shift=2.5: no"),
        ("vectors only (--solver=none)", "vectors only (--solver none)", "vectors only (solver='none')"),
        ("pass --memory=11.5M", "pass --memory 11.5M", "pass memory='11.5M'"),
        ("name it with --init FILE; --lr=1e-5", "name it with --init FILE; --lr 1e-5", "name it with init FILE; lr=1e-5"),
        ("/tmp/--force: a name, a -- b, '--force'", None, "/tmp/--force: a name, a -- b, '--force'"),
    ],
)
def test_options_in_the_terms_of_the_reader(text, flags, python):
    error = UsageError(text)
    assert (error.text, error.flags, str(error)) == (text, flags or text, python)


def test_a_word_in_a_message_stands_without_quotes():
    assert str(UnknownWordError("'x' is not in the vocabulary")) == "'x' is not in the vocabulary"
    assert str(CoocError()) == ""


def test_the_same_error_from_python_and_from_the_command_line(capsys, tmp_path):
    with pytest.raises(UsageError, match=r"^cds is -1; it must be at least 0$"):
        PmiSvdOptions(cds=-1)
    assert main(["train", "pmi-svd", str(tmp_path), "--output", "m.h5", "--cds", "-1"]) == 2
    assert capsys.readouterr().err == "cooc-engine: --cds is -1; it must be at least 0\n"


def test_all_switches_are_known():
    """They have no value on the command line, and True in Python."""
    kinds = [EncodeOptions, CompareOptions, Run, *(family.options for family in trainable().values())]
    hints = [(field.name, typing.get_type_hints(kind)[field.name]) for kind in kinds for field in dataclasses.fields(kind)]
    switches = {name.replace("_", "-") for name, hint in hints if hint is bool} - {"normalize"}  # which has a value for texts
    assert switches | {"positional", "trust-tokenizer", "header"} == SWITCHES
