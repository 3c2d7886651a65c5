"""The disk cache of compiled kernels: hit by a second process, missed after any change that matters."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

import cooc_engine
from cooc_engine.cli.app import main
from cooc_engine.runtime import warming
from cooc_engine.runtime.workers import Here

PACKAGE = Path(cooc_engine.__file__).parent

# Imports kernel modules; tells what Numba compiled, and how many kernels came from the disk.
PROBE = """
import importlib, json, sys
from numba.core import event

class Compiled(event.Listener):
    def on_start(self, event): names.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event): pass

names = []
event.register("numba:compile", Compiled())
from cooc_engine._kernels import jit
modules = [importlib.import_module(f"cooc_engine._kernels.{name}") for name in sys.argv[1:]]
dispatchers = {id(k): k for module in modules for k in vars(module).values() if hasattr(k, "stats")}
kernels = [k for k in dispatchers.values() if len(k.signatures)]
print(json.dumps({
    "package": jit.__file__, "compiled": names, "directory": jit.cache_directory(),
    "hits": sum(sum(k.stats.cache_hits.values()) for k in kernels), "kernels": sum(len(k.signatures) for k in kernels),
    "misses": sum(sum(k.stats.cache_misses.values()) for k in kernels),
}))
"""


@pytest.fixture
def package(tmp_path) -> Path:
    """A copy of the package, without what Numba or Python cached beside it."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "site" / "cooc_engine", ignore=shutil.ignore_patterns("__pycache__")))


def probe(package: Path, modules: Sequence[str] = ("coo",), **environment: object) -> dict:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")} | {
        k: str(v) for k, v in environment.items()
    }
    variables |= {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROBE, *modules]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tempfile.gettempdir())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert Path(found["package"]).is_relative_to(package.parent)
    return found


def assert_compiled(found: dict) -> None:
    assert found["hits"] == 0
    assert found["misses"] == found["kernels"] > 1
    assert "round_counts" in found["compiled"]


def assert_read(found: dict) -> None:
    assert found["compiled"] == []
    assert found["hits"] == found["kernels"] > 1
    assert found["misses"] == 0


def test_a_second_process_compiles_nothing_until_something_changes(package, tmp_path):
    cache = tmp_path / "cache"
    first = probe(package, NUMBA_CACHE_DIR=cache)
    assert_compiled(first)
    assert Path(first["directory"]) == cache / "cooc-engine"
    # Neither a touched file with the same content is a change, nor one in a file that these kernels do not import.
    basics = package / "_kernels" / "basics.py"
    os.utime(basics, (1, 1))
    with (package / "_kernels" / "encoding.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert_read(probe(package, NUMBA_CACHE_DIR=cache))
    # Bounds checks are other code.
    assert_compiled(probe(package, NUMBA_CACHE_DIR=cache, NUMBA_BOUNDSCHECK=1))
    # A helper in another file is part of the kernels' code.
    basics.write_text(
        basics.read_text("utf-8").replace("np.uint64(0x94D049BB133111EB)", "np.uint64(0x94D049BB133111ED)"), "utf-8"
    )
    assert_compiled(probe(package, NUMBA_CACHE_DIR=cache, NUMBA_BOUNDSCHECK=1))
    assert_read(probe(package, NUMBA_CACHE_DIR=cache, NUMBA_BOUNDSCHECK=1))


def test_no_module_compiles_a_kernel_again():
    """What is missing is compiled for all other tests too; another process may have overwritten an entry meanwhile."""
    modules = [path.stem for path in sorted((PACKAGE / "_kernels").glob("*.py")) if path.stem != "__init__"]
    for _ in range(3):
        found = probe(PACKAGE, modules)
        if not found["compiled"]:
            break
    assert_read(found)
    assert found["kernels"] > 50


def test_the_cache_stands_beside_the_kernels(package, tmp_path):
    assert_compiled(found := probe(package, HOME=tmp_path / "home"))
    assert Path(found["directory"]) == package / "_kernels" / "__pycache__"
    assert not (tmp_path / "home").exists()


def test_a_read_only_install_uses_the_users_cache(package, tmp_path):
    (package / "_kernels" / "__pycache__").write_text("where a directory cannot be made")
    assert_compiled(found := probe(package, HOME=tmp_path / "home"))
    assert Path(found["directory"]) == tmp_path / "home" / ".cache" / "cooc-engine"
    assert_read(probe(package, HOME=tmp_path / "home"))


def test_without_any_place_it_still_runs(package, tmp_path):
    (package / "_kernels" / "__pycache__").write_text("x")
    (tmp_path / "home").write_text("x")
    (tmp_path / "temporary").mkdir()
    found = probe(package, HOME=tmp_path / "home", TMPDIR=tmp_path / "temporary")
    assert_compiled(found)
    kept = tmp_path / "temporary" / f"cooc-engine-{os.getuid()}"
    assert Path(found["directory"]) == kept and kept.stat().st_mode & 0o777 == 0o700
    assert_read(probe(package, HOME=tmp_path / "home", TMPDIR=tmp_path / "temporary"))
    assert [path.name for path in (tmp_path / "temporary").iterdir()] == [kept.name], "nothing more is left, however often"


def test_a_zipped_install(package, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", package.parent)
    cache = tmp_path / "cache"
    assert_compiled(probe(Path(archive) / "cooc_engine", NUMBA_CACHE_DIR=cache))
    assert_read(probe(Path(archive) / "cooc_engine", NUMBA_CACHE_DIR=cache))


@pytest.fixture
def jit():
    from cooc_engine._kernels import jit

    jit.cache_directory.cache_clear()
    yield jit
    jit.cache_directory.cache_clear()


@pytest.fixture
def places(jit, monkeypatch, tmp_path) -> list[Path]:
    """The candidates of the cache, in the test's own directory."""
    found = [tmp_path / name for name in ("first", "second")]
    monkeypatch.setattr(jit, "_candidates", lambda: found)
    return found


def spoil(place: Path, how: str) -> None:
    """Make a directory one into which somebody else could put files."""
    if how == "link":
        (place.parent / "theirs").mkdir()
        place.symlink_to(place.parent / "theirs")
        return
    place.mkdir()
    if how == "owner":
        os.chown(place, os.getuid() + 7, -1)
    elif how == "parent":
        place.parent.chmod(0o777)
    else:
        place.chmod(0o775 if how == "group" else 0o757)


@pytest.mark.parametrize("how", ["link", "group", "others", "owner"])
@pytest.mark.parametrize("warm", [False, True])
def test_kernels_are_never_loaded_from_where_others_can_write(jit, places, how, warm):
    if how == "owner" and os.getuid():
        pytest.skip("only root can give a directory away")
    spoil(places[0], how)
    if warm:
        (places[0] / jit._mark()).touch()
    assert jit.cache_directory() == str(places[1])
    assert places[1].stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_can_replace_is_none_of_ours(jit, places, tmp_path):
    spoil(places[0], "parent")
    made = Path(jit.cache_directory())
    assert made not in places and made.name.startswith("cooc-engine-")
    shutil.rmtree(made)
    jit.cache_directory.cache_clear()
    tmp_path.chmod(0o1777)
    assert jit.cache_directory() == str(places[0]), "with the sticky bit, as of /tmp, they cannot"


def test_what_is_made_for_one_process_is_deleted_at_its_end(package, tmp_path):
    (tmp_path / "temporary").mkdir(mode=0o777)
    (tmp_path / "temporary").chmod(0o777)
    for place in (package / "_kernels" / "__pycache__", tmp_path / "home"):
        place.write_text("x")
    found = probe(package, ["columns"], HOME=tmp_path / "home", TMPDIR=tmp_path / "temporary")
    assert Path(found["directory"]).is_relative_to(tmp_path / "temporary") and not Path(found["directory"]).exists()
    assert not any(path.name != f"cooc-engine-{os.getuid()}" for path in (tmp_path / "temporary").iterdir())


def test_a_warm_place_need_not_be_writable(jit, places, monkeypatch):
    places[1].mkdir(mode=0o755)
    (places[1] / jit._mark()).touch()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: pytest.fail("nothing is written"))
    assert jit.cache_directory() == str(places[1])


def test_a_first_command_says_why_it_takes_long(package, tmp_path):
    """It is one that needs the kernels of one file, which are compiled in a second."""
    corpus = cooc_engine.encode_documents([["ab", "bc"] * 9], tmp_path / "corpus")
    cooc_engine.train("fasttext", corpus, tmp_path / "m.h5", vector_size=2, epochs=1, buckets=9, subsample=0)
    variables = {**os.environ, "PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "cooc_engine", "get-subwords", "m.h5", "abc"]
    first, second = (subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stderr.count("compiling kernels for this processor, once") == 1 and str(tmp_path / "cache") in first.stderr
    assert "compiling" not in second.stderr and first.stdout == second.stdout


def test_warm_loads_all_kernels_and_says_where_they_are(jit, places, monkeypatch, capsys):
    """What takes longest comes first, and what would compile it too only when it is there."""
    places[0].mkdir()
    loaded = []
    monkeypatch.setattr(warming, "importlib", SimpleNamespace(import_module=lambda name: loaded.append(name.split(".")[-1])))
    monkeypatch.setattr(warming, "Processes", lambda count, threads, memory: Here(threads, memory))
    assert main(["warm", "--json", "--progress", "none"]) == 0
    assert json.loads(capsys.readouterr().out) == {"directory": str(places[0]), "compiled": 0}
    assert (places[0] / jit._mark()).exists()
    assert sorted(loaded) == sorted(path.stem for path in (PACKAGE / "_kernels").glob("*.py") if path.stem != "__init__")
    assert loaded[0] == warming.LONGEST
    waiting = [warming.LONGEST in jit.sources(name) for name in loaded[1:]]
    assert any(waiting) and waiting == sorted(waiting)


def test_what_is_compiled_for_a_file_is_counted(package, tmp_path):
    code = """
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.warming import load
print(load("columns", Stage("", None, "")), load("columns", Stage("", None, "")))
"""
    variables = {**os.environ, "PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("1 0\n", "")


def test_a_place_that_cannot_be_written_is_passed_over(jit, monkeypatch, tmp_path):
    """Permissions do not bind root, so the refusal is made."""
    real = tempfile.TemporaryFile

    def refuse(*, dir):
        if Path(dir).name == "__pycache__":
            raise PermissionError(13, "Permission denied", str(dir))
        return real(dir=dir)

    monkeypatch.setattr(jit, "_mark", lambda: "no-mark")
    monkeypatch.setattr(jit.SETTINGS, "CACHE_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert Path(jit.cache_directory()) == tmp_path / ".cache" / "cooc-engine"


def stamp(jit, **options) -> str:
    def kernel():
        pass

    kernel.__module__ = "cooc_engine._kernels.counting"
    return jit._Locator(kernel, {**jit.COMMON, "fastmath": False, **options}).get_source_stamp()


def test_what_the_stamp_depends_on(jit, monkeypatch):
    plain = stamp(jit)
    assert stamp(jit) == plain
    assert stamp(jit, fastmath=set(jit.FAST)) != plain
    assert stamp(jit, error_model="python") != plain
    for name, value in (("BOUNDSCHECK", 1), ("OPT", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(jit.SETTINGS, name, value)
            assert stamp(jit) != plain
    monkeypatch.setattr(jit, "digest", lambda function: "another")
    assert stamp(jit) != plain


def kernel_imports(source: str) -> set[str]:
    """The kernel modules named by the import statements of a file, whatever their form."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module}"} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if "_kernels" in name or name.startswith(".")}


def test_the_digest_covers_every_file_that_a_kernel_file_imports(jit):
    """A kernel's code holds that of the helpers of other files; the search for these knows one form of import statement."""
    files = {path.stem: path.read_text("utf-8") for path in (PACKAGE / "_kernels").glob("*.py")}
    del files["later"]  # which leads to kernel files from elsewhere
    for name, source in files.items():
        direct = {f"cooc_engine._kernels.{found.decode()}" for found in jit.IMPORT.findall(source.encode())}
        imported = kernel_imports(source)
        assert {module for module in imported if module.count(".") == 2} == direct, name
        reached = {name}.union(*(jit.sources(module.rpartition(".")[2]) for module in direct))
        assert set(jit.sources(name)) == reached and "later" not in reached
    assert set(jit.sources("sgd")) > {"sgd", "step", "examples", "simd", "basics", "jit"}
    assert "encoding" not in jit.sources("sgd")


def test_kernels_take_nothing_but_their_types():
    """An array of another type is an error, not a second compilation in the middle of a stage."""
    import numpy as np

    from cooc_engine._kernels import counting

    counts = np.zeros(2, np.int64)
    counting.histogram(np.array([1, 1, 0], np.int32), counts)
    assert counts.tolist() == [1, 2]
    with pytest.raises(TypeError, match="No matching definition"):
        counting.histogram(np.array([1, 1, 0], np.int64), counts)


def test_no_nan_is_assumed_away(jit):
    assert not {"nnan", "ninf", "fast"} & jit.FAST
