"""Workers on a cluster of Dask: errors, losses, and what is refused before anything is done."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from support import tasks

pytest.importorskip("distributed")
import distributed

from cooc_engine import count, encode, train
from cooc_engine.cli.app import main
from cooc_engine.corpus.directory import Corpus
from cooc_engine.errors import DivergenceError, FormatError, InputError, ResourceError, UsageError
from cooc_engine.runtime import cluster, requirements
from cooc_engine.runtime.cluster import OnDask, connected
from cooc_engine.runtime.keywords import Run, SharedKeywords
from cooc_engine.runtime.progress import Stage
from cooc_engine.runtime.requirements import own_facts

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def workers(client, tmp_path_factory):
    made = OnDask(client, None, None)
    with made.at(tmp_path_factory.mktemp("at")):
        yield made


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
    assert re.fullmatch(re.escape(str(error)) + r"( \(found by a worker on .+\))?", str(caught.value))


def test_a_directory_that_a_worker_does_not_see_costs_no_worker(workers, client):
    """It is opened when the task begins, not where messages are decoded: there, an error would end the worker."""
    before = set(client.scheduler_info()["workers"])
    with pytest.raises(InputError, match=r"corpus: no such directory \(found by a worker on .+\)"):
        list(workers.each(tasks.fail, [(tasks.Unseen(),)], stage()))
    assert set(client.scheduler_info()["workers"]) == before


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


def test_a_cluster_of_two_kinds_counts_but_trains_no_model(client, tmp_path, monkeypatch):
    (tmp_path / "text").write_text("one two three one\n" * 50)
    monkeypatch.setattr(requirements, "processor", lambda: {"cpu": "another", "cpu_features": "none"})
    how = {"cluster": client, "threads": 1}
    cooc = count(encode([tmp_path / "text"], tmp_path / "corpus", **how), tmp_path / "cooc", **how)
    with pytest.raises(UsageError, match="this process another"):
        train("pmi-svd", cooc, tmp_path / "m.h5", vector_size=2, **how)


@pytest.mark.parametrize(("limit", "rules"), [(None, ()), (1 << 30, ("memory_target_fraction", "memory_pause_fraction"))])
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
    for name, said in (
        ("scheduler.json", "no such file; pass tcp://HOST:PORT"), ("tcp://127.0.0.1:9", "no scheduler answers"),
        ("http://127.0.0.1:9", "no scheduler answers there .*http"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said), connected(name, None, None):
            pass
    with pytest.raises(UsageError, match="processes and cluster cannot be combined"):
        Run.of("f", {"processes": 2, "cluster": "x"}, SharedKeywords)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"address": 3}', "", "[" * 50_000], ids=["object", "list", "number", "empty", "deep"]
)
def test_a_scheduler_file_without_an_address_is_refused(tmp_path, monkeypatch, content):
    """Dask would fail an assertion, and hang for two minutes at the end."""
    monkeypatch.setattr(cluster, "PAUSE", 0)
    (path := tmp_path / "scheduler.json").write_text(content)
    said = r"scheduler\.json.: holds no address of a scheduler; pass the file"
    with pytest.raises(UsageError, match=said), connected(path, None, None):
        pass


def test_a_scheduler_file_is_awaited_while_it_is_written(client, tmp_path, monkeypatch):
    (path := tmp_path / "scheduler.json").touch()
    monkeypatch.setattr(time, "sleep", lambda _: path.write_text(json.dumps({"address": client.scheduler.address})))
    monkeypatch.setattr(cluster, "SETTLED", 0)
    with connected(path, None, None) as workers:
        assert workers.count == 2


def test_the_command_line_finds_a_cluster_by_its_address(client, tmp_path, monkeypatch, capsys):
    """Names that are relative are those of this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "SETTLED", 0)
    for name in ("a.txt", "b.txt"):
        Path(name).write_text("one two three\n" * 50)
    given = ["--cluster", client.scheduler.address, "--progress", "none", "--output"]
    assert main(["encode", "a.txt", "b.txt", *given, "corpus"]) == 0, capsys.readouterr().err
    assert main(["count", "corpus", *given, "cooc"]) == 0
    assert Corpus("corpus").tokens == 300
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "b.txt", "cooc", "corpus"]


@pytest.mark.parametrize(
    ("fact", "said"), [({"version": "0.0.9"}, "has version"), (None, "does not see it")], ids=["fact", "disk"]
)
def test_a_worker_that_joins_late_is_refused_and_work_kept(workers, monkeypatch, tmp_path, fact, said):
    order = workers._order
    changed = {"ours": dataclasses.replace(order.ours, **fact)} if fact else {"directory": tmp_path / "nothing"}
    monkeypatch.setattr(workers, "_order", dataclasses.replace(order, **changed))
    with pytest.raises(
        ResourceError, match=f"{said}.*; it joined when the work had begun: end it, and continue with resume=True"
    ):
        list(workers.each(tasks.double, [(1,)], stage()))


def test_a_worker_is_checked_once_for_all_tasks_of_a_stage(workers, monkeypatch):
    asked = []
    monkeypatch.setattr(distributed, "get_worker", lambda: None)
    monkeypatch.setattr(cluster, "_facts", lambda worker: asked.append(worker) or workers._order.ours)
    one, another = (dataclasses.replace(workers._order, topic=topic) for topic in "ab")
    for order in (one, copy.copy(one), another, another):
        cluster._refuse_late(order)
    assert len(asked) == 2


def test_workers_that_are_all_lost_are_awaited_for_a_while(workers, monkeypatch):
    original, shown, notes = distributed.wait, stage(), []

    def late(*given):
        if len(notes) == 2:
            return original(*given)
        notes.append(shown.note)
        raise TimeoutError

    monkeypatch.setattr(distributed, "wait", late)
    monkeypatch.setattr(workers, "_has_workers", lambda: False)
    assert list(workers.each(tasks.double, [(1,)], shown)) == [2]
    assert (notes, shown.note) == (["", "there is no worker; waiting for one"], "")
    monkeypatch.setattr(cluster, "ABANDONED", 2 * cluster.LOOKS)
    notes.clear()
    with pytest.raises(ResourceError, match="had no worker for 10 seconds; start some, and continue with resume=True"):
        list(workers.each(tasks.double, [(1,)], shown))


def test_a_scheduler_that_is_lost_leaves_the_work_for_another(client, tmp_path, monkeypatch):
    def lost(*given):
        raise distributed.client.FuturesCancelledError([])

    for name in ("a", "b"):
        (tmp_path / name).write_text("one two three one\n" * 50)
    monkeypatch.setattr(distributed, "wait", lost)
    with pytest.raises(ResourceError, match="the scheduler of the cluster was lost; start it again, and continue with resume"):
        encode([tmp_path / "a", tmp_path / "b"], tmp_path / "corpus", cluster=client)
    assert (tmp_path / "corpus.part" / "plan.json").exists()


def test_a_worker_without_the_package_is_refused(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "only_here", module := ModuleType("only_here"))
    exec("def facts(): pass", module.__dict__)
    with pytest.raises(UsageError, match=r"the worker tcp://.* has another version of cooc-engine, or none .*only_here"):
        cluster._answers(client, module.facts)


def test_workers_of_a_job_that_has_just_begun_are_awaited(client, monkeypatch):
    """The youngest decides; each time one comes, others may."""
    ages, slept = [[30.0, 3.0], [37.0, 10.0, 6.0], [41.0, 14.0, 10.0]], []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(
        cluster, "_facts_of_all", lambda _: {f"{age}": dataclasses.replace(own_facts(), age=age) for age in ages.pop(0)}
    )
    assert OnDask(client, 1, 1, settled=10).count == 3
    assert slept == [7, 4]


def test_a_client_that_cannot_be_used_is_refused(client):
    closed = distributed.Client(client.scheduler.address, set_as_default=False)
    closed.close()
    for unusable, said in ((closed, "closed"), (SimpleNamespace(asynchronous=True, status="running"), "asynchronous")):
        with pytest.raises(UsageError, match=f"cluster: the client is {said}; pass one that is connected"):
            OnDask(unusable, None, None)


def test_a_cluster_that_was_started_in_python_is_taken_as_it_is(client, monkeypatch):
    monkeypatch.setattr(cluster, "SETTLED", 0)
    with connected(client.cluster, None, None) as workers:
        assert workers.count == 2
