"""Workers on a cluster of Dask: errors, losses, and what is refused before anything is done."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import tasks

pytest.importorskip("distributed")
from cooc_engine import count, encode, train
from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import DivergenceError, FormatError, ResourceError, UsageError
from cooc_engine.runtime import cluster
from cooc_engine.runtime.cluster import OnDask, connected
from cooc_engine.runtime.keywords import Run, SharedKeywords
from cooc_engine.runtime.progress import Stage

pytestmark = pytest.mark.cluster
FITS = cluster._Facts("node1", cluster.__version__, cluster._code(), 1, [], 8, 1 << 30, "znver4", "avx2,avx512f,fma", "X86_V3")


@pytest.fixture(scope="module")
def workers(client):
    return OnDask(client, None, None)


def stage() -> Stage:
    return Stage("test", None, "items")


def test_results_come_in_the_order_of_the_items(workers):
    shown = stage()
    assert list(workers.each(tasks.double, ((n,) for n in range(7)), shown)) == [2 * n for n in range(7)]
    wait_until(lambda: shown.done == sum(range(7)))


def wait_until(holds) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("error", [FormatError("x: damaged"), DivergenceError("loss"), MemoryError()], ids=str)
def test_errors_travel(workers, error):
    with pytest.raises(type(error)) as caught:
        list(workers.each(tasks.fail, [(error,)], stage()))
    assert str(caught.value) == str(error)


def test_the_task_of_a_lost_worker_is_carried_out_again(workers, tmp_path):
    shown = stage()
    assert list(workers.each(tasks.die_once, ((tmp_path / "mark", n) for n in range(4)), shown)) == [0, 1, 2, 3]
    wait_until(lambda: shown.done == 6)


def test_a_task_that_is_always_lost_is_given_up(workers):
    with pytest.raises(
        ResourceError, match=r"a task was lost with 4 workers, of which the last was tcp.*out of memory"
    ) as caught:
        list(workers.each(tasks.die, [()], stage()))
    assert caught.value.exit_code == 4


def test_an_interrupt_waits_for_what_is_running(workers, tmp_path):
    mark = tmp_path / "mark"

    def interrupt():
        wait_until(mark.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt), workers.at(tmp_path):
        list(workers.each(tasks.nap, [(mark,)], stage()))
    assert mark.read_text() == "done"
    assert list(tmp_path.iterdir()) == [mark]


def test_a_directory_that_workers_do_not_see_is_refused(workers, tmp_path, monkeypatch):
    """Under that name, each process has a directory of its own."""
    monkeypatch.chdir(tmp_path)
    said = r"a worker on .* does not see it; choose an output on a disk that all"
    with pytest.raises(UsageError, match=said), workers.at(Path("/proc/self/cwd")):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"threads": 32}, "a worker on node1 has 32 threads, .* start workers with --nthreads 1"),
        ({"limits": ["memory_pause_fraction"]}, "counts mapped files as memory .* start workers with --memory-limit 0"),
        ({"version": "0.0.9"}, "a worker on node1 has version 0.0.9, this process has .* install one version"),
        ({"code": "f" * 64}, "has code ffffffffffff, this process has"),
    ],
    ids=lambda fact: str(*fact) if isinstance(fact, dict) else "",
)
def test_workers_that_do_not_fit_are_refused(fact, said):
    cluster._check([FITS])
    with pytest.raises(UsageError) as caught:
        cluster._check([FITS, dataclasses.replace(FITS, **fact)])
    assert re.search(said, caught.value.flags) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"cpu": "haswell", "cpu_features": "avx2,fma"}, r"kind haswell, this process znver4 .*only there: no more.*avx512f\)"),
        ({"cpu_features": "amx,avx2,avx512f,fma"}, r"kind znver4, this process znver4 \(only there: amx; only here: no more\)"),
    ],
    ids=["another", "another of that name"],
)
def test_processors_of_two_kinds_are_refused_where_bits_depend_on_them(fact, said):
    cluster._check_processors([FITS], FITS.cpu, FITS.cpu_features)
    with pytest.raises(UsageError) as caught:
        cluster._check_processors([FITS, dataclasses.replace(FITS, **fact)], FITS.cpu, FITS.cpu_features)
    assert re.search(said, caught.value.flags) and "NUMBA_CPU_NAME" in caught.value.flags and caught.value.exit_code == 2


def test_numpy_of_two_kinds_is_refused_where_its_bits_count():
    cluster._check_numpy([FITS], FITS.numpy)
    with pytest.raises(UsageError, match=r"node2 has code for X86_V3,X86_V4, here for X86_V3, .*NPY_DISABLE_CPU_FEATURES"):
        cluster._check_numpy([FITS, dataclasses.replace(FITS, host="node2", numpy="X86_V3,X86_V4")], FITS.numpy)


def test_a_cluster_of_two_kinds_counts_but_trains_no_model(client, tmp_path, monkeypatch):
    (tmp_path / "text").write_text("one two three one\n" * 50)
    monkeypatch.setattr(cluster, "processor", lambda: {"cpu": "another", "cpu_features": "none"})
    how = {"cluster": client, "threads": 1}
    cooc = count(encode([tmp_path / "text"], tmp_path / "corpus", **how), tmp_path / "cooc", **how)
    with pytest.raises(UsageError, match="this process another"):
        train("pmi-svd", cooc, tmp_path / "m.h5", vector_size=2, **how)


@pytest.mark.parametrize(("limit", "rules"), [(None, []), (1 << 30, ["memory_target_fraction", "memory_pause_fraction"])])
def test_rules_count_where_there_is_a_limit(limit, rules):
    manager = SimpleNamespace(
        memory_limit=limit, memory_target_fraction=0.6, memory_spill_fraction=False, memory_pause_fraction=0.8
    )
    assert cluster._facts(SimpleNamespace(memory_manager=manager, state=SimpleNamespace(nthreads=1))).limits == rules


def test_threads_and_memory_are_shares_of_the_machine(workers):
    assert workers.count == 2
    assert workers.threads == max(1, workers.here.threads // 2) and workers.memory == workers.here.memory // 2


def test_a_cluster_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    for name, said in (("scheduler.json", "no such file; pass tcp://HOST:PORT"), ("tcp://127.0.0.1:9", "no scheduler answers")):
        with pytest.raises(UsageError, match=said), connected(name, None, None):
            pass
    with pytest.raises(UsageError, match="processes and cluster cannot be combined"):
        Run.of("f", {"processes": 2, "cluster": "x"}, SharedKeywords)


def test_the_command_line_finds_a_cluster_by_its_address(client, tmp_path, monkeypatch, capsys):
    """Names that are relative are those of this process."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt"):
        Path(name).write_text("one two three\n" * 50)
    given = ["--cluster", client.scheduler.address, "--progress", "none", "--output"]
    assert main(["encode", "a.txt", "b.txt", *given, "corpus"]) == 0, capsys.readouterr().err
    assert main(["count", "corpus", *given, "cooc"]) == 0
    assert Corpus("corpus").tokens == 300
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "b.txt", "cooc", "corpus"]
