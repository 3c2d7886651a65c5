"""What is shared among workers has the bytes of one process: encoding, counting, merging, and what is made of them."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from support.corpora import contents

from cooc_engine import append, run, train
from cooc_engine.cli.app import main
from cooc_engine.corpus import encode as encode_module
from cooc_engine.corpus import ranges, second_pass
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.corpus.ranges import RangesCheckpoint
from cooc_engine.corpus.word_table import HEAD_BYTES
from cooc_engine.counts import count as count_module
from cooc_engine.counts import directory
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import _StoredCooc, merge
from cooc_engine.counts.options import CountOptions
from cooc_engine.errors import FormatError, InputError, InterruptedRun, UsageError
from cooc_engine.matrix import pmi_slabs, pmi_svd, tiles
from cooc_engine.matrix.pmi_svd import train_pmi_svd
from cooc_engine.models.checkpoints import Checkpoint
from cooc_engine.models.file import open_model
from cooc_engine.models.matrix_options import PmiSvdOptions
from cooc_engine.runtime.keywords import Run
from cooc_engine.runtime.machine import default_memory
from cooc_engine.runtime.processes import Processes
from cooc_engine.runtime.progress import Stage
from cooc_engine.storage.arrays import Bound
from cooc_engine.storage.outputs import write_record

ALL, WINDOW = EncodeOptions(min_count=1), CountOptions(window=3)


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> list[Path]:
    """Files of every kind: with a mark of UTF-8, compressed, empty, of empty lines, without a last line end."""
    at, chance = tmp_path_factory.mktemp("texts"), np.random.default_rng(3)
    lines = [" ".join(f"w{i % 200}" for i in chance.zipf(1.4, chance.integers(0, 30))) for _ in range(500)]
    parts = [
        b"\xef\xbb\xbf" + "\n".join(lines[:150]).encode(), gzip.compress("\n".join(lines[150:200]).encode()), b"",
        "\n".join(lines[200:320]).encode() + b"\n\n", b"\n\n", "\n".join(lines[320:]).encode(),
    ]  # fmt: skip
    paths = [at / f"{number}.txt" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    return paths


@pytest.fixture(scope="module", autouse=True)
def small():
    """Shards and blocks so small that there are many, and few words that are many; only who cuts the work needs to know."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "SHARED_BYTES", 1)
        patch.setattr(second_pass, "SHARD_TOKENS", 700)
        patch.setattr(directory, "BLOCK_ENTRIES", 4000)
        yield


@pytest.fixture(scope="module")
def alone(texts, tmp_path_factory) -> Path:
    """What one process makes."""
    at = tmp_path_factory.mktemp("alone")
    encode(texts, at / "corpus", ALL)
    count(at / "corpus", at / "cooc", WINDOW)
    encode(texts[3:], at / "news", EncodeOptions(vocabulary=str(at / "corpus")))
    count(at / "news", at / "newer", WINDOW)
    merge([at / "cooc", at / "newer"], at / "sum")
    return at


@pytest.fixture(scope="module", params=["processes", pytest.param("dask", marks=pytest.mark.cluster)])
def workers(request):
    if request.param == "dask":
        from cooc_engine.runtime.cluster import OnDask

        yield OnDask(request.getfixturevalue("client"), 1, 1 << 30)
        return
    made = Processes(2, 1, 1 << 30)
    with made.at(Path()):
        yield made


@contextmanager
def sharing(workers) -> Iterator[None]:
    """Have every stage shared by workers, which outlive it unless it fails; a small text is counted in runs too."""

    @contextmanager
    def at(work: Path) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with workers.at(work):
                raise

    lasting = copy.copy(workers)
    lasting.local = False
    if isinstance(lasting, Processes):
        lasting.at = at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "shared", lambda run: nullcontext(lasting))
        yield


def test_text_is_encoded_to_the_same_bytes(texts, alone, workers, tmp_path):
    with sharing(workers):
        made = encode(texts, tmp_path / "corpus", ALL)
        news = encode(texts[3:], tmp_path / "news", EncodeOptions(vocabulary=str(alone / "corpus")))
    assert contents(made.path) == contents(alone / "corpus") and made.shards > 5
    assert contents(news.path) == contents(alone / "news")


@pytest.mark.parametrize("options", [{"phrases": 1}, {"doc_id_column": 1}], ids=str)
def test_text_that_must_be_read_in_order_is_the_same_too(texts, workers, tmp_path, options):
    """Its first pass is one, and the shards are shared."""
    if "doc_id_column" in options:
        texts = [tmp_path / "a", tmp_path / "b"]
        for text in texts:
            text.write_text("".join(f"{text.name}{n}\tw{n % 7} w{n % 5} w1\n" for n in range(300)))
    whole = encode(texts, tmp_path / "whole", EncodeOptions(min_count=1, **options))
    with sharing(workers):
        made = encode(texts, tmp_path / "made", EncodeOptions(min_count=1, **options))
    assert contents(made.path) == contents(whole.path)


@pytest.mark.parametrize("options", [{"lowercase": True}, {"document": "file"}, {"encoding": "latin-1"}], ids=str)
def test_every_worker_reads_the_text_as_its_options_say(texts, workers, tmp_path, options):
    """As Python code too, in processes of its own."""
    whole = encode(texts, tmp_path / "whole", EncodeOptions(min_count=1, **options))
    with sharing(workers):
        made = encode(texts, tmp_path / "made", EncodeOptions(min_count=1, **options))
    assert contents(made.path) == contents(whole.path)


def test_counts_and_their_sums_have_the_same_bytes(texts, alone, workers, tmp_path):
    with sharing(workers):
        cooc = count(alone / "corpus", tmp_path / "cooc", WINDOW)
        added = merge([alone / "cooc", alone / "newer"], tmp_path / "sum")
        appended = append(alone / "cooc", texts[3:], tmp_path / "appended")
    assert contents(cooc.path) == contents(alone / "cooc") and len(cooc.blocks) > 3
    assert contents(added.path) == contents(appended.path) == contents(alone / "sum")


def test_damaged_counts_are_found_by_those_who_verify_them(alone, workers, tmp_path):
    shutil.copytree(alone / "cooc", tmp_path / "cooc")
    damaged = tmp_path / "cooc" / "values-00002.bin"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with sharing(workers), pytest.raises(FormatError, match=r"values-00002.bin: .*checksum"):
        merge([alone / "cooc", tmp_path / "cooc"], tmp_path / "sum")
    assert [path.name for path in tmp_path.iterdir()] == ["cooc"]


def test_what_others_are_told_of_counts_is_small(alone, tmp_path):
    """They open the directory themselves, if it is still the same."""
    source = _StoredCooc(Cooc(alone / "cooc"))
    told = pickle.dumps(source)
    assert len(told) < 500 and pickle.loads(told).offsets(0, 3).tolist() == source.offsets(0, 3).tolist()
    moved = _StoredCooc(Cooc(shutil.copytree(alone / "cooc", tmp_path / "cooc")))
    shutil.rmtree(tmp_path / "cooc")
    shutil.copytree(alone / "newer", tmp_path / "cooc")
    with pytest.raises(FormatError, match="changed while it was merged"):
        pickle.loads(pickle.dumps(moved))


def test_a_text_that_fits_is_counted_by_one_process_of_the_machine(alone, tmp_path, monkeypatch):
    """Adding up runs would take longer than counting; a text that does not fit is shared."""
    processes, corpus = Processes(2, 1, 1 << 30), Corpus(alone / "corpus")
    fits = count_module._Job.of(corpus, WINDOW, processes)
    assert fits.workers is processes.here and fits.room.threads == 2 and len(fits.runs(None)) == 1
    monkeypatch.setattr(count_module, "beside_segments", lambda memory, words: 16_000)
    large = count_module._Job.of(corpus, WINDOW, processes)
    assert large.workers is processes and large.room.threads == 1 and len(large.runs(None)) > 2


@pytest.mark.parametrize(
    ("model", "source", "said"),
    [
        ("skipgram", "corpus", "since each of its steps needs the one before; encode with it, and"),
        ("pmi", "cooc", "since it takes little longer than reading the counts; encode and count with it, and"),
    ],
)
def test_what_is_trained_on_one_machine_says_why_and_what_to_do(alone, tmp_path, capfd, model, source, said):
    with pytest.raises(UsageError, match=f"^cluster: {model} is trained on one machine, with all its threads, {said}"):
        train(model, alone / source, tmp_path / "m.h5", cluster="tcp://head:8786")
    assert main(["train", model, str(alone / source), "--output", str(tmp_path / "m.h5"), "--processes", "2"]) == 2
    assert "Unknown option: --processes. This model is trained by one process: use the flag" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_job_is_shared(texts, alone, workers, tmp_path, monkeypatch):
    """Models that are trained on one machine too."""
    monkeypatch.setattr(tiles, "LEAST_BLOCKS", 2 * tiles.GROUP_BLOCKS)
    job = tmp_path / "job.toml"
    models = "".join(f"[[train]]\nmodel = '{model}'\nvector-size = 3\nepochs = 1\n" for model in ("glove", "skipgram"))
    job.write_text(f"[encode]\ntexts = {[str(path) for path in texts]}\nmin-count = 1\n[count]\nwindow = 3\n{models}")
    with sharing(workers):
        run(job)
    assert contents(tmp_path / "job" / "corpus") == contents(alone / "corpus")
    made, whole = (
        open_model(tmp_path / "job" / "glove.h5"),
        train("glove", alone / "cooc", tmp_path / "m.h5", vector_size=3, epochs=1),
    )
    assert all(np.array_equal(made.array(name), whole.array(name)) for name in whole.names)


def test_an_error_in_a_text_is_that_of_one_process(texts, workers, tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"a b\nc \xff d\n")
    for how in (nullcontext(), sharing(workers)):
        with how, pytest.raises(InputError) as caught:
            encode([*texts, bad], tmp_path / "corpus", ALL)
        assert str(caught.value).startswith(f"{bad}: byte 0xff is not UTF-8 (at byte 6)")
        assert list(tmp_path.iterdir()) == [bad]


def test_a_damaged_shard_is_named(alone, workers, tmp_path):
    corpus = Path(shutil.copytree(alone / "corpus", tmp_path / "corpus"))
    data = bytearray((corpus / "tokens-00003.bin").read_bytes())
    data[-1] ^= 1
    (corpus / "tokens-00003.bin").write_bytes(data)
    with sharing(workers), pytest.raises(FormatError, match=r"tokens-00003.bin: damaged"):
        count(corpus, tmp_path / "cooc", WINDOW)


@pytest.mark.parametrize(("owner", "name", "calls"), [(RangesCheckpoint, "save", 2), (encode_module, "write_corpus", 0)])
def test_one_process_goes_on_where_workers_stopped(texts, alone, workers, tmp_path, monkeypatch, owner, name, calls):
    original, seen = getattr(owner, name), []

    def stopped(*given):
        seen.append(1)
        if len(seen) > calls:
            raise KeyboardInterrupt
        return original(*given)

    with sharing(workers), monkeypatch.context() as patch, pytest.raises(InterruptedRun, match="continue with resume=True"):
        patch.setattr(owner, name, stopped)
        encode(texts, tmp_path / "corpus", ALL)
    assert (tmp_path / "corpus.part" / "ranges.json").exists()
    assert contents(encode(texts, tmp_path / "corpus", ALL, resume=True).path) == contents(alone / "corpus")


def test_ranges_of_a_text_that_changed_are_not_mixed(texts, workers, tmp_path, monkeypatch):
    copies = [Path(shutil.copy(path, tmp_path)) for path in texts]
    with sharing(workers), monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(encode_module, "write_corpus", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        encode(copies, tmp_path / "corpus", ALL)
    copies[0].write_text("other words\n" * 9)
    made = encode(copies, tmp_path / "corpus", ALL, resume=True)
    assert contents(made.path) == contents(encode(copies, tmp_path / "whole", ALL).path)


def test_a_spool_that_was_damaged_meanwhile_is_refused(texts, workers, tmp_path, monkeypatch):
    with sharing(workers), monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(encode_module, "write_corpus", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        encode(texts, tmp_path / "corpus", ALL)
    spool = next((tmp_path / "corpus.part").glob("range-00003-*-tokens.spool"))
    spool.write_bytes(spool.read_bytes()[:-4] + b"\1\0\0\0")
    with pytest.raises(FormatError, match=r"range-00003-.*tokens.spool: is not what the interrupted run left"):
        encode(texts, tmp_path / "corpus", ALL, resume=True)


def test_the_words_of_a_range_are_checked_before_they_are_followed(texts, workers, tmp_path, monkeypatch):
    """As from a version that wrote tables without groups."""
    with sharing(workers), monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(encode_module, "_rank", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        encode(texts, tmp_path / "corpus", ALL)
    work = tmp_path / "corpus.part"
    table = next(work.glob("range-00003-*-words-00000.spool"))
    table.write_bytes(table.read_bytes()[HEAD_BYTES:])
    record = json.loads((work / "ranges.json").read_text())
    del record["checksum"]
    record["passes"][3]["spools"][table.name] = Bound.of(table)
    write_record(work / "ranges.json", record)
    with pytest.raises(FormatError, match=r"range-00003-.*words-00000.spool: is not what the interrupted run left"):
        encode(texts, tmp_path / "corpus", ALL, resume=True)


def test_the_command_line_shares_work(texts, alone, tmp_path, capfd):
    given = ["encode", *map(str, texts), "--min-count", "1", "--processes", "2", "--threads", "1", "--progress", "none"]
    assert main([*given, "--output", str(tmp_path / "corpus")]) == 0
    assert contents(tmp_path / "corpus") == contents(alone / "corpus")
    assert main([*given, "--output", str(tmp_path / "x"), "--dry-run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["memory_budget"] == default_memory() // 2


@pytest.fixture(scope="module")
def sides(alone, tmp_path_factory) -> dict[str, Path]:
    """Counts whose PMI is symmetric, that whose transpose has the same counts, and counts that must be transposed."""
    at = tmp_path_factory.mktemp("sides")
    count(alone / "corpus", at / "right", CountOptions(window=3, context_side="right"))
    count(alone / "corpus", at / "positions", CountOptions(window=2, positional=True))
    return {"symmetric": alone / "cooc", "right": at / "right", "positions": at / "positions"}


FACTORISED = {
    "symmetric": ("symmetric", {}), "smoothed": ("symmetric", {"cds": 0.75}), "right": ("right", {"pmi": "pmi"}),
    "positions": ("positions", {"vectors": "w"}),
}  # fmt: skip


def bits(model) -> dict[str, bytes]:
    return {name: model.array(name).tobytes() for name in ("words", "contexts", "singular_values", "residuals")}


@pytest.mark.parametrize("case", FACTORISED)
def test_a_matrix_is_factorised_to_the_same_bits(sides, workers, tmp_path, case):
    counts, options = FACTORISED[case][0], PmiSvdOptions(vector_size=9, **FACTORISED[case][1])
    one = train_pmi_svd(sides[counts], tmp_path / "one.h5", options)
    with sharing(workers), pytest.MonkeyPatch.context() as patch:
        patch.setattr(pmi_svd, "transform_cooc", lambda *_: pytest.fail("not shared"))
        two = train_pmi_svd(sides[counts], tmp_path / "two.h5", options)
    assert bits(one) == bits(two)
    assert [epoch["items"] for epoch in one.history] == [epoch["items"] for epoch in two.history]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "two.h5"]


def test_a_worker_that_is_lost_between_products_makes_its_slab_again(sides, tmp_path, monkeypatch):
    """Slabs that do not fit into memory lie in unnamed files; those of the other worker stay."""
    one = train_pmi_svd(sides["right"], tmp_path / "one.h5", PmiSvdOptions(vector_size=9))
    processes, original, written = Processes(2, 1, 1 << 30), pmi_slabs._write, []

    def killing(path: Path, block) -> None:
        original(path, block)
        written.append(path)
        if len(written) == 3:
            processes._all[0].process.kill()

    monkeypatch.setattr(Run, "shared", lambda run: nullcontext(processes))
    monkeypatch.setattr(pmi_slabs, "_write", killing)
    monkeypatch.setattr(pmi_svd, "slab_bytes", lambda *_: 1 << 60)
    two = train_pmi_svd(sides["right"], tmp_path / "two.h5", PmiSvdOptions(vector_size=9))
    assert len(written) > 3 and bits(one) == bits(two)


def test_workers_that_are_threads_of_one_process_hold_a_slab_each(sides, monkeypatch):
    """As they are in a cluster of Dask without processes."""
    cooc, made, original = Cooc(sides["symmetric"]), [], pmi_slabs.Slab.make
    monkeypatch.setattr(pmi_slabs.Slab, "make", lambda slab, *given: made.append(slab) or original(slab, *given))
    slabs = pmi_slabs.cut_slabs(cooc, PmiSvdOptions(vector_size=2), Processes(2, 1, 1 << 30), None)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
        for _ in range(2):
            held = [(one, slabs[0]), (another, slabs[1])]
            assert all(worker.submit(pmi_slabs.hold, slab, Stage("", None, "")).result() for worker, slab in held)
    assert made == slabs


def test_a_factorisation_that_was_shared_is_finished_by_one_process(sides, workers, tmp_path, monkeypatch):
    options = PmiSvdOptions(vector_size=9, tol=1e-6)
    one = train_pmi_svd(sides["symmetric"], tmp_path / "one.h5", options)

    def stopped(self, step: str, whole: bool) -> None:
        self.save()
        raise KeyboardInterrupt

    with sharing(workers), monkeypatch.context() as patch, pytest.raises(InterruptedRun, match="continue with resume=True"):
        patch.setattr(Checkpoint, "between", stopped)
        train_pmi_svd(sides["symmetric"], tmp_path / "two.h5", options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "two.h5.checkpoint"]
    two = train_pmi_svd(sides["symmetric"], tmp_path / "two.h5", options, resume=True)
    assert bits(one) == bits(two)


def test_only_products_of_krylov_are_shared(sides, tmp_path):
    for given in ({"solver": "arpack", "vector_size": 3}, {"solver": "none"}):
        refusal = f"processes: only the products of solver='krylov' can be shared, not .*{given['solver']}"
        with pytest.raises(UsageError, match=refusal):
            train("pmi-svd", sides["right"], tmp_path / "m.h5", **given, processes=2)
    (tmp_path / "m.h5.slabs").mkdir()
    (tmp_path / "m.h5.slabs" / "mine").touch()
    with pytest.raises(UsageError, match="slabs: is in the way; remove it"):
        train("pmi-svd", sides["right"], tmp_path / "m.h5", vector_size=3, processes=2)
