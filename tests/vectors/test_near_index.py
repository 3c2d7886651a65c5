"""The approximate index: what it finds, what it leaves out, and when it is refused."""

from __future__ import annotations

import functools
import json
import sys

import numpy as np
import pytest
from support.disks import limited
from twins import vectors as naive

from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import FormatError, InputError, UsageError
from cooc_engine.models.file import ModelData, append_evaluation, save_model
from cooc_engine.storage.arrays import Bound
from cooc_engine.storage.outputs import write_manifest
from cooc_engine.vectors.near_index import GRAPH, KIND, VERSION, IndexedVectors, build_index, index_path
from cooc_engine.vectors.query import Vectors

usearch = pytest.importorskip("usearch.index")


def save(path, size=3000, width=24, seed=0):
    """Words in clusters, as those of a language are, with vectors of all lengths; those of a model are sums."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, width))[rng.integers(60, size=size)] + 0.6 * rng.normal(size=(size, width))
    rows = (rows * rng.lognormal(size=(size, 1))).astype(np.float32)
    zeros = np.zeros(size)
    arrays = {"words": rows, "contexts": rows[:, ::-1], "word_bias": zeros, "context_bias": zeros}
    vocabulary = Vocabulary.from_words([f"w{i}" for i in range(size)], range(2 * size, size, -1))
    save_model(path, ModelData("glove", vocabulary, arrays, "w+c", {}, {}))
    return path


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    path = save(tmp_path_factory.mktemp("indexed") / "m.h5")
    return path, build_index(path)


def test_finds_most_and_says_how_much(indexed):
    path, built = indexed
    assert (built.path, built.words) == (path.with_name("m.h5.index"), 3000)
    exact, near = Vectors.open(path), IndexedVectors.open(path)
    shares = []
    for row in range(0, 3000, 29):
        wanted = {word for word, _ in exact.most_similar(f"w{row}")}
        answers = near.most_similar(f"w{row}")
        assert len(answers) == 10 and f"w{row}" not in dict(answers)
        assert [v for _, v in answers] == sorted((v for _, v in answers), reverse=True)
        for word, value in answers:
            assert value == pytest.approx(naive.cosine(exact[word], exact[f"w{row}"]), abs=1e-6)
        shares.append(len(wanted & dict(answers).keys()) / 10)
    assert np.mean(shares) >= 0.9
    assert built.recall == pytest.approx(np.mean(shares), abs=0.05)


def test_given_words_are_left_out(indexed):
    near = IndexedVectors.open(indexed[0])
    first = near.most_similar("w5", topn=3)
    given = ["w5", *(word for word, _ in first)]
    assert not set(given) & dict(near.most_similar(given, topn=50)).keys()
    assert set(near.neighbours(["w5", "w9"])) == {"w5", "w9"} and "w9" not in dict(near.neighbours(["w9"])["w9"])
    assert len(near.most_similar("w5", topn=400)) == 400
    assert "w4" not in dict(near.analogy("w4", "w5", "w6"))


def test_few_words_and_zeros(tmp_path):
    for size in (1, 2, 7):
        path = save(tmp_path / f"{size}.h5", size)
        assert build_index(path, threads=10**23).recall == 1
        assert len(IndexedVectors.open(path).most_similar("w0")) == size - 1
    kv = IndexedVectors.open(tmp_path / "7.h5")
    assert [value for _, value in kv.most_similar(np.zeros(24, np.float32))] == [0] * 7


def test_an_index_of_other_vectors_is_refused(tmp_path):
    path = save(tmp_path / "m.h5", 50)
    with pytest.raises(InputError, match=r"m\.h5: has no index; build it with: cooc-engine index"):
        IndexedVectors.open(path)
    build_index(path)
    row = {"dataset": "d", "kind": "spearman", "value": 0.5, "covered": 2, "total": 2}
    append_evaluation(path, [row])
    assert IndexedVectors.open(path).most_similar("w1")
    with pytest.raises(UsageError, match=r"m\.h5\.index: exists"):
        build_index(path)
    save(path, 50, seed=1)
    with pytest.raises(FormatError, match=r"m\.h5\.index: was built for other vectors than"):
        IndexedVectors.open(path)
    build_index(path, force=True)
    assert IndexedVectors.open(path).most_similar("w1")


def test_a_text_file_has_an_index_too(tmp_path):
    path = tmp_path / "v.vec"
    path.write_text("3 2\na 1 0\nb 1 1\nc 0 1\n")
    build_index(path)
    assert IndexedVectors.open(path).most_similar("a")[0][0] == "b"
    path.write_text("3 2\na 1 0\nb 1 1\nc 0 2\n")
    with pytest.raises(FormatError, match="other vectors"):
        IndexedVectors.open(path)


HARMS = [
    lambda graph: graph.unlink(),
    lambda graph: graph.write_bytes(b""),
    lambda graph: graph.write_bytes(graph.read_bytes()[:-40]),
    lambda graph: graph.write_bytes(graph.read_bytes() + bytes(40)),
    *(functools.partial(lambda place, graph: flip(graph, place, 0x80), place) for place in (1, 1537, 2500, -70, -1)),
]


def flip(path, place, bits):
    data = bytearray(path.read_bytes())
    data[place] ^= bits
    path.write_bytes(data)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_index_is_refused(tmp_path, harm):
    path = save(tmp_path / "m.h5", 50)
    build_index(path)
    harm(index_path(path) / GRAPH)
    with pytest.raises(FormatError, match=r"graph\.usearch: damaged; build it again with force=True$"):
        IndexedVectors.open(path)


def test_a_forged_graph_is_refused_or_answers(tmp_path):
    """Though the manifest says that it is as it was: its numbers lead the C++ library nowhere."""
    path = save(tmp_path / "m.h5", 400)
    build_index(path)
    graph = index_path(path) / GRAPH
    whole, vectors = graph.read_bytes(), 8 + 400 * 48
    random, refused, digest = np.random.default_rng(0), 0, Vectors.open(path).digest
    for place in [*range(8), *range(vectors, vectors + 120), *random.integers(vectors + 104, len(whole), 300).tolist()]:
        graph.write_bytes(whole)
        flip(graph, place, 1 << int(random.integers(8)))
        write_manifest(index_path(path), KIND, VERSION, {"vectors": digest, "crc-32": Bound.of(graph).crc})
        try:
            opened = IndexedVectors.open(path)
        except FormatError:
            refused += 1
        else:
            assert len(opened.most_similar("w5", topn=100)) == 100
    assert refused > 100


def test_an_index_of_an_older_version_or_with_a_damaged_manifest_is_to_be_built_again(tmp_path):
    path = save(tmp_path / "m.h5", 50)
    build_index(path)
    write_manifest(index_path(path), KIND, 1, {"vectors": Vectors.open(path).digest, "words": 50, "bytes": 1, "recall": 1})
    with pytest.raises(FormatError, match=r"index version 1; this program reads version 2; build it again with force=True$"):
        IndexedVectors.open(path)
    (index_path(path) / "manifest.json").write_text("{}")
    with pytest.raises(FormatError, match=r"manifest\.json: damaged \(.*\); build it again with force=True$"):
        IndexedVectors.open(path)
    write_manifest(index_path(path), KIND, VERSION, {})
    with pytest.raises(FormatError, match=r"index"):
        IndexedVectors.open(path)


@pytest.mark.parametrize("size", [0, 1000, 20_000])
def test_a_disk_that_fills(tmp_path, size, capsys):
    path = save(tmp_path / "m.h5", 400)
    with limited(size):
        assert main(["index", str(path), "--progress", "none"]) == 4
    assert "m.h5.index: File too large; free some and run again" in capsys.readouterr().err
    assert main(["index", str(path), "--force", "--progress", "none"]) == 0


def test_usearch_may_fail_for_another_reason(tmp_path, monkeypatch):
    def fail(self, path):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(usearch.Index, "save", fail)
    with pytest.raises(OSError, match="out of luck"):
        build_index(save(tmp_path / "m.h5", 50))


def test_without_usearch(indexed, monkeypatch, capsys):
    for name in ("usearch", "usearch.index"):
        monkeypatch.setitem(sys.modules, name, None)
    for verb in (["index", str(indexed[0]), "--force"], ["nn", str(indexed[0]), "w1", "--approximate"]):
        assert main(verb) == 2
        assert capsys.readouterr().err == (
            'cooc-engine: approximate search needs usearch: python -m pip install "cooc_engine[approximate]"\n'
        )


def test_the_command_line(tmp_path, capsys):
    path = save(tmp_path / "m.h5", 200)
    assert main(["index", str(path), "--json", "--progress", "none", "--threads", "1"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["words"] == 200 and record["recall"] == 1
    assert main(["index", str(path), "--force", "--progress", "none", "--threads", "1"]) == 0
    assert "finds 100.0 % of the nearest 10" in capsys.readouterr().out
    assert main(["nn", str(path), "w3", "--approximate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["nn", str(path), "w3", "--json"]) == 0
    exact = json.loads(capsys.readouterr().out)
    assert [w for w, _ in found["w3"]] == [w for w, _ in exact["w3"]]
