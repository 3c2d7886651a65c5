"""Imports and exports of counts within budgets, stopped, killed, and on disks that fill."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
from support.command import peak
from support.counts import cut_by, files
from support.disks import limited

from cooc_engine.cli.app import main
from cooc_engine.counts import from_coo
from cooc_engine.counts import row_writer as rows_module
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import InterruptedRun, ResourceError, UsageError
from cooc_engine.formats import glove_counts, hdf5_counts
from cooc_engine.formats.glove_counts import RECORD, export_glove, import_glove
from cooc_engine.formats.hdf5_counts import export_hdf5

# -------------------------------------------------------------------------------------------------------------- budgets


MODULES = "cooc_engine.formats.glove_counts cooc_engine._kernels.counting cooc_engine._kernels.coo"


@pytest.mark.parametrize("memory", [18, 24])
def test_a_budget_is_kept_and_changes_no_byte(tmp_path, large, memory):
    arguments = ["import-counts", large / "records", "--vocab", large / "vocab", "--output", tmp_path / "out", "--threads", 2]
    arguments += ["--context-side", "right", "--memory", f"{memory}M"]
    assert peak(MODULES, *arguments) <= 1.1 * memory * 2**20
    assert files(tmp_path / "out") == files(large / "whole")


def test_a_budget_that_cannot_hold_is_refused(tmp_path, large):
    with pytest.raises(UsageError, match=r"memory='4.0M' is too little to import: .* pass memory"):
        import_glove(large / "records", large / "vocab", tmp_path / "out", memory="4M")
    for export in (lambda **how: export_glove(large / "whole", tmp_path / "r", tmp_path / "v", **how),
                   lambda **how: export_hdf5(large / "whole", tmp_path / "h", **how)):  # fmt: skip
        with pytest.raises(UsageError, match=r"memory='100.0K' is too little to export"):
            export(memory="100K")
    assert not list(tmp_path.iterdir())


def test_exports_do_not_depend_on_the_budget(tmp_path, large):
    for memory in ("400K", None):
        export_glove(large / "whole", tmp_path / f"r{memory}", tmp_path / "v", memory=memory, force=True)
        export_hdf5(large / "whole", tmp_path / f"h{memory}", memory=memory)
    assert (tmp_path / "r400K").read_bytes() == (tmp_path / "rNone").read_bytes()
    assert (tmp_path / "h400K").read_bytes() == (tmp_path / "hNone").read_bytes()
    assert (tmp_path / "v").read_bytes() == (large / "vocab").read_bytes()


# --------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("at", range(1, 16, 2))
@pytest.mark.parametrize("run", [50, 10**6])
def test_an_import_goes_on_where_it_was_stopped(tmp_path, small_pieces, monkeypatch, at, run):
    random = np.random.default_rng(1)
    records = np.array([(i + 1, j + 1, 1.0) for i, j in random.integers(0, 20, (300, 2))], RECORD)
    records.tofile(tmp_path / "records")
    (tmp_path / "vocab").write_text("".join(f"w{i:02d} 1\n" for i in range(20)))
    given = tmp_path / "records", tmp_path / "vocab"
    options = CountOptions(context_side="right", window=1)
    whole = files(import_glove(*given, tmp_path / "whole", options).path)
    close, calls = rows_module.ArrayWriter.close, []

    def stopped(self):
        calls.append(self.path.name)
        if len(calls) == at + 3:  # not the vocabulary
            self._file.close()
            raise KeyboardInterrupt
        close(self)

    cut_by(monkeypatch, run)
    monkeypatch.setattr(rows_module.ArrayWriter, "close", stopped)
    with pytest.raises(InterruptedRun, match="resume=True"):
        import_glove(*given, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="resume=True"):
        import_glove(*given, tmp_path / "out", options)
    with pytest.raises(UsageError, match=r"was begun with different window .1, now 10."):
        import_glove(*given, tmp_path / "out", CountOptions(context_side="right"), resume=True)
    assert files(import_glove(*given, tmp_path / "out", options, resume=True, threads=1).path) == whole
    records[::-1].tofile(tmp_path / "records")
    calls.clear()
    with pytest.raises(InterruptedRun):
        import_glove(*given, tmp_path / "other", options)
    records.tofile(tmp_path / "records")
    with pytest.raises(UsageError, match="begun with different"):
        import_glove(*given, tmp_path / "other", options, resume=True)


KILLED = """
import os, signal, sys
from cooc_engine.cli.app import main
from cooc_engine.storage.arrays import ArrayWriter
append, seen = ArrayWriter.append, sys.argv[1]
def killed(writer, *given):
    append(writer, *given)
    if writer.path.name == seen:
        os.kill(os.getpid(), signal.SIGKILL)
ArrayWriter.append = killed
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("seen", ["rows-run-00000.bin", "columns-00000.bin"])
def test_a_killed_import_goes_on(tmp_path, large, seen):
    arguments = ["import-counts", large / "records", "--vocab", large / "vocab", "--output", tmp_path / "out"]
    arguments += ["--context-side", "right", "--memory", "18M", "--threads", "2", "--progress", "none"]
    done = subprocess.run([sys.executable, "-c", KILLED, seen, *map(str, arguments)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["out.part"]
    assert main([*map(str, arguments), "--resume"]) == 0
    assert files(tmp_path / "out") == files(large / "whole")


def test_runs_that_no_longer_fit_are_made_anew(tmp_path, large, monkeypatch):
    given = large / "records", large / "vocab", tmp_path / "out", CountOptions(context_side="right")
    with monkeypatch.context() as patch:
        cut_by(patch, 400_000)
        patch.setattr(from_coo, "_merge_runs", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(InterruptedRun):
            import_glove(*given)
    assert len(list((tmp_path / "out.part").glob("rows-run-*"))) == 3
    back = import_glove(*given, resume=True, memory="18M")
    assert files(back.path) == files(large / "whole")


@pytest.mark.parametrize("size", [70, 3_000, 200_000])
def test_a_disk_that_fills_while_importing(tmp_path, large, monkeypatch, size):
    cut_by(monkeypatch, 700_000)
    with limited(size), pytest.raises(ResourceError, match="resume=True"):
        import_glove(large / "records", large / "vocab", tmp_path / "out", CountOptions(context_side="right"))
    assert [path.name for path in tmp_path.iterdir()] == ["out.part"]
    back = import_glove(large / "records", large / "vocab", tmp_path / "out", CountOptions(context_side="right"), resume=True)
    assert files(back.path) == files(large / "whole")


@pytest.mark.parametrize("size", [0, 100, 20_000, 1_000_000])
def test_a_disk_that_fills_while_exporting_leaves_nothing(tmp_path, large, size):
    (tmp_path / "records").write_text("older")
    with limited(size), pytest.raises(ResourceError, match=r"free some and run again$"):
        export_glove(large / "whole", tmp_path / "records", tmp_path / "vocab", force=True)
    with limited(size), pytest.raises(ResourceError, match=r"free some and run again$"):
        export_hdf5(large / "whole", tmp_path / "counts.h5")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"records": "older"}


def test_an_interrupted_export_leaves_nothing(tmp_path, large, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(glove_counts, "rows_of", stopped)
    monkeypatch.setattr(hdf5_counts, "_csr", stopped)
    with pytest.raises(InterruptedRun):
        export_glove(large / "whole", tmp_path / "records", tmp_path / "vocab")
    with pytest.raises((InterruptedRun, KeyboardInterrupt)):
        export_hdf5(large / "whole", tmp_path / "counts.h5")
    assert not list(tmp_path.iterdir())
