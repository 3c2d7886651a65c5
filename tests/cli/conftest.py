"""A directory for each test of the command line, and what its commands are given: a text and all that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import QUIET, make_text

from cooc_engine.cli.app import main


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Every test works in a directory of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A text, its corpus, its counts and a model; tests copy what they change."""
    path = tmp_path_factory.mktemp("made")
    make_text(path / "text.txt")
    assert main(["encode", str(path / "text.txt"), "--output", str(path / "corpus"), *QUIET]) == 0
    assert main(["count", str(path / "corpus"), "--output", str(path / "cooc"), "--window", "5", *QUIET]) == 0
    train = ["train", "glove", str(path / "cooc"), "--output", str(path / "model.h5")]
    assert main([*train, "--vector-size", "8", "--epochs", "3", *QUIET]) == 0
    return path


@pytest.fixture
def call(capsys):
    """Run a command in this process; returns exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """A text larger than the buffers of its reader, and all that is made of it."""
    path = tmp_path_factory.mktemp("large")
    make_text(path / "text.txt", 3_000_000, 900)
    assert main(["encode", str(path / "text.txt"), "--output", str(path / "corpus"), *QUIET]) == 0
    assert main(["count", str(path / "corpus"), "--output", str(path / "cooc"), *QUIET]) == 0
    return path
