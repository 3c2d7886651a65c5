"""Two runs that write one output: the second is refused, even if the first ends just before it would begin to write."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.elmo import TINY, random_network
from support.models import make_data

import cooc_engine
from cooc_engine.contextual.file import elmo_data, imported_config
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.errors import UsageError
from cooc_engine.models.file import save_model
from cooc_engine.reports.table import write_scores
from cooc_engine.storage import locks
from cooc_engine.storage.outputs import write_files, write_whole
from cooc_engine.vectors.layer_mix import LayerMix

FIRST = b"of the first run"
FILES: dict[str, Callable[[Path, Path], object]] = {  # what is given: the directory of inputs, and the output
    "plot": lambda at, out: cooc_engine.plot(at / "m.h5", out, words=3),
    "explore": lambda at, out: cooc_engine.explore(at / "m.h5", out),
    "compare": lambda at, out: cooc_engine.compare({"one": at / "m.h5", "two": at / "m.h5"}, out),
    "export": lambda at, out: cooc_engine.export_vectors(at / "m.h5", out),
    "export-counts": lambda at, out: cooc_engine.export_hdf5(at / "cooc", out),
    "import": lambda at, out: cooc_engine.import_vectors(at / "v.txt", out),
    "align": lambda at, out: cooc_engine.align(at / "m.h5", at / "m.h5", out),
    "quantize": lambda at, out: cooc_engine.quantize(at / "m.h5", out, threads=1),
    "train": lambda at, out: cooc_engine.train("pmi", at / "cooc", out, threads=1),
    "embed": lambda at, out: cooc_engine.embed(at / "elmo.h5", at / "t.txt", out, threads=1),
    "scores": lambda at, out: write_scores([{"model": "m"}], out, force=False),
    "mix": lambda at, out: LayerMix(1.0, (0.0, 0.0)).save(out),
    "lines": lambda at, out: write_files({out: b"x"}),
}
SUFFIXES = {"plot": ".svg", "explore": ".html", "compare": ".html", "export": ".txt"}
DIRECTORIES: dict[str, Callable[[Path, Path], object]] = {
    "encode": lambda at, out: encode(at / "t.txt", out, EncodeOptions(min_count=1)),
    "count": lambda at, out: count(at / "corpus", out, threads=1),
    "pairs": lambda at, out: cooc_engine.count_pairs(at / "t.txt", out, separator="space", threads=1),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory) -> Path:
    at = tmp_path_factory.mktemp("inputs")
    (at / "t.txt").write_text("a b\nb a\n")
    (at / "v.txt").write_text("2 2\na 1 2\nb 2 3\n")
    save_model(at / "m.h5", make_data(9, 4))
    words = make_data(9).vocabulary
    save_model(at / "elmo.h5", elmo_data(random_network(), words, {"import": imported_config(TINY)}, {}))
    count(encode(at / "t.txt", at / "corpus", EncodeOptions(min_count=1)), at / "cooc", threads=1)
    return at


def before_the_lock(monkeypatch, rival: Callable[[], object]) -> None:
    """Another run ends when a lock is about to be taken."""
    took = fcntl.flock

    def flock(*given: int) -> None:
        rival()
        took(*given)

    monkeypatch.setattr(locks.fcntl, "flock", flock)


@pytest.mark.parametrize("verb", FILES)
def test_a_file_that_another_run_has_just_written_stays(at, tmp_path, monkeypatch, verb):
    out = tmp_path / f"out{SUFFIXES.get(verb, '.h5')}"
    before_the_lock(monkeypatch, lambda: out.write_bytes(FIRST))
    with pytest.raises(UsageError, match="exists; pass force=True to replace it"):
        FILES[verb](at, out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {out.name: FIRST}


@pytest.mark.parametrize("verb", DIRECTORIES)
def test_a_directory_that_another_run_has_just_made_stays(at, tmp_path, monkeypatch, verb):
    out = tmp_path / "out"
    before_the_lock(monkeypatch, lambda: out.exists() or shutil.copytree(at / "cooc", out))
    with pytest.raises(UsageError, match="exists; pass force=True to replace it"):
        DIRECTORIES[verb](at, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(out.iterdir()) == sorted(out / path.name for path in (at / "cooc").iterdir())


@pytest.mark.parametrize("verb", ["embed", "encode"])
def test_a_directory_that_is_renamed_before_it_is_locked_is_of_another_run(at, tmp_path, monkeypatch, verb):
    out = tmp_path / "out"
    before_the_lock(monkeypatch, lambda: (tmp_path / "out.part").rename(out))
    with pytest.raises(UsageError, match="out: another run is working on it"):
        {**FILES, **DIRECTORIES}[verb](at, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_goes_before_its_lock_is_opened_is_of_another_run(at, tmp_path, monkeypatch):
    """As at the end of `embed`, which moves its file out of the directory and deletes that."""
    refuse_links = locks.refuse_links
    monkeypatch.setattr(locks, "refuse_links", lambda *paths: shutil.rmtree(paths[0]) or refuse_links(*paths))
    with pytest.raises(UsageError, match="out: another run is working on it"):
        FILES["embed"](at, tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_a_lock_on_a_file_that_has_been_replaced_holds_nothing(tmp_path, monkeypatch):
    lock = tmp_path / "m.h5.lock"

    def replaced() -> None:
        lock.unlink()
        lock.touch()

    before_the_lock(monkeypatch, replaced)
    with pytest.raises(UsageError, match=r"m\.h5: another run is working on it"), locks.locked(lock):
        pass


def test_two_runs_do_not_write_a_small_file_under_one_temporary_name(tmp_path):
    with locks.locked(tmp_path / "table.json.part"), pytest.raises(UsageError, match=r"table\.json: another run"):
        write_whole(tmp_path / "table.json", b"{}")
    assert not (tmp_path / "table.json").exists()


@pytest.mark.parametrize("how", [{"force": True}, {"resume": True}])
def test_the_work_of_a_run_on_a_text_is_not_deleted_by_another(at, tmp_path, how):
    """Whether that one is to begin anew, or takes what is there for what a killed run left at its very end."""
    out, work = tmp_path / "m", tmp_path / "m.work"
    shutil.copytree(at / "cooc", out)
    (work / "corpus").mkdir(parents=True)
    with locks.locked(work / "lock"), pytest.raises(UsageError, match="m: another run is working on it"):
        cooc_engine.append(at / "cooc", at / "t.txt", out, **how)
    assert sorted(path.name for path in work.iterdir()) == ["corpus", "lock"]


def test_what_is_replaced_is_told_only_by_the_run_that_replaces_it(at, tmp_path):
    said = []

    class Said(cooc_engine.Progress):
        def say(self, text):
            said.append(text)

    out = tmp_path / "out"
    (tmp_path / "out.part").mkdir()
    with locks.locked(tmp_path / "out.part" / "lock"), pytest.raises(UsageError, match="another run"):
        encode(at / "t.txt", out, EncodeOptions(min_count=1), force=True, progress=Said())
    assert not said
