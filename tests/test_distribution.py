"""The source distribution holds everything that is in version control, and what it holds can be used."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import cooc_engine

ROOT = Path(__file__).resolve().parent.parent
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
USE = "import cooc_engine, cooc_engine.cli.app as app; print(cooc_engine.__file__); app.main(['--version'])"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    pytest.importorskip("setuptools")
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout")
    at = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-c", BUILD, at], cwd=ROOT, check=True, capture_output=True)
    (archive,) = at.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(at, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # which 3.11.2 has not
    return at / archive.name.removesuffix(".tar.gz")


def test_a_wheel_installs_the_manual_page(unpacked, tmp_path):
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=unpacked, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    (page,) = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("data/share/man/man1/cooc-engine.1")]
    assert zipfile.ZipFile(wheel).read(page).decode() == (ROOT / "cooc-engine.1").read_text("utf-8")


def test_the_manual_page_has_all_verbs_and_is_up_to_date():
    spec = importlib.util.spec_from_file_location("manpage", ROOT / "scripts" / "manpage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.PAGE.read_text("utf-8")
    assert page == module.page(), "run: python scripts/manpage.py"
    for verb in ("encode", "train glove", "export\\-counts", "nn"):
        assert f"\n.B \\&{verb}\n" in page


def test_everything_in_version_control_is_in_it(unpacked):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    missing = [name for name in tracked if (ROOT / name).exists() and not (unpacked / name).exists()]
    assert set(missing) <= {".gitignore"}
    assert {"scripts/demo", "data/example.txt", "docs/tutorial.md", "tests/conftest.py"} <= set(tracked)


def test_it_is_imported_and_says_who_made_it(unpacked):
    run = subprocess.run(
        [sys.executable, "-c", USE], cwd=unpacked, env={**os.environ, "PYTHONPATH": str(unpacked)}, capture_output=True
    )
    assert run.stdout.decode().split() == [str(unpacked / "cooc_engine" / "__init__.py"), cooc_engine.__version__]
    metadata = (unpacked / "PKG-INFO").read_text("utf-8")
    for line in (
        "Author: ",
        "Project-URL: Changelog, ",
        "License-Expression: Apache-2.0",
        "Keywords: ",
        "Requires-Python: >=3.10",
    ):
        assert f"\n{line}" in metadata
