"""Commands on a disk that fills: one line, nothing half-written, and --resume."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line, left, same_files
from support.disks import limited as disk_limited

LIMITED = """
import resource, signal, sys
from cooc_engine.cli.app import main
from cooc_engine._kernels import counting, encoding, adagrad
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def limited(size: int, *arguments: object) -> tuple[int, str, str]:
    """Run a command whose files cannot grow past `size` bytes."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(size), *map(str, arguments)], capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("size", [100, 1 << 20, 11 << 20])
def test_a_disk_that_fills_while_encoding(call, large, size):
    """At the first words, at a later block while the reader still reads, and when shards are written."""
    encode = ["encode", large / "text.txt", "--output", "corpus", *QUIET]
    assert_one_line(*limited(size, *encode), 4, "corpus: File too large; free some and run again with --resume")
    assert left() == ["corpus.part"]
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, "corpus.part was left by an interrupted run")
    assert_one_line(*call(*encode), 2, "corpus.part: left by an interrupted run; pass --resume")
    assert call(*encode, "--resume")[0] == 0
    assert left() == ["corpus"]
    assert same_files(Path("corpus"), large / "corpus")


@pytest.mark.parametrize("size", [70, 100_000, 1_000_000])
def test_a_disk_that_fills_while_counting(call, large, size):
    count = ["count", large / "corpus", "--output", "cooc", *QUIET]
    assert_one_line(*limited(size, *count), 4, "cooc: File too large; free some and run again with --resume")
    assert left() == ["cooc.part"]
    assert call(*count, "--resume")[0] == 0
    assert same_files(Path("cooc"), large / "cooc")


def test_a_disk_that_fills_while_the_model_is_saved(call, large):
    train = ["train", "glove", large / "cooc", "--output", "m.h5", "--epochs", 1, *QUIET]
    assert_one_line(*limited(100_000, *train), 4, "File too large; free some and run again with --resume")
    assert left() == []
    assert call(*train, "--resume")[0] == 0


def test_the_last_bytes_of_the_spool_are_not_lost(call):
    """Their buffer is written when the file is closed: documents.spool is larger than all else here."""
    Path("text").write_text("a\n" * 1000)
    assert_one_line(*limited(6000, "encode", "text", "--output", "c", *QUIET), 4, "c: File too large")


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "{made}/model.h5", "{made}/model.h5", "--output", "out", "--samples", "100"),
        ("plot", "{made}/model.h5", "--output", "out.png"),
        ("explore", "{made}/model.h5", "--output", "out.html"),
    ],
)
def test_a_disk_that_fills_while_a_page_is_written(call, made, words):
    """Of several files none is left alone."""
    shutil.copy(made / "model.h5", "other.h5")
    Path("pairs").write_text("w1\tw2\t3\nw3\tw4\t4\n")
    command = [word.format(made=made) for word in words]
    if words[0] == "compare":
        command[2:3] = ["other.h5", "--pairs", "pairs"]
    flags = [] if words[0] == "plot" else QUIET
    with disk_limited(20_000):
        done = call(*command, *flags)
    assert_one_line(*done, 4, "File too large; free some and run again")
    assert left() == ["other.h5", "pairs"]


JOB = 'output = "made"\n[encode]\ntexts = ["{made}/text.txt"]\n[count]\n[[train]]\nmodel = "pmi"\n'


def test_a_disk_that_fills_in_a_job(call, made):
    """`run` continues by itself, and has no --resume."""
    Path("job.toml").write_text(JOB.format(made=made))
    with disk_limited(1000):
        code, _, stderr = call("run", "job.toml", *QUIET)
    assert code == 4
    assert "made/corpus: File too large; free some and run the job again" in stderr
    assert "resume" not in stderr


@pytest.fixture
def little_disk(tmp_path):
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(call, large, little_disk):
    encode = ["encode", large / "text.txt", "--output", little_disk / "corpus", *QUIET]
    assert_one_line(*call(*encode), 4, "corpus: No space left on device")
    assert [path.name for path in little_disk.iterdir()] == ["corpus.part"]
    shutil.rmtree(little_disk / "corpus.part")
    count = ["count", large / "corpus", "--output", little_disk / "cooc", *QUIET]
    assert_one_line(*call(*count), 4, "cooc: No space left on device")
