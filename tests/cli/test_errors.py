"""Bad input and bad usage: the documented exit code, one line that names file and cause, and nothing left behind."""

from __future__ import annotations

import bz2
import errno
import gzip
import json
import lzma
import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.command import QUIET, assert_one_line, copied, left

# ------------------------------------------------------------------------------------------------------------ bad input


RAW = bytes(range(33, 127)) * 40 + b"\n" + b"a b c " * 300
BAD_TEXTS = {
    "empty": (b"", "contains no words"),
    "white space": (b" \n\n\t ", "contains no words"),
    "binary": (bytes(range(256)) * 20, "a NUL byte; is it a binary file? (at byte 0)"),
    "not UTF-8": (b"fine \xe9t\xe9", "byte 0xe9 is not UTF-8 (at byte 5)"),
    "truncated gz": (gzip.compress(RAW)[:-20], "truncated compressed file"),
    "truncated bz2": (bz2.compress(RAW)[:-20], "truncated compressed file"),
    "truncated xz": (lzma.compress(RAW)[:-20], "truncated compressed file"),
    "truncated zst": (b"\x28\xb5\x2f\xfd\x20\x40\x01\x02", "truncated compressed file"),
    "no word often enough": (b"a b c a", "no word occurs 5 times or more"),
}


@pytest.mark.parametrize("content, says", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_texts(call, content, says):
    Path("text").write_bytes(content)
    assert_one_line(*call("encode", "text", "--output", "corpus"), 1, "text: ", says)
    assert_one_line(*call("train", "glove", "text", "--output", "model.h5"), 1, "text: ", says)
    assert left() == ["text"]


def test_a_missing_text(call):
    assert_one_line(*call("encode", "nowhere", "--output", "corpus"), 1, "nowhere: no such file")
    assert_one_line(*call("train", "glove", "nowhere", "--output", "model.h5"), 1, "nowhere: no such file")
    assert left() == []


def test_missing_counts(call):
    assert_one_line(*call("import-counts", "nowhere.h5", "--output", "cooc"), 1, "nowhere.h5: no such file")
    assert left() == []


def test_a_directory_as_text(call):
    Path("text").mkdir()
    assert_one_line(*call("encode", "text", "--output", "corpus"), 1, "text: cannot be read (Is a directory)")
    assert_one_line(*call("train", "glove", "text", "--output", "model.h5"), 1, "text: is not a corpus")
    assert left() == ["text"]


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000], ids=["NUL", "long"])
@pytest.mark.parametrize(
    "words",
    ["nn @ w", "info @", "run @", "encode @ --output out", "encode t --output @", "predict @ t", "train glove t --output @"],
)
def test_a_path_that_the_system_does_not_take(call, words, path):
    Path("t").write_text("a b c\n" * 20)
    says = ": is not a path (" + ("it has a NUL byte" if "\0" in path else "File name too long)")
    assert_one_line(*call(*[path if word == "@" else word for word in words.split()]), 2, says)
    assert left() == ["t"]


def test_an_output_below_a_file(call, made):
    Path("t").write_text("a b c\n" * 20)
    for words in (["encode", "t"], ["train", "glove", made / "cooc"], ["export", made / "model.h5"]):
        output = ["t/out"] if words[0] == "export" else ["--output", "t/out"]
        assert_one_line(*call(*words, *output), 2, "t: no such directory; make it or choose another --output")
    pages = ["compare", made / "model.h5", "other.h5", "--pairs", "p", "--output", "t/out"]
    if find_spec("matplotlib"):
        assert_one_line(*call(*pages), 2, "t/out: Not a directory; choose another --output")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_an_unreadable_text(call):
    Path("text").write_text("a")
    Path("text").chmod(0)
    assert_one_line(*call("encode", "text", "--output", "corpus"), 1, "text: cannot be read (Permission denied)")


OPENED = [
    ("nn", "odd", "w1"),
    ("info", "odd"),
    ("import", "odd", "out"),
    ("align", "{made}/model.h5", "odd", "out"),
    ("run", "odd"),
    ("import-counts", "odd", "--output", "out"),
    ("import-counts", "odd", "--vocab", "v", "--output", "out"),
    ("count", "corpus", "--output", "out"),
]


@pytest.mark.parametrize("words", OPENED, ids=" ".join)
def test_a_pipe_where_a_file_is_read_more_than_once(call, made, words):
    """The shell's `<(...)` is one: opening it a second time would wait forever."""
    pipe = copied(made, "corpus") / "tokens-00000.bin" if words[1] == "corpus" else Path("odd")
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for a writer"))
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        done = call(*[word.format(made=made) for word in words], *(QUIET if words[0] == "count" else []))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert_one_line(*done, 1, f"{pipe}: is a pipe or a device, and is read more than once; write it to a file first")


@pytest.mark.parametrize(
    "words, name",
    [
        (("train", "jose", "{made}/corpus", "--output", "out"), "vocab-text.bin"),
        (("export-counts", "{made}/cooc", "out", "--vocab", "v"), "row-offsets.bin"),
        (("import-counts", "{made}/model.h5", "--output", "out"), "model.h5"),
    ],
)
def test_an_input_without_permission(call, made, monkeypatch, words, name):
    """It is not the output that has to be another one, nor are counts to have a vocabulary."""
    opened = Path.open

    def forbidden(path, *given, **named):
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *given, **named)

    monkeypatch.setattr(Path, "open", forbidden)
    done = call(*[word.format(made=made) for word in words], *QUIET)
    assert_one_line(*done, 1, f"{name}: cannot be read (Permission denied)")
    assert left() == []


def test_links_in_a_circle(call, made):
    Path("odd").symlink_to("odd")
    Path("pairs").write_text("w1\tw2\t3\nw3\tw4\t4\n")
    done = call("compare", "odd", made / "model.h5", "--output", "page.html", "--pairs", "pairs", *QUIET)
    assert_one_line(*done, 1, "odd: cannot be read (Too many levels of symbolic links)")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def blank(path: Path) -> None:
    path.write_bytes(bytes(64) + path.read_bytes()[64:])


DAMAGE = {"truncated": truncate, "flipped": flip, "half-written": blank, "gone": Path.unlink}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["tokens-00000.bin", "documents-00000.bin", "vocab-text.bin", "vocab-counts.bin"])
def test_a_damaged_corpus(call, made, name, damage):
    damage(copied(made, "corpus") / name)
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, f"corpus/{name}: ")
    assert left() == ["corpus"]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["columns-00000.bin", "values-00000.bin", "row-offsets.bin", "vocab-offsets.bin"])
def test_damaged_counts(call, made, name, damage):
    damage(copied(made, "cooc") / name)
    assert_one_line(*call("train", "glove", "cooc", "--output", "model.h5"), 1, f"cooc/{name}: ")
    assert left() == ["cooc"]


@pytest.mark.parametrize("kind, verb", [("corpus", "count"), ("cooc", "train")])
def test_another_version(call, made, monkeypatch, kind, verb):
    from cooc_engine.storage import outputs

    path = copied(made, kind)
    fields = json.loads((path / "manifest.json").read_text("utf-8"))
    outputs.write_manifest(path, kind, 9, {k: v for k, v in fields.items() if k not in ("format", "version", "checksum")})
    arguments = ["count", path] if verb == "count" else ["train", "glove", path]
    assert_one_line(*call(*arguments, "--output", "out"), 1, f"{kind}: {kind} version 9; this program reads version 1")
    assert_one_line(*call("info", path), 1, f"{kind} version 9")
    assert left() == [kind]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": "cooc-engine corpus", "version": 1, "checksum": 5}'])
def test_a_damaged_manifest(call, made, content):
    (copied(made, "corpus") / "manifest.json").write_bytes(content)
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, "corpus/manifest.json: damaged")


def test_a_half_built_corpus_is_not_taken_for_one(call, made):
    copied(made, "corpus").rename("corpus.part")
    assert_one_line(*call("count", "corpus", "--output", "cooc"), 1, "corpus: no such corpus; corpus.part was left")
    Path("corpus.part/manifest.json").unlink()
    assert_one_line(*call("count", "corpus.part", "--output", "cooc"), 1, "corpus.part: is not a corpus")


def test_the_wrong_kind(call, made):
    assert_one_line(*call("count", made / "cooc", "--output", "x"), 1, "cooc: is a co-occurrence directory, not a corpus")
    assert_one_line(
        *call("count", made / "text.txt", "--output", "x"),
        1,
        "text.txt: is not a corpus (it is a file; encode makes a corpus of a text)",
    )
    assert_one_line(*call("nn", made / "corpus", "w1"), 1, "corpus: ")
    assert_one_line(*call("info", made / "text.txt"), 1, "text.txt: not an HDF5 file")
    assert_one_line(*call("info", "."), 1, ".: neither an encoded corpus nor")
    assert_one_line(*call("info", "nowhere"), 1, "nowhere: no such file")
    assert left() == []


@pytest.mark.parametrize("place", [0, 8, 100, 700, 0.5, 0.9])
@pytest.mark.parametrize("verb", ["info", "nn", "eval"])
def test_a_truncated_model(call, made, place, verb):
    data = (made / "model.h5").read_bytes()
    Path("model.h5").write_bytes(data[: place if isinstance(place, int) else int(place * len(data))])
    Path("pairs").write_text("w1\tw2\t3\nw3\tw4\t4\n")
    rest = {"info": [], "nn": ["w1"], "eval": ["--pairs", "pairs"]}[verb]
    assert_one_line(*call(verb, "model.h5", *rest), 1, "model.h5: ")


# ------------------------------------------------------------------------------------------------------------ bad usage


USAGE = {
    "count": (
        ["count", "corpus", "--output", "x"],
        [
            (["--window", 0], "--window is 0; it must be at least 1"),
            (["--window", -3], "--window is -3"),
            (["--window", "five"], "--window is five; it must be a whole number"),
            (["--window", 20_000], "--window 20000 is too wide"),
            (["--window", 10**9, "--window-weight", "uniform"], "--window is 1e+09; it must be below 100000"),
            (["--window", 43], "--window 43"),
            (["--window-weight", "triangular"], "triangular"),
            (["--windw", 3], "Unknown option: --windw. Did you mean --window?"),
            (["--threads", 0], "--threads is 0"),
        ],
    ),
    "train": (
        ["train", "glove", "cooc", "--output", "x"],
        [
            (["--x-max", 0], "--x-max is 0; it must be above 0"),
            (["--x-max", "nan"], "--x-max is nan"),
            (["--lr", "inf"], "--lr is inf"),
            (["--lr", 0], "--lr is 0"),
            (["--vector-size", 0], "--vector-size is 0; it must be at least 1"),
            (["-dim", 0], "--vector-size is 0"),
            (["--epochs", -1], "--epochs is -1; it must be at least 1"),
            (["--alpha", 0.5], "Unknown option: --alpha"),
            (["--vectr-size", 3], "Did you mean --vector-size?"),
            (["--window", 3], "is already counted"),
            (["--seed", -1], "--seed is -1"),
        ],
    ),
    "encode": (
        ["encode", "text.txt", "--output", "x"],
        [
            (["--min-count", -5], "--min-count is -5; it must be at least 1"),
            (["--min-count", 1.5], "--min-count is 1.5; it must be a whole number"),
            (["--min-count", "1/0"], "--min-count is 1/0"),
            (["--min-count", "inf"], "--min-count is inf; it must be a whole number"),
            (["--max-vocab", 0], "--max-vocab is 0"),
            (["--min-cnt", 3], "Did you mean --min-count?"),
            (["--tokenizer", "regx"], "--tokenizer is 'regx'; it must be one of whitespace, regex, jieba, or"),
            (["--pattern", "x"], "--pattern is for --tokenizer regex"),
            (["--tokenizer", "regex", "--pattern", "("], "--pattern '(' is not a regular expression"),
            (["--hmm", "off"], "--hmm is for --tokenizer jieba"),
            (["--lower-case"], "Did you mean --lowercase?"),
            (["--progress", "loud"], "loud"),
        ],
    ),
}


@pytest.mark.parametrize("verb, extra, says", [(verb, *case) for verb, (_, cases) in USAGE.items() for case in cases])
def test_bad_usage(call, made, verb, extra, says):
    base = [made / word if word in ("corpus", "cooc", "text.txt") else word for word in USAGE[verb][0]]
    assert_one_line(*call(*base, *extra), 2, says)
    assert left() == []


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["encode", "--output", "x"], "TEXT"),
        (["encode", "text"], "--output"),
        (["encdoe", "text"], 'Did you mean "encode"?'),
        (["train", "glov", "x"], 'Did you mean "glove"?'),
        (["--verbose"], "--verbose"),
        (["encode", "text", "--output", "."], ".: is not the name of an output"),
        (["train", "glove", "text", "--output", "/"], "/: is not the name of an output"),
        (["encode", "text", "--output", "no/corpus"], "no: no such directory"),
        (["train", "glove", "text", "--output", "no/model.h5"], "no: no such directory"),
        (["nn", "model.h5", "w1", "--topn", "0"], "--topn is 0"),
        (["eval", "model.h5"], "nothing to evaluate on"),
    ],
)
def test_bad_commands(call, arguments, says):
    Path("text").write_text("a a a a a b b b b b\n")
    assert_one_line(*call(*arguments), 2, says)
    assert left() == ["text"]


def test_an_output_that_exists(call, made):
    corpus = copied(made, "corpus")
    arguments = ["encode", made / "text.txt", "--output", corpus, *QUIET]
    before = (corpus / "manifest.json").stat().st_mtime_ns
    assert_one_line(*call(*arguments), 2, "corpus: exists; pass --force")
    assert call(*arguments, "--resume")[0] == 0, "it is finished"
    assert (corpus / "manifest.json").stat().st_mtime_ns == before
    assert call(*arguments, "--force")[0] == 0
    model = copied(made, "model.h5")
    assert_one_line(*call("train", "glove", made / "cooc", "--output", model), 2, "model.h5: exists; pass --force")
    assert_one_line(*call("train", "glove", made / "cooc", "--output", corpus, "--force"), 2, "corpus: is a directory")
    assert left() == ["corpus", "model.h5"]


LINKED = {
    "encode": (["encode", "{made}/text.txt", "--output", "out"], ["out", "out.part"]),
    "count": (["count", "{made}/corpus", "--output", "out"], ["out", "out.part"]),
    "train": (["train", "glove", "{made}/cooc", "--output", "out"], ["out", "out.part", "out.checkpoint", "out.lock"]),
    "train on text": (["train", "glove", "{made}/text.txt", "--output", "out"], ["out.work"]),
    "export": (["export", "{made}/model.h5", "out"], ["out", "out.part"]),
    "export-counts": (["export-counts", "{made}/cooc", "out", "--vocab", "v"], ["out.part", "v", "v.part"]),
    "align": (["align", "{made}/model.h5", "{made}/model.h5", "out"], ["out", "out.part"]),
}


@pytest.mark.parametrize("to", ["elsewhere", "elsewhere/victim", "elsewhere/nothing"])
@pytest.mark.parametrize("verb, name", [(verb, name) for verb, (_, names) in LINKED.items() for name in names])
def test_nothing_is_written_through_a_link(call, made, verb, name, to):
    arguments = [word.format(made=made) for word in LINKED[verb][0]]
    flag = "--resume" if verb in ("encode", "count", "train", "train on text") else "--force"
    Path("elsewhere").mkdir()
    Path("elsewhere/victim").write_text("dear")
    Path(name).symlink_to(to)
    assert_one_line(*call(*arguments, flag), 2, f"{name}: is a link, and nothing is written through it; remove it")
    assert left() == sorted(["elsewhere", name])
    assert [(path.name, path.read_text()) for path in Path("elsewhere").iterdir()] == [("victim", "dear")]


@pytest.mark.parametrize("flag", ["--force", "--resume"])
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("name", ["thesis.txt", "corpus/thesis.txt", "best.txt"])
def test_a_directory_of_others_where_work_is_done_is_not_deleted(call, made, flag, finished, name):
    """Without a lock it is not of a command, even if what it holds has a name that a command gives."""
    train = ["train", "pmi", made / "text.txt", "--output", "out", *QUIET]
    if finished:
        assert call(*train)[0] == 0
    victim = Path("out.work") / name
    victim.parent.mkdir(parents=True)
    victim.write_text("dear")
    says = f"out.work: holds {Path(name).parts[0]}, which is not this command's; move it"
    assert_one_line(*call(*train, flag), 2, says)
    assert victim.read_text() == "dear"


@pytest.mark.parametrize("flag", ["--force", "--resume"])
@pytest.mark.parametrize("stage", ["corpus", "corpus.part", "cooc.part", "cooc.old"])
def test_what_others_keep_among_what_work_left_is_not_deleted(call, made, flag, stage):
    victim = Path("out.work") / stage / "thesis.txt"
    victim.parent.mkdir(parents=True)
    Path("out.work/lock").touch()
    victim.write_text("dear")
    says = f"out.work/{stage}: holds thesis.txt, which is not this command's; move it"
    assert_one_line(*call("train", "pmi", made / "text.txt", "--output", "out", *QUIET, flag), 2, says)
    assert victim.read_text() == "dear"


def test_a_directory_where_a_temporary_file_will_be(call, made):
    Path("out.part").mkdir()
    assert_one_line(*call("align", made / "model.h5", made / "model.h5", "out"), 2, "out.part: Is a directory; choose another")
    assert left() == ["out.part"]


def test_an_unknown_word(call, made):
    assert_one_line(*call("nn", made / "model.h5", "w99"), 1, "model.h5: 'w99' is not in the vocabulary")


@pytest.mark.parametrize("lr, says", [("1e30", "not finite"), ("100", "for vectors of zeros")])
def test_divergence(call, made, lr, says):
    code, stdout, stderr = call("train", "glove", made / "cooc", "--output", "m.h5", "--lr", lr, "--epochs", 50)
    assert_one_line(code, stdout, stderr, 3, says, "lower --lr")
    assert left() == []


def test_training_on_text_says_what_it_cannot_take(call, made):
    assert_one_line(*call("train", "cbow", made / "cooc", "--output", "m.h5"), 2, "cooc: holds counts")
    assert_one_line(*call("train", "cbow", made / "corpus", "--output", "m.h5", "--min-count", 3), 2, "is already encoded")
    assert_one_line(*call("train", "cbow", made / "corpus", "--output", "m.h5", "--predict", "centre"), 2, "--predict")
    assert_one_line(*call("train", "skipgram", made / "corpus", "--output", "m.h5", "--loss", "ova"), 2, "--loss")
    assert_one_line(*call("train", "skipgram", made / "corpus", "--output", "m.h5", "--memory", "1K"), 2, "--memory 1.0K")
    code, _, stderr = call("train", "skipgram", made / "corpus", "--output", "m.h5", "--lr", "1e30", *QUIET)
    assert code == 3
    assert "--lr" in stderr
    assert left() == []
