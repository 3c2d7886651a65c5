"""The keywords of a stage: their defaults, and what a function says to one that it does not know."""

from __future__ import annotations

import inspect

import pytest

import cooc_engine
from cooc_engine.errors import UsageError
from cooc_engine.runtime.keywords import (
    FreshKeywords,
    PlanKeywords,
    Run,
    RunKeywords,
    SharedFreshKeywords,
    SharedKeywords,
    SharedPlanKeywords,
    TrainKeywords,
)
from cooc_engine.runtime.machine import usable_cores, usable_threads
from cooc_engine.runtime.progress import Progress
from cooc_engine.runtime.run_options import RunOptions, SharedOptions

RESUMED = ["append", "count", "encode", "import_glove", "import_hdf5", "import_matrix", "merge"]
FRESH = ["encode_documents", "export_glove", "export_hdf5", "run"]
PLANS = ["plan_count", "plan_encode", "plan_merge"]


def call(name, **how):
    """Call a public function with a string for each of its positional arguments."""
    function = getattr(cooc_engine, name)
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    function(*("glove" if p.name == "model" else "x" for p in needed), **how)


def test_defaults_are_filled_in():
    run = Run.of("f", {})
    assert (run.workers, run.force, run.resume, run.checkpoint_every) == (usable_cores(), False, False, 10.0)
    assert run.budget > 0
    assert not run.shown.speaks


def test_what_is_given_stays():
    shown = Progress()
    given = {"threads": 3, "memory": "64M", "force": True, "resume": True, "progress": shown, "checkpoint_every": 2}
    run = Run.of("f", given, TrainKeywords)
    assert (run.workers, run.budget, run.force, run.resume, run.checkpoint_every) == (3, 64 << 20, True, True, 2)
    assert run.shown is shown


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"threads": "2"}, "threads is '2'; it must be of type int"),
        ({"threads": 0}, "threads is 0; it must be at least 1"),
        ({"memory": [1]}, "memory is [1]; it must be of type str or int"),
        ({"memory": -5}, "memory is -5; it must be at least 1"),
        ({"force": "yes"}, "force is 'yes'; it must be of type bool"),
        ({"progress": True}, "progress is True; it must be a Progress, or one of auto, bar, lines, json, none"),
        ({"progress": "loud"}, "progress is 'loud'; it must be a Progress, or one of auto, bar, lines, json, none"),
        ({"checkpoint_every": "5"}, "checkpoint_every is '5'; it must be of type float"),
        ({"processes": 2.5}, "processes is 2.5; it must be of type int"),
    ],
)
def test_keywords_of_another_type_are_refused(given, says):
    with pytest.raises(UsageError) as caught:
        Run(**given)
    assert str(caught.value) == says


def test_progress_may_be_named_by_its_kind(capsys):
    Run(progress="lines").shown.say("well")
    Run(progress="none").shown.say("nothing")
    assert capsys.readouterr().err == "well\n"


@pytest.mark.parametrize(
    ("accepted", "refused"),
    [(PlanKeywords, "force"), (FreshKeywords, "resume"), (RunKeywords, "checkpoint_every"), (TrainKeywords, "epochs")],
)
def test_each_kind_of_stage_takes_its_own_keywords(accepted, refused):
    with pytest.raises(TypeError, match=rf"^f\(\) got an unexpected keyword argument '{refused}'; it takes threads, memory"):
        Run.of("f", {"threads": 1, refused: 1}, accepted)


@pytest.mark.parametrize("name", [*RESUMED, *FRESH, *PLANS, "train"])
def test_an_unknown_keyword_is_named_with_its_function(name):
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'thread'"):
        call(name, thread=1)


@pytest.mark.parametrize("name", [*FRESH, *PLANS])
def test_what_cannot_resume_says_so(name):
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'resume'"):
        call(name, resume=True)


def test_the_command_line_speaks_the_same_words():
    options = RunOptions(threads=2, memory="1G", force=True, progress="none")
    assert set(options.keywords()) == set(RunKeywords.__annotations__)
    assert set(options.fresh_keywords()) == set(FreshKeywords.__annotations__)
    assert Run.of("f", options.keywords()).workers == 2
    shared = SharedOptions(processes=3)
    assert set(shared.keywords()) == set(SharedKeywords.__annotations__)
    assert set(shared.fresh_keywords()) == set(SharedFreshKeywords.__annotations__)


def test_processes_have_their_shares():
    with Run.of("f", {"processes": 3, "threads": 2, "memory": "10M"}, SharedPlanKeywords).shared() as workers:
        assert (workers.count, workers.threads, workers.memory) == (3, 2, 10 << 20)
        assert (workers.here.count, workers.here.threads, workers.here.memory) == (1, 6, 30 << 20)
    with Run.of("f", {"processes": 2}, SharedPlanKeywords).shared() as workers, Run.of("f", {}).shared() as here:
        assert workers.threads == max(1, here.threads // 2) and workers.memory == here.memory // 2
    with pytest.raises(UsageError, match="processes is 0; it must be at least 1"):
        Run.of("f", {"processes": 0}, SharedPlanKeywords)


def test_threads_are_at_most_one_for_each_core():
    assert [usable_threads(wanted) for wanted in (None, 1, 10**9)] == [usable_cores(), 1, usable_cores()]
    for wanted in (0, -3):
        with pytest.raises(UsageError, match=f"threads is {wanted}; it must be at least 1"):
            usable_threads(wanted)
