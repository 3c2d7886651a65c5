"""Processes that cut text into words: they change no byte, keep to the budget, leave nothing behind, and fail in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command import QUIET
from support.corpora import BOM_OR_NOT, assert_twin, contents
from support.tokenizing import FUNCTIONS, TEXT, encode_text, options, some_text
from twins import encoding as naive
from twins.tokenizing import naive_pairs, naive_words

from cooc_engine.corpus import allotment
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.first_pass import Spool
from cooc_engine.errors import InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.text import readers, tokenizer_worker
from cooc_engine.text import tokenizer_pool as processes_module
from cooc_engine.text.tokenizer_pool import Processes
from cooc_engine.text.tokenizers import DEFAULT_PATTERN

# --------------------------------------------------------------------------------------------- the same words, in order


lines = st.lists(some_text.map(lambda line: line.replace("\r", "")), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Processes that serve many examples: by tokenizer and their number."""
    home = tmp_path_factory.mktemp("functions")
    (home / "theirs.py").write_text(FUNCTIONS)
    before = Path.cwd()
    os.chdir(home)
    kept = {(name, n): Processes(options(name).cut, n).__enter__() for name in ("regex", "theirs:pairs") for n in (1, 3)}
    os.chdir(before)
    yield kept
    for processes in kept.values():
        processes.__exit__(None)


@settings(deadline=None, max_examples=40)
@given(lines, BOM_OR_NOT, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(16, 200), st.sampled_from([1, 3]))
def test_pieces_come_back_in_order_with_the_words_of_their_lines(running, texts, mark, end, closed, size, count):
    data = mark + (end.join(texts) + (end if closed else "")).encode()
    for name in ("regex", "theirs:pairs"):
        with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
            patch.setattr(readers, "PIECE_BYTES", size)
            path = Path(directory) / "text"
            path.write_bytes(data)
            found = list(running[name, count].words(readers.file_pieces([path, path], 10_000)))
        one = b"".join(words for _, words in found)
        cut = naive_words if name == "regex" else lambda text: [a + b for a, b in naive_pairs(text)]
        wanted = naive.documents([data])  # as many lines, and their ends
        texts_of = [raw.removesuffix(b"\r").decode() for raw in naive.lines(data)]
        assert len(texts_of) == len(wanted)
        assert one == 2 * b"".join(" ".join(cut(text)).encode() + b"\n" for text in texts_of)
        assert sum(piece.read for piece, _ in found) <= 2 * len(data)


def test_the_same_bytes_for_any_processes_and_pieces(monkeypatch):
    seen = []
    for threads, size in ((1, 1 << 18), (2, 1000), (3, 4096)):
        monkeypatch.setattr(readers, "PIECE_BYTES", size)
        corpus = encode_text(TEXT, options("regex", lowercase=True), threads=threads)
        seen.append(contents(corpus.path))
    assert seen[0] == seen[1] == seen[2]
    assert_twin(corpus, [[w.encode() for w in naive_words(line.lower())] for line in TEXT.removesuffix("\n").split("\n")])
    assert corpus.manifest["options"]["pattern"] == DEFAULT_PATTERN


def test_documents_are_cut_and_word_lists_are_not():
    given = ["Don't\nstop, you", ["New", "York,", "x\u00a0y"], [], "", "a\u2028b\x85c, é\r", "日本"]
    docs = [["don't", "stop", "you"], ["New", "York,", "x\u00a0y"], [], [], ["a", "b", "c", "é"], ["日本"]]
    for documents in (given, iter(given)):
        corpus = encode_documents(documents, "corpus", options("regex", lowercase=True), threads=2, force=True)
        assert_twin(corpus, [[word.encode() for word in document] for document in docs])
    encode_documents(["a\nb\r", "é"], "corpus", options("mine:repeat"), force=True)
    assert sorted(Corpus("corpus").vocabulary.words) == ["'a\\nb\\r'", "'é'"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(some_text, some_text.map(naive_words)), min_size=1, max_size=20), st.integers(1, 60))
def test_documents_in_pieces_of_any_size(running, documents, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "PIECE_BYTES", size)
        found = list(running["regex", 3].words(readers.document_pieces(iter(documents), 1000)))
    wanted = [naive_words(document) if isinstance(document, str) else document for document in documents]
    assert b"".join(words for _, words in found) == b"".join(" ".join(words).encode() + b"\n" for words in wanted)
    assert [piece.number for piece, _ in found] == sorted({piece.number for piece, _ in found})


# -------------------------------------------------------------------------------------------------------------- budgets


def test_a_tight_budget_changes_no_byte(monkeypatch):
    whole = contents(encode_text(TEXT, options("mine:split")).path)
    monkeypatch.setattr(readers, "PIECE_BYTES", 1 << 12)
    monkeypatch.setattr(allotment, "LEAST_BLOCK", 1 << 12)
    monkeypatch.setattr(allotment, "LEAST_TABLE", 1 << 16)
    room = allotment.Allotment.of(5 << 18, 2, options("mine:split"))
    assert room.table < 1 << 17 and room.line < 1 << 13
    assert contents(encode_text(TEXT, options("mine:split"), threads=2, memory=5 << 18).path) == whole
    with pytest.raises(UsageError, match=r"too little to encode: .*lines in processes"):
        encode_text(TEXT, options("mine:split"), threads=2, memory=1 << 19)
    with pytest.raises(UsageError, match=r"jieba's dictionaries 192.0M"):
        encode_text(TEXT, options("jieba"), threads=2, memory="128M")


def test_the_plan_holds_the_lines_that_it_allows():
    for memory in (40 << 20, 256 << 20, 4 << 30):
        for threads in (1, 2, 8):
            for name in ("whitespace", "regex", "jieba"):
                try:
                    room = allotment.Allotment.of(memory, threads, options(name))
                except UsageError:
                    continue
                held = threads * allotment.LINE_CUT + processes_module.pieces_under_way(threads) * allotment.LINE_HELD
                rest = {k: v for k, v in room.plan.memory.items() if k in ("blocks of text", "jieba's dictionaries")}
                lines = room.line * held if name != "whitespace" else 0
                assert sum(rest.values()) + lines + threads * allotment.GROWTH * room.table <= memory
                assert room.ranking >= threads * allotment.GROWTH * allotment.LEAST_TABLE


def test_a_long_line_is_one_document_or_is_refused_by_its_number(monkeypatch):
    long = " ".join(f"w{i % 3000}" for i in range(300_000))
    corpus = encode_text(f"first\n{long}\nlast", options("regex"))
    assert corpus.shard(0).offsets.tolist() == [0, 1, 300_001, 300_002]
    with pytest.raises(
        InputError, match=r"^text:2: has more than \d+ bytes, and a line is taken as a whole; split it, or pass more memory"
    ):
        encode_text(f"first\n{long}\nlast", options("regex"), threads=1, memory="48M")
    with pytest.raises(InputError, match=r"^documents: document 2: has more than"):
        encode_documents(["a", long], "corpus", options("regex"), threads=1, memory="48M", force=True)


@pytest.mark.parametrize("size", range(1, 40))
def test_lines_are_limited_wherever_they_are_cut(monkeypatch, size):
    monkeypatch.setattr(readers, "PIECE_BYTES", size)
    for long in (39, 40, 41):
        data = b"a\n" * 3 + b"x" * (long - 1) + b"\nb"
        Path("text").write_bytes(data)
        if long <= 40:
            assert b"".join(piece.text for piece in readers.file_pieces([Path("text")], 40)) == data
        else:
            with pytest.raises(InputError, match=r"^text:4: has more than 40 bytes"):
                list(readers.file_pieces([Path("text")], 40))


# --------------------------------------------------------------------------------------------------- faults of the text


@pytest.mark.parametrize("before", ["", "fine words\n", "\ufeffa ", "é\r\nb ", "w \n" * 300])
@pytest.mark.parametrize("fault", [b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\0", b"\xff\0", b"\0\xff"])
@pytest.mark.parametrize("name", ["regex", "mine:split"])
def test_faults_of_the_text_by_their_byte(monkeypatch, before, fault, name):
    if name == "regex":
        monkeypatch.setattr(readers, "PIECE_BYTES", 64)
    text = before.encode() + fault
    with pytest.raises(InputError, match=rf"^text: (a NUL byte; is|byte 0x).*\(at byte {naive.first_fault(text)}\); name"):
        encode_text(text + b" more\nlines\n", options(name), threads=2)
    assert not Path("corpus").exists() and not Path("corpus.part").exists()


@pytest.mark.parametrize(
    "document, says",
    [
        ("a\0b", "document 2 holds a NUL"),
        ("a \ud800", r"byte 0xed is not UTF-8 \(at byte 7\)"),
        (["a", "\ud800"], "document 2 has a word with half of a surrogate pair"),
        (["a", ""], "document 2 has a word that is empty"),
        (["a\0"], "document 2 has a word that is empty, or holds white space or a NUL: 'a.x00'"),
    ],
)
def test_documents_that_are_no_text(document, says):
    with pytest.raises(InputError, match=says):
        encode_documents(["fine", document], "corpus", options("regex"))


# --------------------------------------------------------------------------------------------------- ends, good and bad


def children() -> set[str]:
    """Processes of this one that have not been waited for."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended since it was listed
            found.update((task / "children").read_text().split())
    return found


@pytest.fixture
def alone():
    """Sees to it that a test leaves no process behind."""
    before = children()
    yield
    assert children() <= before


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(reached) -> None:
    """Look again and again; two minutes are more than a loaded machine needs."""
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.02)


def test_a_process_that_is_killed_is_an_error_that_can_be_resumed(alone, monkeypatch):
    monkeypatch.setattr(readers, "PIECE_BYTES", 32)
    text = "good line\n" * 50 + "die here\n" + "good line\n" * 50
    with pytest.raises(ResourceError, match=r"^text:\d+: the process of tokenizer mine:die was killed by SIGKILL here or"):
        encode_text(text, options("mine:die"), threads=2)
    Path("mine.py").write_text(FUNCTIONS.replace('"die" in', '"never" in'))
    assert encode("text", "corpus", options("mine:die"), resume=True).documents == 101


def test_a_process_that_ends_is_an_error(alone):
    with pytest.raises(InputError, match=r"^text:1: the process of tokenizer mine:leave ended with code 3 here or"):
        encode_text("a b\n", options("mine:leave"), threads=2)


def test_a_process_that_is_killed_from_outside(alone, monkeypatch):
    monkeypatch.setattr(readers, "PIECE_BYTES", 32)
    exchange = processes_module._exchange

    def killed(process, piece):
        process.kill()
        process.wait()
        return exchange(process, piece)

    monkeypatch.setattr(processes_module, "_exchange", killed)
    with pytest.raises(ResourceError, match="was killed by SIGKILL"):
        encode_text(TEXT, options("mine:split"), threads=2)


@pytest.mark.parametrize("where", ["append", "pieces"])
def test_an_interruption_leaves_no_process(alone, monkeypatch, where):
    monkeypatch.setattr(readers, "PIECE_BYTES", 1000)
    whole = contents(encode_text(TEXT, options("mine:split")).path)

    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun, match="continue with resume=True"):
        if where == "append":
            patch.setattr(Spool, "append", stop)
        else:
            patch.setattr(readers, "_read", stop)
        encode_text(TEXT, options("mine:split"))
    assert contents(encode("text", "corpus", options("mine:split"), resume=True, force=True).path) == whole


def hanging(*more: str) -> subprocess.Popen[bytes]:
    """A command whose processes hang in a function, one for each line."""
    Path("text").write_text("hang\n" * 2)
    code = textwrap.dedent("""
        import sys
        from cooc_engine.text import readers
        from cooc_engine.__main__ import main
        readers.PIECE_BYTES = 5
        main()
    """)
    command = [sys.executable, "-c", code, "encode", "text", "--output", "corpus", "--tokenizer", "mine:hang", "--threads", "2"]
    run = subprocess.Popen([*command, *QUIET, *more], stderr=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: len(list(Path().glob("pid-*"))) == 2)
    return run


def test_ctrl_c_ends_processes_that_hang():
    run = hanging()
    pids = [int(path.name[4:]) for path in Path().glob("pid-*")]
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, err = run.communicate(timeout=300)
    assert run.returncode == 130
    assert err == b"cooc-engine: corpus: interrupted; continue with --resume\n"
    assert not any(map(alive, pids))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_a_command_that_is_killed(number):
    run = hanging()
    pids = [int(path.name[4:]) for path in Path().glob("pid-*")]
    assert all(map(alive, pids))
    run.send_signal(number)
    run.communicate(timeout=300)
    wait_until(lambda: not any(map(alive, pids)))


def test_a_worker_does_not_serve_another_parent():
    code = "from cooc_engine.runtime.children import die_with; die_with(1); print('it lives')"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_half_a_message_is_none():
    read, write = os.pipe()
    with os.fdopen(read, "rb") as source:
        with os.fdopen(write, "wb") as target:
            tokenizer_worker.send(target, tokenizer_worker.WORDS, b"abc")
            target.write(tokenizer_worker.HEADER.pack(b"W", 9) + b"short")
        assert tokenizer_worker.receive(source) == (b"W", b"abc")
        assert tokenizer_worker.receive(source) is None
        assert tokenizer_worker.receive(source) is None
