"""Tokenizers: what they give, by their slow twin; processes that change nothing, leave nothing behind, and fail in one line."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corpora import BOM_OR_NOT, assert_twin, contents, read_back
from twins import encoding as naive

from cooc_engine.cli.app import main
from cooc_engine.corpus import encode as module
from cooc_engine.corpus.directory import Corpus
from cooc_engine.corpus.encode import encode, encode_documents
from cooc_engine.corpus.options import EncodeOptions
from cooc_engine.counts.count import count
from cooc_engine.counts.directory import Cooc
from cooc_engine.counts.merge import merge
from cooc_engine.errors import FormatError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.formats.glove_counts import export_glove
from cooc_engine.models.file import open_model
from cooc_engine.pipeline.stages import append, encoded
from cooc_engine.runtime.options import from_mapping
from cooc_engine.text import readers, tokenizer_worker
from cooc_engine.text import tokenizer_pool as processes_module
from cooc_engine.text.tokenizer_pool import Processes
from cooc_engine.text.tokenizers import DEFAULT_PATTERN, LONGEST_WORD, joined, lines_of, tokenizer

QUIET = ["--progress", "none"]
FUNCTIONS = '''
import os, signal, sys, time

def pairs(text):
    """Pairs of letters, as a generator."""
    letters = [c for c in text if not c.isspace() and c != "\\0"]
    for a, b in zip(letters, letters[1:]):
        yield a + b

def split(text): return text.split()
def shout(text):
    print("printed", text)
    print(sys.stdin.read(), end="")
    return text.upper().split()
def repeat(text): return [repr(text).replace(" ", "_")]
def fail(text):
    if "bad" in text: raise ValueError("on two\\nlines")
    return text.split()
def string(text): return text
def nothing(text): return None
def numbers(text): return [1, 2]
def spaced(text): return ["New York"]
def empty(text): return ["", "a"]
def nul(text): return ["a\\0b"]
def surrogate(text): return ["\\ud800"]
def huge(text): return ["x" * (1 << 18)]
def die(text):
    if "die" in text: os.kill(os.getpid(), signal.SIGKILL)
    return text.split()
def leave(text): os._exit(3)
def hang(text):
    if "hang" in text:
        with open(f"pid-{os.getpid()}", "w"): pass
        while True: time.sleep(60)
    return text.split()
class Home:
    @staticmethod
    def cut(text): return text.split(",")
word = "no function"
'''


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Every test works in a directory of its own, which holds a module of functions."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FUNCTIONS)


def options(tokenizer: str, **more) -> EncodeOptions:
    return EncodeOptions(**{"min_count": 1, "tokenizer": tokenizer, **more})


def words(text: str, name: str, **more) -> list[str]:
    return tokenizer(options(name, **more).record())(text)


def encode_text(text: str | bytes, chosen: EncodeOptions, **how) -> Corpus:
    Path("text").write_bytes(text.encode() if isinstance(text, str) else text)
    return encode("text", "corpus", chosen, force=True, **how)


# --------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("Hello, world!", ["Hello", "world"]),
        ("don't rock'n'roll l’été 'quoted' dogs'", ["don't", "rock'n'roll", "l’été", "quoted", "dogs"]),
        ("state-of-the-art -x- a--b co‐op", ["state-of-the-art", "x", "a", "b", "co‐op"]),
        ("3.14, 1,000.5 2024. v2.0 .5 1.a 10.", ["3.14", "1,000.5", "2024", "v2.0", "5", "1", "a", "10"]),
        ("snake_case a I", ["snake_case", "a", "I"]),
        ("हिन्दी में ลิ้น می‌خواهم", ["हिन्दी", "में", "ลิ้น", "می‌خواهم"]),
        (unicodedata.normalize("NFD", "café Å"), [unicodedata.normalize("NFD", w) for w in ("café", "Å")]),
        ("日本語 и Ελλάδα", ["日本語", "и", "Ελλάδα"]),
        ("a\u00a0b\u3000c\u2028d\x85e\x1ff", list("abcdef")),
        ("?! ... €", []),
        ("", []),
    ],
)
def test_the_default_pattern(text, wanted):
    assert words(text, "regex") == wanted


def test_a_pattern_is_recorded_and_a_group_is_the_word():
    assert options("regex").pattern == DEFAULT_PATTERN
    assert options("whitespace").pattern is None
    assert words("a1 b2", "regex", pattern=r"([a-z])\d") == ["a", "b"]
    assert words("Hi, C++!", "regex", pattern=r"\w+|[^\w\s]") == ["Hi", ",", "C", "+", "+", "!"]
    assert words("a bb ccc", "regex", pattern=r"(?u)\b\w\w+\b") == ["bb", "ccc"]
    assert words("漢字 kana かな", "regex", pattern=r"\p{Han}|[^\W\p{Han}]+") == ["漢", "字", "kana", "かな"]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a**", r"\p{nothing}", "(?P<a>b)(?P<a>c)(", "[[:foo:]]("])
def test_a_pattern_that_does_not_compile(pattern):
    with pytest.raises(UsageError, match=r"--pattern '.*' is no regular expression \(") as caught:
        options("regex", pattern=pattern)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["", r"\b", "^", "$", "()", r"\w*", "x?", r"(?=\w)", r"(?<=1)", "a|"])
def test_a_pattern_that_matches_nothing(pattern):
    with pytest.raises(UsageError, match=r"matches where there is nothing, and no word is empty"):
        options("regex", pattern=pattern)


@pytest.mark.parametrize(
    "given, says",
    [
        (
            {"tokenizer": "spacy"},
            "'spacy'; it must be one of whitespace, regex, jieba, or a Python function as module:function",
        ),
        ({"tokenizer": "a:b:c"}, "module:function"),
        ({"tokenizer": ":f"}, "module:function"),
        ({"tokenizer": "a/b:f"}, "module:function"),
        ({"tokenizer": 3}, "must be of type str"),
        ({"tokenizer": "__main__:f"}, "put the function into a module of its own"),
        ({"tokenizer": "jieba", "pattern": "x"}, "--pattern is for --tokenizer regex; the tokenizer is jieba"),
        ({"pattern": "x"}, "the tokenizer is whitespace"),
        ({"hmm": "off"}, "--hmm is for --tokenizer jieba; the tokenizer is whitespace"),
        ({"tokenizer": "jieba", "hmm": "no"}, "must be one of on, off"),
        ({"tokenizer": "regex", "pattern": "(a)(b)"}, "has 2 groups"),
        ({"reserved": "no"}, "must be one of refuse, keep"),
    ],
)
def test_options_that_make_no_sense(given, says):
    with pytest.raises(UsageError) as caught:
        EncodeOptions(**given)
    assert says in str(caught.value)


def test_lower_case_comes_first_and_is_that_of_unicode():
    assert words("ΌΔΟΣ Straße İ ÉTÉ", "whitespace", lowercase=True) == ["όδος", "straße", "i̇", "été"]
    assert words("ABC def", "regex", pattern="[a-z]+", lowercase=True) == ["abc", "def"]
    assert words("Ab cD", "mine:split", lowercase=True) == ["ab", "cd"]
    assert words("AB", "whitespace") == ["AB"]


some_text = st.text(st.sampled_from("aB é日𝔘ΣΑ'-.,3\t\v\r\u00a0\u3000\u2028\x85\x1c_\u0301हि"), max_size=40)


@settings(deadline=None, max_examples=200)
@given(some_text, st.booleans())
def test_white_space_is_cut_alike_as_words_and_as_lines(text, lowercase):
    record = EncodeOptions(lowercase=lowercase).record()
    wanted = [word.decode() for word in (text.lower() if lowercase else text).encode().split()]
    assert tokenizer(record)(text) == wanted
    assert lines_of(record)(text) == " ".join(wanted).encode() == joined(wanted)


def naive_words(text: str) -> list[str]:
    """The default pattern, letter by letter."""
    found, i = [], 0

    def is_word(c: str) -> bool:
        return c == "_" or c in "\u200c\u200d" or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd"

    while i < len(text):
        j = i
        while j < len(text):
            glued = j + 1 < len(text) and j > i and is_word(text[j - 1]) and is_word(text[j + 1])
            within = text[j] in "'’‐-" or (text[j] in ".," and text[j - 1].isdigit() and text[j + 1 : j + 2].isdigit())
            if not is_word(text[j]) and not (glued and within):
                break
            j += 1
        if j > i:
            found.append(text[i:j])
        i = max(j, i + 1)
    return found


@settings(deadline=None, max_examples=300)
@given(some_text)
def test_the_default_pattern_by_its_twin(text):
    assert words(text, "regex") == naive_words(text)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(st.sampled_from("ab é\u00a0\t\n\0\v\ud800"), max_size=3), max_size=4))
def test_what_is_no_word_is_not_joined(given):
    good = all(word and not re.search("[ \t-\r\0\ud800]", word) for word in given)
    if good:
        assert joined(given) == " ".join(given).encode()
    else:
        with pytest.raises(ValueError, match=r"a word|surrogates"):
            joined(given)


# ---------------------------------------------------------------------------------------------------------- processes

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


def naive_pairs(text: str) -> list[tuple[str, str]]:
    letters = [c for c in text if not c.isspace()]
    return list(itertools.pairwise(letters))


TEXT = "".join(f"w{i % 977} Ü{i % 31}, don't{chr(10) if i % 11 == 0 else ' '}" for i in range(6000))


def test_the_same_bytes_for_any_processes_and_pieces(monkeypatch):
    seen = []
    for threads, size in ((1, 1 << 18), (2, 1000), (3, 4096)):
        monkeypatch.setattr(readers, "PIECE_BYTES", size)
        corpus = encode_text(TEXT, options("regex", lowercase=True), threads=threads)
        seen.append(contents(corpus.path))
    assert seen[0] == seen[1] == seen[2]
    assert_twin(corpus, [[w.encode() for w in naive_words(line.lower())] for line in TEXT.removesuffix("\n").split("\n")])
    assert corpus.manifest["options"]["pattern"] == DEFAULT_PATTERN


def test_lower_case_of_white_space():
    corpus = encode_text("\ufeffA b\u00a0C\r\n\nΣΑΣ é\x1cÉ\r x", EncodeOptions(min_count=1, lowercase=True))
    docs = [["a", "b\u00a0c"], [], ["σας", "é\x1cé", "x"]]
    assert_twin(corpus, [[word.encode() for word in document] for document in docs])


def test_a_tight_budget_changes_no_byte(monkeypatch):
    whole = contents(encode_text(TEXT, options("mine:split")).path)
    monkeypatch.setattr(readers, "PIECE_BYTES", 1 << 12)
    monkeypatch.setattr(module, "LEAST_BLOCK", 1 << 12)
    monkeypatch.setattr(module, "LEAST_TABLE", 1 << 16)
    room = module._Allotment.of(5 << 18, 2, options("mine:split"))
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
                    room = module._Allotment.of(memory, threads, options(name))
                except UsageError:
                    continue
                held = threads * module.LINE_CUT + processes_module.pieces_under_way(threads) * module.LINE_HELD
                rest = {k: v for k, v in room.plan.memory.items() if k in ("blocks of text", "jieba's dictionaries")}
                lines = room.line * held if name != "whitespace" else 0
                assert sum(rest.values()) + lines + threads * module.GROWTH * room.table <= memory
                assert room.ranking >= threads * module.GROWTH * module.LEAST_TABLE


def test_a_long_line_is_one_document_or_is_refused_by_its_number(monkeypatch):
    long = " ".join(f"w{i % 3000}" for i in range(300_000))
    corpus = encode_text(f"first\n{long}\nlast", options("regex"))
    assert corpus.shard(0).offsets.tolist() == [0, 1, 300_001, 300_002]
    with pytest.raises(
        InputError, match=r"^text:2: has more than \d+ bytes, which a tokenizer takes in one; pass more --memory"
    ):
        encode_text(f"first\n{long}\nlast", options("regex"), threads=1, memory="48M")
    with pytest.raises(InputError, match=r"^documents: document 1: has more than"):
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


@pytest.mark.parametrize("before", ["", "fine words\n", "\ufeffa ", "é\r\nb ", "w \n" * 300])
@pytest.mark.parametrize("fault", [b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\0", b"\xff\0", b"\0\xff"])
@pytest.mark.parametrize("name", ["regex", "mine:split"])
def test_faults_of_the_text_by_their_byte(monkeypatch, before, fault, name):
    if name == "regex":
        monkeypatch.setattr(readers, "PIECE_BYTES", 64)
    text = before.encode() + fault
    with pytest.raises(InputError, match=rf"^text: (a NUL byte; is|byte 0x).*\(at byte {naive.first_fault(text)}\)$"):
        encode_text(text + b" more\nlines\n", options(name), threads=2)
    assert not Path("corpus").exists() and not Path("corpus.part").exists()


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


@pytest.mark.parametrize(
    "document, says",
    [
        ("a\0b", "document 1 holds a NUL"),
        ("a \ud800", r"byte 0xed is not UTF-8 \(at byte 7\)"),
        (["a", "\ud800"], "document 1 has a word with half of a surrogate pair"),
        (["a", ""], "document 1 has a word that is empty"),
        (["a\0"], "document 1 has a word that is empty, or holds white space or a NUL: 'a.x00'"),
    ],
)
def test_documents_that_are_no_text(document, says):
    with pytest.raises(InputError, match=says):
        encode_documents(["fine", document], "corpus", options("regex"))


# -------------------------------------------------------------------------------------------------- what users' code does

FAILURES = {
    "fail": "failed (ValueError: on two lines)",
    "string": "failed (TypeError: it gave a string, not an iterable of words)",
    "nothing": "failed (TypeError: 'NoneType' object is not iterable)",
    "numbers": "gave a word that is no string (sequence item 0: expected str instance, int found)",
    "spaced": "gave a word that is empty, or holds white space or a NUL: 'New York'",
    "empty": "gave a word that is empty, or holds white space or a NUL: ''",
    "nul": "gave a word that is empty, or holds white space or a NUL: 'a\\x00b'",
    "surrogate": "gave a word with half of a surrogate pair",
    "huge": f"gave a word of {LONGEST_WORD} bytes or more",
}


@pytest.mark.parametrize("function, says", FAILURES.items())
def test_what_goes_wrong_in_a_function_is_one_line_with_its_place(monkeypatch, function, says):
    monkeypatch.setattr(readers, "PIECE_BYTES", 32)
    text = "good line\n" * 20 + "a bad line\n" + "good line\n" * 20 if function == "fail" else "line\n"
    with pytest.raises(InputError) as caught:
        encode_text(text, options(f"mine:{function}"), threads=2)
    assert str(caught.value) == f"text:{21 if function == 'fail' else 1}: --tokenizer mine:{function} {says}"
    assert not Path("corpus").exists() and not Path("corpus.part").exists()
    with pytest.raises(InputError) as caught:
        encode_documents(["good", ["word"], "bad", "worse"], "corpus", options(f"mine:{function}"))
    assert str(caught.value).startswith(f"documents: document {2 if function == 'fail' else 0}: --tokenizer mine:{function} ")


def test_a_line_of_an_error_is_short():
    Path("mine.py").write_text("def f(text): raise OSError('x' * 10_000)")
    with pytest.raises(InputError, match=r"^text:1: --tokenizer mine:f failed \(OSError: x{191} \.\.\.\)$"):
        encode_text("a", options("mine:f"))


@pytest.mark.parametrize(
    "name, says",
    [
        ("nowhere:f", "nowhere cannot be imported (ModuleNotFoundError: No module named 'nowhere')"),
        ("mine:nothere", "mine.py has no nothere"),
        ("mine:Home.nothere", "mine.py has no Home.nothere"),
        ("mine:word", "is no function, but 'no function'"),
        ("broken:f", "broken cannot be imported (SyntaxError: "),
        ("leaving:f", "leaving cannot be imported (SystemExit: 5)"),
        ("dying:f", "its process ended with code 7 when it was to start"),
    ],
)
def test_a_function_that_is_not_there(capsys, name, says):
    Path("broken.py").write_text("def f(:")
    Path("leaving.py").write_text("import sys\nsys.exit(5)")
    Path("dying.py").write_text("import os\nos._exit(7)")
    Path("text").write_text("a b\n")
    assert main(["encode", "text", "--output", "corpus", "--tokenizer", name, *QUIET]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and err.startswith(f"cooc-engine: --tokenizer {name}: ") and says in err
    assert main(["train", "glove", "text", "--output", "model.h5", "--tokenizer", name, *QUIET]) == 2
    assert not {"corpus", "corpus.part", "model.h5", "model.h5.work"} & {path.name for path in Path().iterdir()}


def test_a_method_and_what_is_printed(capfd):
    corpus = encode_text("b,a\nc", options("mine:Home.cut"))
    assert sorted(corpus.vocabulary.words) == ["a", "b", "c"]
    capfd.readouterr()
    assert encode_text("say\n" * 3, options("mine:shout"), threads=1).vocabulary.words == ["SAY"]
    assert capfd.readouterr() == ("", "printed say\n" * 3)


def test_a_package_that_is_missing(monkeypatch):
    Path("jieba.py").write_text("raise ImportError('not here')")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    with pytest.raises(UsageError, match=r'needs the package jieba: pip install "cooc_engine\[zh\]"'):
        encode_text("a", options("jieba"))


# ----------------------------------------------------------------------------------------------- ends, good and bad


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
    for _ in range(1000):
        if reached():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to it")


def test_a_process_that_is_killed_is_an_error_that_can_be_resumed(alone, monkeypatch):
    monkeypatch.setattr(readers, "PIECE_BYTES", 32)
    text = "good line\n" * 50 + "die here\n" + "good line\n" * 50
    with pytest.raises(ResourceError, match=r"^text:\d+: the process of --tokenizer mine:die was killed by SIGKILL here or"):
        encode_text(text, options("mine:die"), threads=2)
    Path("mine.py").write_text(FUNCTIONS.replace('"die" in', '"never" in'))
    assert encode("text", "corpus", options("mine:die"), resume=True).documents == 101


def test_a_process_that_ends_is_an_error(alone):
    with pytest.raises(InputError, match=r"^text:1: the process of --tokenizer mine:leave ended with code 3 here or"):
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

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun, match="continue with --resume"):
        if where == "append":
            patch.setattr(module.Spool, "append", stop)
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
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err == b"cooc-engine: corpus: interrupted; continue with --resume\n"
    assert not any(map(alive, pids))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_a_command_that_is_killed(number):
    run = hanging()
    pids = [int(path.name[4:]) for path in Path().glob("pid-*")]
    assert all(map(alive, pids))
    run.send_signal(number)
    run.communicate(timeout=60)
    wait_until(lambda: not any(map(alive, pids)))


def test_a_worker_does_not_serve_another_parent():
    code = "import sys; from cooc_engine import worker; tokenizer_worker._die_with(1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1


def test_half_a_message_is_none():
    read, write = os.pipe()
    with os.fdopen(read, "rb") as source:
        with os.fdopen(write, "wb") as target:
            tokenizer_worker.send(target, tokenizer_worker.WORDS, b"abc")
            target.write(tokenizer_worker.HEADER.pack(b"W", 9) + b"short")
        assert tokenizer_worker.receive(source) == (b"W", b"abc")
        assert tokenizer_worker.receive(source) is None
        assert tokenizer_worker.receive(source) is None


# ----------------------------------------------------------------------------------------------- from scripts and the shell

SCRIPT = """
from cooc_engine import EncodeOptions, encode
corpus = encode("text", "corpus", EncodeOptions(min_count=1, tokenizer={name!r}), threads=2)
print(sorted(corpus.vocabulary.words))
def cut(text): return text.split()
"""


def python(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, **more)


@pytest.mark.parametrize("name", ["regex", "mine:split"])
def test_a_script_needs_no_main_guard(name):
    Path("text").write_text("b a\n")
    Path("elsewhere").mkdir()
    Path("elsewhere/script.py").write_text(SCRIPT.format(name=name))
    done = python("elsewhere/script.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a', 'b']\n", "")


def test_a_script_that_is_its_own_module_and_has_no_guard_says_so():
    Path("text").write_text("b a\n")
    Path("script.py").write_text(SCRIPT.format(name="script:cut"))
    done = python("script.py")
    assert done.returncode == 1
    assert "script cannot be imported (UsageError: the module of the tokenizer encodes text when it is imported" in done.stderr


def test_the_module_path_of_the_caller_reaches_the_processes():
    Path("text").write_text("b a\n")
    Path("library").mkdir()
    Path("mine.py").rename("library/their.py")
    done = python("-c", "import sys; sys.path.insert(0, 'library')\n" + SCRIPT.format(name="their:split"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a', 'b']\n", "")


def test_the_directory_of_the_command_can_be_imported_from():
    """As the installed command starts: without it in the path."""
    Path("text").write_text("b a\n")
    start = "import sys; sys.path[0] = '/nowhere'; from cooc_engine.__main__ import main; main()"
    done = python("-c", start, "encode", "text", "--output", "corpus", "--tokenizer", "mine:split", "--min-count", "1", *QUIET)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_job_and_an_input_from_the_standard_input():
    Path("text").write_text("B a, a\n" * 5)
    encoding = '[encode]\ntexts = ["text"]\ntokenizer = "regex"\nlowercase = true\nmin-count = 1\n'
    Path("job.toml").write_text(encoding + '[[train]]\nmodel = "glove"\nepochs = 1\n')
    assert main(["run", "job.toml", *QUIET]) == 0
    assert main(["run", "job.toml", *QUIET]) == 0
    recorded = open_model(Path("job/glove.h5")).config["encode"]
    assert (recorded["tokenizer"], recorded["pattern"], recorded["lowercase"]) == ("regex", DEFAULT_PATTERN, True)
    assert tokenizer(recorded)("B, don't") == ["b", "don't"]
    train = ["train", "glove", "text", "--output", "model.h5", "--tokenizer", "mine:split", "--epochs", "1", *QUIET]
    assert main(train) == 0
    assert open_model(Path("model.h5")).config["encode"]["tokenizer"] == "mine:split"
    done = python(
        "-m", "cooc_engine", "encode", "-", "--output", "c", "--tokenizer=regex", "--json", *QUIET, input="a, a\n" * 5
    )
    assert json.loads(done.stdout)["tokens"] == 10


# ------------------------------------------------------------------------------------------------------------- Chinese

CHINESE = [
    "我来到北京清华大学，",
    "他来到了网易杭研大厦。",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造 Python 3.14！",
]


def test_jieba_with_and_without_its_hidden_markov_model():
    pytest.importorskip("jieba", exc_type=ImportError)
    first = ["我", "来到", "北京", "清华大学", "，"]
    for hmm, second in (("on", ["网易", "杭研", "大厦"]), ("off", ["网易", "杭", "研", "大厦"])):
        cut = tokenizer(options("jieba", hmm=hmm).record())
        assert cut(CHINESE[0]) == first
        assert [word for word in cut(CHINESE[1]) if word[0] in "网杭研大"] == second
        assert cut("我\u3000来到 \t北京\r") == ["我", "来到", "北京"]


def test_chinese_from_text_to_neighbours(capfd):
    pytest.importorskip("jieba", exc_type=ImportError)
    Path("text").write_text("\n".join(CHINESE * 4) + "\n", encoding="utf-8")
    run = [
        ["encode", "text", "--output", "corpus", "--tokenizer", "jieba", "--min-count", "2", "--threads", "2"],
        ["count", "corpus", "--output", "cooc", "--window", "5"],
        ["train", "glove", "cooc", "--output", "model.h5", "--vector-size", "8", "--epochs", "3"],
    ]
    for command in run:
        assert main([*command, *QUIET]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.count("\n") == 3
    assert main(["nn", "model.h5", "北京", "--topn", "3"]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "北京"
    corpus = Corpus("corpus")
    cut = tokenizer(corpus.manifest["options"])
    assert_twin(corpus, [[word.encode() for word in cut(line)] for line in CHINESE * 4])
    assert open_model(Path("model.h5")).config["encode"]["tokenizer"] == "jieba"
    off = encode("text", "off", options("jieba", hmm="off", min_count=2))
    assert "杭研" in corpus.vocabulary and "杭研" not in off.vocabulary


# ------------------------------------------------------------------------------------------------- reserved, old, joined


@pytest.mark.parametrize("word", ["<unk>", "</s>"])
@pytest.mark.parametrize("name", ["whitespace", "mine:split"])
def test_reserved_words_are_refused_unless_they_are_kept(word, name, tmp_path):
    text = f"a b {word} c\n" * 7 + f"{word}x x{word} {word}{word}\n" * 9
    with pytest.raises(InputError, match=rf"^text: {word} is a word of the text \(7 times\), which .* pass --reserved keep$"):
        encode_text(text, options(name))
    assert not Path("corpus").exists() and not Path("corpus.part").exists()
    rare = encode_text(text, options(name, min_count=8))  # too rare to be a word of the vocabulary
    assert rare.vocabulary.find(word) == -1 and rare.vocabulary.find(word + "x") >= 0
    kept = encode_text(text, options(name, reserved="keep"))
    assert kept.vocabulary.counts[kept.vocabulary.find(word)] == 7
    cooc = count(kept, "cooc")
    if word == "<unk>":
        with pytest.raises(UsageError, match="<unk> is a word of it, which GloVe's programs append"):
            export_glove(cooc, "records", "vocab")
        assert not Path("records").exists()
    Path("more").write_text(text)
    assert append(cooc, "more", "both").entries == cooc.entries  # the vocabulary is given, and has been accepted


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=12, unique=True), st.text("ab", min_size=1, max_size=3)
)
def test_a_word_is_found_without_an_index(given, asked):
    vocabulary = module.Vocabulary.from_words(given, range(len(given)))
    assert vocabulary.find(asked) == (given.index(asked) if asked in given else -1)


def test_a_corpus_without_the_younger_options_is_taken_as_made_with_their_defaults():
    corpus = encode_text("a b\n", EncodeOptions(min_count=1))
    fields = {key: value for key, value in corpus.manifest.items() if key not in ("format", "version")}
    old = {key: fields["options"][key] for key in ("min_count", "max_vocab", "vocabulary", "tokenizer")}
    module.write_manifest(corpus.path, "corpus", 1, {**fields, "options": old})
    assert Corpus("corpus").options == from_mapping(EncodeOptions, old, "") == EncodeOptions(min_count=1)
    assert encoded(["text"], Path("corpus"), EncodeOptions(min_count=1)).manifest["options"] == old
    with pytest.raises(UsageError, match="corpus: was made with other lowercase; pass --force"):
        encoded(["text"], Path("corpus"), EncodeOptions(min_count=1, lowercase=True))
    with pytest.raises(UsageError, match="corpus: was made with other tokenizer, pattern; pass --force"):
        encoded(["text"], Path("corpus"), options("regex"))
    module.write_manifest(corpus.path, "corpus", 1, {**fields, "options": {**old, "newer": 1}})
    with pytest.raises(FormatError, match="options of another version"):
        _ = Corpus("corpus").options


def test_counts_of_texts_that_were_cut_in_other_ways_are_not_added():
    base = encode_text("a b\n", EncodeOptions(min_count=1))
    other = encode("text", "other", options("regex"))
    assert base.vocabulary.digest == other.vocabulary.digest
    parts = [count(base, "one"), count(other, "two")]
    with pytest.raises(UsageError, match="two: its text was cut into words with another tokenizer, pattern than that of one"):
        merge(parts, "sum")
    assert isinstance(merge([parts[0], parts[0]], "sum"), Cooc)


def test_read_back_of_functions_matches_the_command_line():
    encode_text("a,b\nc\n", options("mine:Home.cut"))
    assert main(["encode", "text", "--output", "c", "--tokenizer", "mine:Home.cut", "--min-count", "1", *QUIET]) == 0
    assert read_back(Corpus("c")) == read_back(Corpus("corpus"))
