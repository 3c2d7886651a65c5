"""The verbs that ask vectors: what they print, as text and as JSON, and a line or block for every line of a stream."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cooc_engine.cli import ask as ask_module
from cooc_engine.cli.app import main
from cooc_engine.cli.sides import Sides
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.models.file import ModelData, save_model
from cooc_engine.vectors.query import Vectors


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Words of which each has its own direction, more or less."""
    rng = np.random.default_rng(3)
    words = ["the", "king", "queen", "man", "woman", "Köln", "water", "ice", "New York"]
    arrays = {"words": rng.normal(size=(9, 5)).astype(np.float32)}
    vocabulary = Vocabulary.from_words(words, range(90, 0, -10))
    made = tmp_path_factory.mktemp("made") / "m.h5"
    save_model(made, ModelData("simpler-glove", vocabulary, arrays, "w", {}, {}))
    zeros = {"contexts": arrays["words"], "word_bias": np.zeros(9), "context_bias": np.zeros(9)}
    save_model(made.with_name("glove.h5"), ModelData("glove", vocabulary, arrays | zeros, "w", {}, {}))
    return made


@pytest.fixture
def kv(path) -> Vectors:
    return Vectors.open(path)


@pytest.fixture
def ask(path, capsys, monkeypatch):
    """Run a verb on the model, with a text as standard input; returns exit code, stdout and stderr."""

    def run(verb: str, *arguments: str, stdin: str = "", model: str = "m.h5") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape"))))
        code = main([verb, str(path.with_name(model)), *arguments])
        return code, *capsys.readouterr()

    return run


def as_json(result: tuple[int, str, str]):
    assert (result[0], result[2]) == (0, "")
    assert result[1].count("\n") == 1
    return json.loads(result[1])


def pairs(answers) -> list[list]:
    return [[word, value] for word, value in answers]


def test_every_question_has_its_verb():
    assert len(ask_module.__all__) == 13 and all(callable(getattr(ask_module, name)) for name in ask_module.__all__)


def test_words(ask, kv):
    assert as_json(ask("nn", "king", "Köln", "--topn", "2", "--json")) == {
        word: pairs(answers) for word in ("king", "Köln") for answers in kv.neighbours([word], 2).values()
    }
    code, text, _ = ask("nn", "king", "--k", "2")
    (first, one), (second, two) = kv.most_similar("king", topn=2)
    assert (code, text) == (0, f"king\n  {one:.4f}  {first}\n  {two:.4f}  {second}\n")
    assert as_json(ask("related", "ice", "--topn", "3", "--json")) == {"ice": pairs(kv.related("ice", 3))}
    assert as_json(ask("related", "ice", "--normalize", "--json")) == {"ice": pairs(kv.related("ice", normalize=True))}
    wanted = {"ice": pairs(kv.similar("ice", 3, context_words=7))}
    assert as_json(ask("similar", "ice", "--topn", "3", "--context-words", "7", "--json")) == wanted
    code, text, _ = ask("vector", "ice", "nothing", "--oov", "zero")
    assert code == 0 and text.splitlines()[1] == "nothing 0 0 0 0 0"
    assert np.array_equal(np.array(text.split()[1:6], np.float32), kv["ice"])


def test_known_words_are_answered_beside_unknown_ones(ask, kv, path):
    code, text, error = ask("nn", "king", "qqq", "ice", "kong", "--topn", "1")
    assert code == 1 and [line for line in text.splitlines() if not line.startswith(" ")] == ["king", "ice"]
    unknown = "'qqq' is not in the vocabulary; 'kong' is not in the vocabulary; did you mean 'king'?"
    assert error == f"cooc-engine: {path}: {unknown}\n"
    code, text, error = ask("norms", "king", "qqq", "--json")
    assert code == 1 and list(json.loads(text)) == ["king"] and "'qqq'" in error
    assert ask("vector", "qqq") == (1, "", f"cooc-engine: {path}: 'qqq' is not in the vocabulary\n")


def test_words_are_looked_up_in_lower_case_too(ask, kv):
    assert ask("nn", "King", "KÖLN") == (1, ask("nn", "king")[1], ask("nn", "KÖLN")[2])
    assert as_json(ask("similarity", "ICE", "Water", "--json")) == {"similarity": kv.similarity("ice", "water")}
    assert ask("nn", "-", stdin="King ice\n")[1] == ask("nn", "king", "ice")[1]


def test_ids_of_documents_are_taken_as_written(kv):
    assert ask_module.EACH_WORD.parts(kv, "King ICE", Sides()) == ["king", "ice"]
    assert ask_module.EACH_WORD.parts(kv, "King ICE", Sides(documents=True)) == ["King", "ICE"]
    assert ask_module.EACH_WORD.parts(kv, "King ICE", Sides(of="columns")) == ["King ICE"]


def test_lines_lose_their_end_alone(ask, path):
    words = Vocabulary.from_words([" a ", "a", "b\r", "b"], [1] * 4)
    rows = {"words": np.eye(4, 5, dtype=np.float32)}
    save_model(path.with_name("spaces.h5"), ModelData("simpler-glove", words, rows, "w", {}, {}))
    code, text, _ = ask("vector", "-", "--json", stdin=" a \nb\r\r\n\ta b\n", model="spaces.h5")
    assert code == 0 and [list(json.loads(line)) for line in text.splitlines()] == [[" a "], ["b\r"], ["a", "b"]]


def test_several_words_make_one_question(ask, kv):
    wanted = {"man king woman": pairs(kv.most_similar(["king", "woman"], ["man"], topn=2))}
    assert as_json(ask("analogies", "man", "king", "woman", "--topn", "2", "--json")) == wanted
    wanted = {"man king woman": pairs(kv.most_similar_cosmul(["king", "woman"], ["man"]))}
    assert as_json(ask("analogies", "man", "king", "woman", "--method", "mul", "--json")) == wanted
    assert as_json(ask("similarity", "ice", "water", "--json")) == {"similarity": kv.similarity("ice", "water")}
    assert ask("similarity", "ice", "water")[1] == f"{kv.similarity('ice', 'water'):.6f}\n"
    assert ask("doesnt-match", "ice", "water", "king")[1] == kv.doesnt_match(["ice", "water", "king"]) + "\n"
    wanted = {"similarity": kv.n_similarity(["king", "queen"], ["ice"])}
    assert as_json(ask("n-similarity", "king queen", "ice", "--json")) == wanted


def test_norms(ask, kv):
    squares, surprises = kv.norms(["ice", "the"])
    wanted = {w: {"squared_norm": s, "minus_log_p": p} for w, s, p in zip(["ice", "the"], squares, surprises, strict=True)}
    assert as_json(ask("norms", "ice", "the", "--json")) == wanted
    lengths = dict(zip(kv.index_to_key[:6], kv.norms()[0], strict=False))
    found = as_json(ask("norms", "--topn", "2", "--restrict", "6", "--json"))
    order = sorted(lengths, key=lengths.get)
    assert list(found) == [*order[:2], *order[-2:]]
    assert len(ask("norms", "--topn", "2")[1].splitlines()) == 4


def test_texts(ask, kv):
    assert as_json(ask("sentence-vector", "the king", "ice", "--json"))["vector"] == kv.sentence_vector("the king ice").tolist()
    text = ask("sentence-vector", "the", "king", "--how", "sif")[1]
    assert np.array_equal(np.array(text.split(), np.float32), kv.sentence_vector("the king", how="sif"))
    for measure in ("dot", "cosine"):
        wanted = {"similarity": kv.sentence_similarity("the king", "ice water", measure)}
        assert as_json(ask("sentence-similarity", "the king", "ice water", "--measure", measure, "--json")) == wanted
    wanted = {"keywords": pairs(kv.keywords("the ice king of the water", 2))}
    assert as_json(ask("keywords", "the ice king", "of the water", "--topn", "2", "--json")) == wanted


def test_keywords_of_glove_are_said_to_be_reversed_once(ask):
    code, text, error = ask("keywords", "-", stdin="the ice king\nthe water\n", model="glove.h5")
    assert code == 0 and len(text.splitlines()) == 2
    assert error.startswith("cooc-engine: note: ") and error.count("\n") == 1 and "least telling" in error
    assert ask("keywords", "the ice king")[2] == ""


STREAMS = {
    "nn": ["king", "ice", "New York"],
    "related": ["king", "ice"],
    "similar": ["king", "ice"],
    "vector": ["king", "ice"],
    "get-subwords": ["king", "ice"],
    "norms": ["king", "ice"],
    "similarity": ["king ice", "the\twater"],
    "analogies": ["man king woman", "the ice water"],
    "doesnt-match": ["man king ice", "the ice water king"],
    "n-similarity": ["man king\tice", "the ice\twater king"],
    "sentence-vector": ["the ice of the king", "", "nothing known"],
    "sentence-similarity": ["the ice of the king\tking", "water\tnothing known"],
    "keywords": ["the ice of the king", "", "nothing known"],
}


@pytest.mark.parametrize("verb", STREAMS)
def test_a_stream_gets_an_answer_a_line(ask, verb):
    assert set(STREAMS) == {name.replace("_", "-") for name in ask_module.__all__}
    lines = STREAMS[verb]
    code, text, error = ask(verb, "-", "--json", stdin="\n".join(lines))
    assert (code, error) == (0, "")
    found = [json.loads(line) for line in text.splitlines()]
    assert len(found) == len(lines)
    cut = (lambda s: [s]) if verb in ("nn", "related", "similar", "vector", "norms", "get-subwords") else str.split
    cut = (lambda s: s.split("\t")) if verb in ("n-similarity", "sentence-similarity") else cut
    for line, record in zip(lines, found, strict=True):
        if line:
            assert as_json(ask(verb, *cut(line), "--json")) == record
    code, blocks, _ = ask(verb, "-", stdin="\r\n".join(lines) + "\n")
    assert code == 0
    assert blocks == "".join(ask(verb, *cut(line))[1] if line else ask(verb, "nowhere")[1] for line in lines)


def test_a_line_that_cannot_be_answered_stops_no_stream(ask):
    code, text, error = ask("nn", "-", "--topn", "1", stdin="king\nqueeen\n\nice\n")
    lines = text.splitlines()
    assert code == 1 and [line for line in lines if not line.startswith(" ")] == [
        "king",
        "error: 'queeen' is not in the vocabulary; did you mean 'queen'?",
        "error: '' is not in the vocabulary",
        "ice",
    ]
    assert error == "cooc-engine: 2 of 4 lines could not be answered; see the answers for the reasons\n"
    code, text, _ = ask("similarity", "-", "--json", stdin="king\nking ice\n\udcff\udcff x\n")
    assert code == 1
    records = [json.loads(line) for line in text.splitlines()]
    assert records[0] == {"error": "expected two words, found 1"} and "similarity" in records[1] and "error" in records[2]
    assert ask("doesnt-match", "-", stdin="king\nice king\n")[1].startswith("error: ")
    assert ask("nn", "-", stdin="") == (0, "", "")
    code, text, _ = ask("nn", "-", "--json", stdin="king ice\nNew York\n")
    assert (code, [list(json.loads(line)) for line in text.splitlines()]) == (0, [["king", "ice"], ["New York"]])


@pytest.mark.parametrize(
    ("verb", "arguments", "code", "says"),
    [
        ("nn", ["kong"], 1, "m.h5: 'kong' is not in the vocabulary; did you mean 'king'?"),
        ("nn", ["king", "--topn", "0"], 2, "--topn is 0; it must be at least 1"),
        ("keywords", ["-", "--topn", "0"], 2, "--topn is 0; it must be at least 1"),
        ("similar", ["king", "--context-words", "0"], 2, "--context-words is 0"),
        ("similar", ["king", "--context-words", "1"], 2, "context_words is 1; it must be at least 2"),
        ("norms", ["--restrict", "0"], 2, "--restrict is 0"),
        ("nn", ["king", "-"], 2, "- reads all questions from stdin"),
        ("similarity", ["king"], 1, "expected two words, found 1"),
        ("analogies", ["king", "ice"], 1, "expected three words, found 2"),
        ("sentence-similarity", ["king"], 1, "expected two texts, found 1"),
        ("keywords", ["king", "--measure", "best"], 2, "best"),
        ("norm", ["king"], 2, "norm"),
    ],
)
def test_errors_are_one_line(ask, verb, arguments, code, says):
    found, text, error = ask(verb, *arguments, stdin="king\n")
    assert (found, text) == (code, "") and says in error and error.count("\n") == 1


def test_an_answer_comes_before_the_next_line_is_asked(path):
    command = [sys.executable, "-m", "cooc_engine", "nn", str(path), "-", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdin and process.stdout
        for word in ("king", "Köln"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            assert list(json.loads(process.stdout.readline())) == [word]
        process.stdin.close()
        assert process.wait() == 0
