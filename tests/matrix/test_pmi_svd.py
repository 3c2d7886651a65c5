"""PMI against its twin, and PMI-SVD from counts to a model: within a budget, continued after a kill, always the same bits."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from twins import svd as naive_svd

from cooc_engine.cli.app import main
from cooc_engine.corpus.encode import encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts import directory
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import DivergenceError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.linalg.sparse import SparseRows
from cooc_engine.matrix import pmi, pmi_svd
from cooc_engine.matrix.pmi_svd import memory_plan, train_pmi_svd
from cooc_engine.models import checkpoints
from cooc_engine.models import file as file_module
from cooc_engine.models.checkpoints import Checkpoint
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.runtime.progress import Progress, Stage
from cooc_engine.storage.scratch import in_memory, on_disk
from cooc_engine.vectors.query import Vectors

SLOW = settings(deadline=None, max_examples=25)
WORDS = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    with threadpool_limits(1, "blas"):
        yield


def make_cooc(documents, at: Path, **options) -> Cooc:
    corpus = encode_documents(documents, at / "corpus", EncodeOptions(min_count=1), threads=1)
    return count(corpus, at / "cooc", CountOptions(**{"window": 3, **options}), threads=1)


def dense(rows: SparseRows):
    return scipy.sparse.csr_array((rows.values, rows.columns, rows.offsets), rows.shape).toarray()


def counts_of(cooc: Cooc):
    return scipy.sparse.vstack([cooc.csr(block) for block in cooc.blocks]).toarray()


def transformed(cooc: Cooc, options: PmiSvdOptions, allocate=in_memory):
    with ThreadPoolExecutor(2) as pool:
        return pmi.transform_cooc(cooc, options, allocate, 0, pool, Stage("", None, ""))


# ------------------------------------------------------------------------------------------------------ the transforms

pmi_options = st.builds(
    PmiSvdOptions,
    pmi=st.sampled_from(["ppmi", "pmi", "npmi"]),
    pmi_shift=st.sampled_from([1.0, 2.0, 0.5, 15.0]),
    cds=st.sampled_from([1.0, 0.75, 0.0]),
)
count_options = st.fixed_dictionaries(
    {
        "window": st.integers(1, 4),
        "context_side": st.sampled_from(["both", "left", "right"]),
        "positional": st.booleans(),
        "window_weight": st.sampled_from(["harmonic", "uniform", "dynamic"]),
    }
)


@SLOW
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=9), min_size=1).filter(any), count_options, pmi_options)
def test_every_transform_is_the_twins_with_its_transpose(documents, counting, options):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "BLOCK_ENTRIES", 12)
        cooc = make_cooc(documents, Path(name), **counting)
        rows, transpose = transformed(cooc, options)
        expected = naive_svd.pmi(counts_of(cooc), options.pmi, options.pmi_shift, options.cds)
        assert np.allclose(dense(rows), expected, rtol=1e-6, atol=1e-7)
        if transpose is None:
            assert np.array_equal(dense(rows), dense(rows).T), "it is symmetric to the bit"
        else:
            assert np.array_equal(dense(transpose), dense(rows).T)
        assert (transpose is None) == (pmi.copies(cooc, options) == 1)
        # 0 is the logarithm of a ratio that is above the shift by less than a quotient shows.
        assert options.pmi != "ppmi" or (rows.values >= 0).all()
        assert options.pmi == "ppmi" or rows.entries == cooc.entries


def test_a_pair_that_is_all_there_is_has_npmi_one(tmp_path):
    counts = SparseRows((1, 1), np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32))
    options = PmiSvdOptions(pmi="npmi", cds=1)
    factors = pmi.Factors.of(np.ones(1), np.ones(1), options)
    with ThreadPoolExecutor(1) as pool:
        made = pmi.pmi_rows(counts, np.ones(1), factors, in_memory, pool)
    assert made.values.tolist() == [1]


# ------------------------------------------------------------------------------------------------------------ training


def documents(words: int = 300, seed: int = 3):
    """Text on eight topics, so that there is something to find."""
    rng = np.random.default_rng(seed)
    return [[f"w{8 * k + t}" for k in rng.geometric(8 / words, 30)] for t in rng.integers(0, 8, 400)]


@pytest.fixture(scope="module")
def cooc(tmp_path_factory) -> Cooc:
    return make_cooc(documents(), tmp_path_factory.mktemp("pmi"), window=5)


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> Cooc:
    return make_cooc(documents(), tmp_path_factory.mktemp("left"), window=5, context_side="left")


def bits(model: file_module.Model) -> dict[str, bytes]:
    return {name: model.array(name).tobytes() for name in model.names}


QUICK = PmiSvdOptions(vector_size=20, tol=1e-4)


def quick(**changes) -> PmiSvdOptions:
    return dataclasses.replace(QUICK, **changes)


@pytest.mark.parametrize(
    "changes", [{}, {"cds": 1.0}, {"pmi": "pmi"}, {"pmi": "npmi", "cds": 1.0}, {"pmi_shift": 3.0}], ids=str
)
@pytest.mark.parametrize("solver", ["krylov", "arpack"])
def test_vectors_are_those_of_lapack(cooc, tmp_path, changes, solver):
    options = quick(solver=solver, **changes)
    model = train_pmi_svd(cooc, tmp_path / "model.h5", options)
    matrix = naive_svd.pmi(counts_of(cooc), options.pmi, options.pmi_shift, options.cds)
    sigma = naive_svd.singular_values(matrix, 20)
    words, contexts, values = (model.array(name).astype(float) for name in ("words", "contexts", "singular_values"))
    assert np.allclose(values, sigma, rtol=1e-4)
    left, right = words / np.sqrt(values), contexts / np.sqrt(values)
    for side in naive_svd.residuals(matrix, left, values, right):
        assert (side <= 2e-4 * values).all()
    assert np.allclose(model.array("residuals"), naive_svd.residuals(matrix, left, values, right)[0] / values, atol=1e-5)
    assert model.history[-1]["loss"] <= 2e-4
    assert np.array_equal(model.matrix, model.array("words"))


@pytest.mark.parametrize("eig", [0.0, 0.5, 1.0])
def test_eig_is_the_exponent_of_the_singular_values(cooc, tmp_path, eig):
    model = train_pmi_svd(cooc, tmp_path / "model.h5", quick(eig=eig))
    gram = model.array("words").astype(float).T @ model.array("words")
    expected = model.array("singular_values").astype(float) ** (2 * eig)
    assert np.allclose(gram, np.diag(expected), rtol=1e-5, atol=1e-6 * expected[0])


def test_normalized_vectors_have_length_one(cooc, tmp_path):
    model = train_pmi_svd(cooc, tmp_path / "model.h5", quick(normalize=True))
    plain = train_pmi_svd(cooc, tmp_path / "plain.h5", QUICK)
    for name in ("words", "contexts"):
        rows = plain.array(name).astype(float)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        assert np.allclose(model.array(name), rows / np.where(lengths > 0, lengths, 1), atol=1e-5)


def test_words_of_a_topic_are_neighbours(cooc, tmp_path):
    kv = Vectors(cooc.vocabulary, train_pmi_svd(cooc, tmp_path / "model.h5", quick(vector_size=8)).matrix)
    frequent = kv.index_to_key[:40]
    same = [int(near[1:]) % 8 == int(word[1:]) % 8 for word in frequent for near, _ in kv.most_similar(word, topn=3)]
    assert np.mean(same) > 0.9


@pytest.mark.parametrize("which", ["cooc", "left"])
def test_threads_and_budget_do_not_change_a_bit(which, tmp_path, request, monkeypatch):
    counts = request.getfixturevalue(which)
    whole = train_pmi_svd(counts, tmp_path / "whole.h5", QUICK, threads=2)
    for threads in (1, 3, 4):
        assert bits(train_pmi_svd(counts, tmp_path / f"{threads}.h5", QUICK, threads=threads)) == bits(whole)
    mapped = []
    monkeypatch.setattr(pmi_svd, "on_disk", lambda directory: mapped.append(directory) or on_disk(directory))
    least = memory_plan(counts, QUICK, 2, 0).least
    assert bits(train_pmi_svd(counts, tmp_path / "tight.h5", QUICK, threads=2, memory=least)) == bits(whole)
    assert mapped == [tmp_path]
    with pytest.raises(UsageError, match=r"memory=.* is too little to train pmi-svd") as caught:
        train_pmi_svd(counts, tmp_path / "none.h5", QUICK, threads=2, memory=least - 1)
    assert caught.value.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "3.h5", "4.h5", "tight.h5", "whole.h5"]


def test_positional_counts_have_more_contexts_than_words(tmp_path):
    counts = make_cooc(documents(80), tmp_path, window=2, positional=True)
    model = train_pmi_svd(counts, tmp_path / "model.h5", QUICK)
    assert model.array("contexts").shape == (4 * len(counts.vocabulary), 20)
    expected = naive_svd.singular_values(naive_svd.pmi(counts_of(counts), cds=0.75), 20)
    assert np.allclose(model.array("singular_values"), expected, rtol=1e-4)
    for vectors in ("c", "w+c", "concat"):
        with pytest.raises(UsageError, match="vectors='w'"):
            train_pmi_svd(counts, tmp_path / "other.h5", quick(vectors=vectors))


def test_components_that_are_not_there_are_zero(tmp_path):
    counts = make_cooc([["a", "b"], ["c", "d"]] * 3, tmp_path, window=1)
    model = train_pmi_svd(counts, tmp_path / "model.h5", PmiSvdOptions(vector_size=4, pmi_shift=100, eig=0))
    assert not any(model.array(name).any() for name in model.names), "nothing is above the shift"
    two = train_pmi_svd(counts, tmp_path / "two.h5", PmiSvdOptions(vector_size=4, cds=1))
    assert np.allclose(two.array("singular_values"), np.log(4), rtol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"vector_size": 0},
        {"pmi": "tfidf"},
        {"pmi_shift": 0},
        {"pmi_shift": 1e-320},
        {"cds": -1},
        {"eig": -1},
        {"tol": 0},
        {"tol": 1},
    ],
)
def test_options_that_make_no_sense(fields):
    with pytest.raises(UsageError, match=next(iter(fields))):
        PmiSvdOptions(**fields)


@pytest.mark.parametrize("changes", [{"cds": 200.0}, {"cds": 1e300}, {"eig": 1000.0}], ids=str)
@pytest.mark.parametrize("solver", ["krylov", "arpack"])
def test_powers_that_are_too_large_are_named(cooc, tmp_path, changes, solver):
    (name,) = changes
    with pytest.raises(UsageError, match=rf"{name}\b.*too large"):
        train_pmi_svd(cooc, tmp_path / "model.h5", quick(solver=solver, **changes))
    assert not list(tmp_path.glob("model.h5*")), "nor a checkpoint, which no other options continue"


def test_arpack_that_gives_up_says_so(tmp_path):
    counts = make_cooc(documents(80), tmp_path)
    with pytest.raises(DivergenceError, match=r"ARPACK failed \(.*\); use solver='krylov'") as caught:
        train_pmi_svd(counts, tmp_path / "model.h5", quick(pmi_shift=1e9, solver="arpack"))
    assert "\n" not in str(caught.value)


def test_more_components_than_words_are_refused(cooc, tmp_path):
    with pytest.raises(UsageError, match="vector_size is 5000"):
        train_pmi_svd(cooc, tmp_path / "model.h5", quick(vector_size=5000))
    assert not list(tmp_path.iterdir())


def test_counts_without_entries_are_refused(tmp_path):
    counts = make_cooc([["a"], ["b"]], tmp_path)
    with pytest.raises(InputError, match="no co-occurrences"):
        train_pmi_svd(counts, tmp_path / "model.h5", PmiSvdOptions(vector_size=1))


def test_a_directory_is_not_written_over(cooc, tmp_path):
    with pytest.raises(UsageError, match="is a directory"):
        train_pmi_svd(cooc, tmp_path, QUICK, force=True)


def test_passes_that_do_not_suffice_are_said(cooc, tmp_path):
    class Heard(Progress):
        def say(self, text: str) -> None:
            heard.append(text)

    heard: list[str] = []
    model = train_pmi_svd(cooc, tmp_path / "model.h5", quick(max_passes=1), progress=Heard())
    assert len(model.history) == 1
    assert "--max-passes" in heard[-1]


def test_passes_to_come_are_read_off_a_straight_line():
    falling = [1.0, 1.0, *(10 ** (-k / 4) for k in range(1, 20))]
    assert pmi_svd.passes_to_come(falling[:2], 0.01) is None
    for passes in range(3, 10):
        assert pmi_svd.passes_to_come(falling[:passes], 0.01) == pytest.approx(10 - passes)
    assert pmi_svd.passes_to_come(falling, 0.01) == 0
    assert pmi_svd.passes_to_come([0.5, 0.1, 1.0], 0.01) is None, "it began again, with wider blocks"
    assert pmi_svd.passes_to_come([1.0, 0.0], 0.01) == 0
    assert pmi_svd.passes_to_come([1.0, 0.5], 2.0) == 0


def test_progress_has_an_end(cooc, tmp_path):
    """From the first residual on, the products that are still to come are estimated; at the end they are all there are."""

    class Watching(Progress):
        def end(self, stage: Stage) -> None:
            ended[stage.name] = stage.record()

    ended: dict[str, dict] = {}
    model = train_pmi_svd(cooc, tmp_path / "model.h5", QUICK, progress=Watching())
    record = ended["factorise"]
    assert record["done"] == record["total"] == sum(row["items"] for row in model.history)
    assert "residual" in record["note"]
    train_pmi_svd(cooc, tmp_path / "few.h5", quick(max_passes=2, tol=1e-9), progress=Watching())
    assert ended["factorise"]["total"] == ended["factorise"]["done"], "there is no pass after --max-passes"


# --------------------------------------------------------------------------------------------------- stopped, continued


@pytest.fixture
def stop_after(monkeypatch):
    """Interrupts a run after some passes, as Ctrl-C would."""

    def stop(passes: int) -> None:
        def between(saver, *step, real=Checkpoint.between):
            if len(saver.state.history) == passes:
                os.kill(os.getpid(), signal.SIGINT)
            real(saver, *step)

        monkeypatch.setattr(Checkpoint, "between", between)

    return stop


@pytest.mark.parametrize("passes", [1, 3])
def test_an_interrupted_run_ends_in_the_bits_of_the_whole_one(cooc, tmp_path, stop_after, monkeypatch, passes):
    whole = train_pmi_svd(cooc, tmp_path / "whole.h5", QUICK)
    stop_after(passes)
    with pytest.raises(InterruptedRun, match="resume=True"):
        train_pmi_svd(cooc, tmp_path / "model.h5", QUICK)
    monkeypatch.undo()
    assert not (tmp_path / "model.h5").exists()
    with pytest.raises(UsageError, match="resume=True"):
        train_pmi_svd(cooc, tmp_path / "model.h5", QUICK)
    with pytest.raises(UsageError, match="begun with different eig"):
        train_pmi_svd(cooc, tmp_path / "model.h5", quick(eig=0.0), resume=True)
    resumed = train_pmi_svd(cooc, tmp_path / "model.h5", QUICK, resume=True)
    assert bits(resumed) == bits(whole)
    strip = [{k: v for k, v in record.items() if k != "seconds"} for record in resumed.history]
    assert strip == [{k: v for k, v in record.items() if k != "seconds"} for record in whole.history]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5", "whole.h5"]


KILLED = """
import os, sys
from cooc_engine.matrix import pmi_svd
from cooc_engine.models.checkpoints import Checkpoint
from cooc_engine.models.matrix_options import PmiSvdOptions
real = Checkpoint.between
def between(saver, *step):
    saver.cost = 0.0  # so that each pass is saved, however long that takes
    real(saver, *step)
    if len(saver.state.history) == 3:
        os.kill(os.getpid(), 9)
Checkpoint.between = between
pmi_svd.train_pmi_svd(sys.argv[1], sys.argv[2], PmiSvdOptions(vector_size=20, tol=1e-4))
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint(cooc, tmp_path, monkeypatch):
    whole = train_pmi_svd(cooc, tmp_path / "whole.h5", QUICK)
    done = subprocess.run([sys.executable, "-c", KILLED, cooc.path, tmp_path / "model.h5"], check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    seen = []
    real = Checkpoint.load
    monkeypatch.setattr(Checkpoint, "load", lambda saver: (real(saver), seen.append(len(saver.state.history))))
    resumed = train_pmi_svd(cooc, tmp_path / "model.h5", QUICK, resume=True)
    assert seen == [3]
    assert bits(resumed) == bits(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5", "whole.h5"]


@pytest.mark.parametrize("cost", [0.0, 1e9])
def test_checkpoints_take_a_small_share_of_the_time(cooc, tmp_path, monkeypatch, cost):
    saved = []

    def save(saver, real=Checkpoint.save):
        saved.append(len(saver.state.history))
        real(saver)
        saver.cost = cost

    monkeypatch.setattr(Checkpoint, "save", save)
    monkeypatch.setattr(checkpoints, "WRITING", 1e30)  # the first one is written at once
    passes = len(train_pmi_svd(cooc, tmp_path / "model.h5", QUICK).history)
    assert saved == (list(range(1, passes + 1)) if cost == 0 else [1])


def test_a_full_disk_is_named_and_leaves_nothing(cooc, tmp_path, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "WRITING", 1e30)
    monkeypatch.setattr(checkpoints, "save_arrays", full)
    with pytest.raises(ResourceError, match="resume=True"):
        train_pmi_svd(cooc, tmp_path / "model.h5", QUICK)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------- the command line


def test_the_command_takes_every_option_and_says_what_it_did(cooc, tmp_path, capsys):
    output = tmp_path / "model.h5"
    flags = "--dim 12 --pmi npmi --shift 2 --cds 1 --eig 0 --vectors w+c --normalize --tol 0.05 --max-passes 9 --seed 4"
    command = ["train", "pmi-svd", str(cooc.path), "--output", str(output), *flags.split(), "--threads", "2", "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    peaks = {"peak_memory_bytes", "peak_anonymous_bytes_above_start"}
    assert result.keys() == {"output", "seconds", "threads", "history", *peaks}
    assert result["history"][-1]["loss"] <= 0.05
    expected = PmiSvdOptions(12, "npmi", 2.0, 1.0, 0.0, "w+c", True, 0.05, 9, "krylov", 4)
    assert file_module.open_model(output).config["train"] == expected.record()
    assert main([*command, "--memory", "1M", "--force"]) == 2
    assert "--memory 1.0M is too little to train pmi-svd" in capsys.readouterr().err


@pytest.mark.shared
def test_scores_on_the_shared_text(shared, tmp_path):
    """A tenth of the text is enough to see that the vectors mean something."""
    import lzma

    with lzma.open(shared / "data" / "enwiki-17m.txt.xz", "rt", encoding="utf-8") as file:
        texts = [line.split() for line in (next(file) for _ in range(6000))]
    corpus = encode_documents(texts, tmp_path / "corpus", EncodeOptions(min_count=5))
    counts = count(corpus, tmp_path / "cooc", CountOptions(window=10))
    model = train_pmi_svd(counts, tmp_path / "model.h5")
    rows = evaluate([model.path], pairs=[shared / "data" / "eval" / "wordsim353.tsv"])
    assert {row["kind"]: row["value"] for row in rows}["spearman"] > 0.45
