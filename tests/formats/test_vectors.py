"""Files of vectors of other programs: there and back to the bit, read by those programs, and a word for all that is wrong."""

from __future__ import annotations

import gzip
import itertools
import json
import lzma
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.models import make_data
from twins import vectors as naive

from cooc_engine.cli.app import main
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import InputError, UsageError
from cooc_engine.evaluation.judge import evaluate
from cooc_engine.formats import incoming, outgoing, rounding, vectors_text, word2vec_binary
from cooc_engine.formats.vectors import FORMATS, export_vectors, format_of, read_vectors
from cooc_engine.models.file import ModelData, open_model, save_model
from cooc_engine.vectors.model import import_vectors
from cooc_engine.vectors.query import Vectors, nn

SPACED = ("fasttext", "npz", "safetensors", "tsv")
KNOWN = {"fasttext-vec": "word2vec"}  # the same lines


def write_model(path: Path, words, matrix, counts=None) -> Path:
    vocabulary = Vocabulary.from_words(words, [0] * len(words) if counts is None else counts)
    save_model(path, ModelData("imported", vocabulary, {"words": np.asarray(matrix, np.float32)}, "w", {}, {}))
    return path


@pytest.fixture
def model(tmp_path) -> Path:
    """Words of several scripts, NBSP within one, and numbers of all sizes."""
    words = ["the", "Köln", "水", "a\u00a0b", "</s>", "3.14", "x" * 300, "-"]
    matrix = np.random.default_rng(0).normal(size=(8, 5)) * 10.0 ** np.arange(-30, 10, 8)
    return write_model(tmp_path / "m.h5", words, matrix, range(80, 72, -1))


# ---------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("form", FORMATS)
def test_round_trip(tmp_path, model, form):
    wanted, path = open_model(model), tmp_path / "vectors.x"
    done = export_vectors(model, path, form)
    assert (done.words, done.vector_size, done.mean_error) == (8, 5, None)
    assert format_of(path) == KNOWN.get(form, form)
    again = import_vectors(path, tmp_path / "again.h5")
    assert again.vocabulary.words == wanted.vocabulary.words and not again.provenance["left_out"]
    assert np.array_equal(again.matrix, wanted.matrix)
    counted = form in SPACED
    assert again.vocabulary.counts.tolist() == (wanted.vocabulary.counts.tolist() if counted else [0] * 8)
    assert (again.family, again.published) == ("fasttext" if form == "fasttext" else "imported", "w")
    assert again.config["import"]["format"] == KNOWN.get(form, form)
    first = path.read_bytes()
    export_vectors(tmp_path / "again.h5" if counted else model, path, form, force=True)
    assert path.read_bytes() == first  # equal content, equal bytes


characters = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"])
vocabularies = st.lists(st.text(characters, min_size=1, max_size=8), min_size=1, max_size=12, unique=True)
numbers = st.floats(-(2.0**49), 2.0**49, width=32)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), words=vocabularies, width=st.integers(1, 6), form=st.sampled_from(FORMATS))
def test_any_words_and_numbers_return(tmp_path, monkeypatch, data, words, width, form):
    for module, name in ((outgoing, "BLOCK"), (vectors_text, "LINES"), (incoming, "CHUNK"), (word2vec_binary, "READ")):
        monkeypatch.setattr(module, name, data.draw(st.sampled_from([1, 40, 1 << 20])))
    matrix = np.array(data.draw(st.lists(numbers, min_size=len(words) * width, max_size=len(words) * width)), np.float32)
    model = write_model(tmp_path / "any.h5", words, matrix.reshape(-1, width))
    export_vectors(model, tmp_path / "any.x", form, force=True)
    found = read_vectors(tmp_path / "any.x", form)
    assert found.vocabulary.words == words
    assert np.array_equal(found.vectors, matrix.reshape(-1, width))


@pytest.mark.parametrize("form", SPACED)
def test_spaces_where_a_format_can_hold_them(tmp_path, form):
    model = write_model(tmp_path / "m.h5", ["New York", "a"], np.eye(2))
    export_vectors(model, tmp_path / "o.tsv", form)
    assert read_vectors(tmp_path / "o.tsv").vocabulary.words == ["New York", "a"]


@pytest.mark.parametrize("form", sorted(set(FORMATS) - set(SPACED)))
def test_spaces_where_it_cannot(tmp_path, form):
    for word in ("New York", "a\tb", "a\nb", ""):
        model = write_model(tmp_path / "m.h5", ["a", word], np.eye(2))
        with pytest.raises(UsageError, match=f"which {form} cannot hold; export to npz or safetensors"):
            export_vectors(model, tmp_path / "o", form)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["m.h5"]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove"])
def test_compressed(tmp_path, model, form, suffix, pack):
    export_vectors(model, tmp_path / "plain", form)
    (tmp_path / "packed").write_bytes(pack((tmp_path / "plain").read_bytes()))
    found = read_vectors(tmp_path / "packed")
    assert found.format == form and np.array_equal(found.vectors, open_model(model).matrix)
    (tmp_path / "packed").write_bytes((tmp_path / "packed").read_bytes()[:-30])
    with pytest.raises(InputError, match="packed: "):
        read_vectors(tmp_path / "packed")


def test_what_is_written_may_be_another_choice_or_a_part(tmp_path):
    data = make_data(12, 5)
    save_model(tmp_path / "m.h5", data)
    words, contexts = data.arrays["words"], data.arrays["contexts"]
    wanted = {None: words + contexts, "w": words, "c": contexts, "concat": np.hstack([words, contexts])}
    for vectors, matrix in wanted.items():
        export_vectors(tmp_path / "m.h5", tmp_path / "o.npz", vectors=vectors, restrict=7, force=True)
        with np.load(tmp_path / "o.npz") as file:
            assert np.array_equal(file["vectors"], matrix[:7])
            assert file["words"].tolist() == data.vocabulary.words[:7]
            assert file["counts"].tolist() == data.vocabulary.counts[:7].tolist()
    export_vectors(tmp_path / "o.npz", tmp_path / "o.vec")  # from one format to another
    assert (tmp_path / "o.vec").read_text().startswith("7 10\nwört0 ")
    with pytest.raises(UsageError, match="one set of vectors"):
        export_vectors(tmp_path / "o.vec", tmp_path / "p.vec", vectors="c")
    with pytest.raises(UsageError, match="vectors='c': the model has only words"):
        export_vectors(write_model(tmp_path / "w.h5", ["a"], [[1]]), tmp_path / "p.vec", vectors="c")


# ---------------------------------------------------------------------------------------------------- other programs


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # it closes no file
@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove", "fasttext-vec"])
def test_gensim_reads_what_is_written(tmp_path, model, form):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    export_vectors(model, tmp_path / "o", form)
    options = {"binary": form == "word2vec-bin", "no_header": form == "glove"}
    kv = keyedvectors.KeyedVectors.load_word2vec_format(str(tmp_path / "o"), **options)
    opened = open_model(model)
    assert kv.index_to_key == opened.vocabulary.words
    assert np.array_equal(kv.vectors, opened.matrix)


@pytest.mark.parametrize("form", ["word2vec", "word2vec-bin", "glove"])
def test_what_gensim_writes_is_read(tmp_path, model, form):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    opened, kv = open_model(model), keyedvectors.KeyedVectors(5)
    kv.add_vectors(opened.vocabulary.words, opened.matrix)
    for at, count in enumerate(range(9, 1, -1)):
        kv.set_vecattr(kv.index_to_key[at], "count", count)
    options = {"binary": form == "word2vec-bin", "write_header": form != "glove"}
    kv.save_word2vec_format(str(tmp_path / "o"), fvocab=str(tmp_path / "counts"), **options)
    again = import_vectors(tmp_path / "o", tmp_path / "again.h5", vocab=tmp_path / "counts")
    assert again.vocabulary.words == opened.vocabulary.words
    assert np.array_equal(again.matrix, opened.matrix)
    assert again.vocabulary.counts.tolist() == list(range(9, 1, -1))


def test_the_safetensors_library_reads_and_writes_the_same(tmp_path, model):
    library = pytest.importorskip("safetensors.numpy")
    export_vectors(model, tmp_path / "o", "safetensors")
    found = library.load_file(tmp_path / "o")
    opened = open_model(model)
    assert np.array_equal(found["vectors"], opened.matrix)
    text, ends = found["text"].tobytes(), found["offsets"].tolist()
    assert [text[a:b].decode() for a, b in itertools.pairwise(ends)] == opened.vocabulary.words
    library.save_file(found, tmp_path / "again")
    again = read_vectors(tmp_path / "again")
    assert again.vocabulary.words == opened.vocabulary.words and np.array_equal(again.vectors, opened.matrix)


def test_an_npz_of_numpy_is_read_whatever_its_arrays_are_called(tmp_path):
    matrix = np.arange(6, dtype=np.float64).reshape(3, 2)
    for words in (np.array(["a", "b c", "水"]), np.array(["a", "b c", "水".encode()], "S4")):
        np.savez_compressed(tmp_path / "o.npz", vocab=words, E=matrix, more=np.ones(2))
        found = read_vectors(tmp_path / "o.npz")
        assert found.vocabulary.words == ["a", "b c", "水"] and np.array_equal(found.vectors, matrix)


def test_an_npz_whose_members_have_no_suffix_is_read(tmp_path):
    np.savez(tmp_path / "o.npz", words=np.array(["a", "b"]), vectors=np.eye(2), counts=np.array([5, 3]))
    with zipfile.ZipFile(tmp_path / "o.npz") as suffixed, zipfile.ZipFile(tmp_path / "bare.npz", "w") as bare:
        for name in suffixed.namelist():
            bare.writestr(name.removesuffix(".npy"), suffixed.read(name))
    found = read_vectors(tmp_path / "bare.npz")
    assert found.vocabulary.words == ["a", "b"] and found.vocabulary.counts.tolist() == [5, 3]
    assert np.array_equal(found.vectors, np.eye(2))


def test_the_projectors_files(tmp_path, model):
    done = export_vectors(model, tmp_path / "o.tsv")
    assert [file.name for file in done.files] == ["o.tsv", "o-metadata.tsv"]
    lines = (tmp_path / "o-metadata.tsv").read_text().split("\n")
    assert lines[:3] == ["word\tcount", "the\t80", "Köln\t79"] and len(lines) == 10
    matrix = np.loadtxt(tmp_path / "o.tsv", np.float32, delimiter="\t")
    assert np.array_equal(matrix, open_model(model).matrix)
    export_vectors(write_model(tmp_path / "n.h5", ["a", "b"], np.eye(2)), tmp_path / "n.tsv")
    assert (tmp_path / "n-metadata.tsv").read_text() == "a\nb\n"  # one column has no head
    (tmp_path / "n-metadata.tsv").unlink()
    with pytest.raises(InputError, match=r"its words must be in .*n-metadata\.tsv"):
        read_vectors(tmp_path / "n.tsv", "tsv")


# ---------------------------------------------------------------------------------------------------------- rounding


def test_scales_too_large_are_no_warning():
    for scale in (3e38, np.inf):
        restored = rounding.restored(np.array([[0, 127]], np.int8), np.array([scale], np.float32))
        assert not np.isfinite(restored).all()


@pytest.mark.parametrize("form", ["npz", "safetensors"])
@pytest.mark.parametrize(("dtype", "most"), [("float16", 1e-6), ("int8", 2e-3)])
def test_rounded_vectors_and_what_it_costs(tmp_path, form, dtype, most):
    matrix = np.random.default_rng(1).normal(size=(300, 40)).astype(np.float32)
    matrix[7] = 0
    model = write_model(tmp_path / "m.h5", [f"w{i}" for i in range(300)], matrix)
    done = export_vectors(model, tmp_path / "o", form, dtype=dtype)
    found = read_vectors(tmp_path / "o")
    errors = [1 - naive.cosine(a, b) for a, b in zip(matrix, found.vectors, strict=True) if a.any()]
    assert done.mean_error == pytest.approx(np.mean(errors), abs=1e-9) and done.largest_error == pytest.approx(
        max(errors), abs=1e-9
    )
    assert 0 < done.mean_error < done.largest_error < most
    assert not found.vectors[7].any()
    full = export_vectors(model, tmp_path / "full", form)
    assert full.mean_error is None
    assert (tmp_path / "o").stat().st_size < 0.6 * (tmp_path / "full").stat().st_size


def test_float16_does_not_hold_everything(tmp_path):
    model = write_model(tmp_path / "m.h5", ["a"], [[1e6]])
    with pytest.raises(UsageError, match="too large for float16; take dtype='int8'"):
        export_vectors(model, tmp_path / "o.npz", dtype="float16")
    assert not (tmp_path / "o.npz").exists()
    with pytest.raises(UsageError, match="format='glove' holds only float32"):
        export_vectors(model, tmp_path / "o", "glove", dtype="int8")


# ------------------------------------------------------------------------------------------------------------ faults

HEADED = "3 2\nthe 1 2\na 3 4\nof 5 6\n"
BROKEN = {
    "a word that is missing": (HEADED.replace("a 3 4", "3 4"), 3, "expected a word and 2 numbers, found 1", {"broken": 1}),
    "a number that is missing": (HEADED.replace("3 4", "3"), 3, "expected a word and 2 numbers, found 1", {"broken": 1}),
    "no number": (HEADED.replace("3 4", ""), 3, "expected a word and 2 numbers, found 0", {"broken": 1}),
    "one too many": (HEADED.replace("3 4", "3 4 5"), 3, "'a 3' has spaces in it", {"space": 1}),
    "a space in a word": (HEADED.replace("a 3", "New York 3"), 3, "the word 'New York' has spaces in it", {"space": 1}),
    "letters": (HEADED.replace("3 4", "3 x4"), 3, "'x4' is not a number", {"broken": 1}),
    "a line end within": (HEADED.replace("3 4", "3\r4"), 3, "'3\\r4' is not a number", {"broken": 1}),
    "nan": (HEADED.replace("3 4", "3 nan"), 3, "the vector of 'a' holds a number that is not finite", {"not finite": 1}),
    "infinite": (HEADED.replace("3 4", "-inf 4"), 3, "not finite", {"not finite": 1}),
    "too large": (HEADED.replace("3 4", "1e39 4"), 3, "not finite", {"not finite": 1}),
    "twice": (HEADED.replace("of", "the"), 4, "the word 'the' stands twice (first at 2)", {"stands twice": 1}),
    "no word": (HEADED.replace("a 3", " 3"), 3, "the word is empty", {"no word": 1}),
    "too few lines": (HEADED.replace("3 2\n", "4 2\n"), 1, "the header says 4 words, the file has 3", {"head": 1}),
    "too many lines": (HEADED.replace("3 2\n", "2 2\n"), 1, "the header says 2 words, the file has 3", {"head": 1}),
}


@pytest.mark.parametrize(("text", "line", "says", "tally"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("form", ["word2vec", "glove"])
def test_a_fault_is_named_or_skipped(tmp_path, text, line, says, tally, form):
    if form == "glove":
        if "head" in tally:
            pytest.skip("GloVe's files have no head")
        text, line = text.partition("\n")[2], line - 1
        says = says.replace("at 2", "at 1")
    path = tmp_path / "v.txt"
    path.write_text(text, newline="")
    with pytest.raises(InputError) as caught:
        read_vectors(path, form)
    assert str(caught.value).startswith(f"{path}:{line}: ") and says in str(caught.value) and "\n" not in str(caught.value)
    found = read_vectors(path, form, errors="skip")
    assert found.tally == tally
    kept = ["the", "a", "of"] if "head" in tally else ["the", "a"] if "stands twice" in tally else ["the", "of"]
    assert found.vocabulary.words == kept
    rows = {"the": [1, 2], "a": [3, 4], "of": [5, 6]}
    assert found.vectors.tolist() == [rows[word] for word in kept]


def test_many_faults_are_counted_and_the_order_of_the_rest_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors_text, "LINES", 64)
    rng = np.random.default_rng(5)
    lines, words, twice, broken = [], [], 0, 0
    for number in range(400):
        word = f"w{rng.integers(300)}"
        if rng.random() < 0.1:
            lines.append(f"{word} 1")
            broken += 1
        else:
            lines.append(f"{word} {number} 1")
            twice += word in words
            words += [word] * (word not in words)
    (tmp_path / "v.txt").write_text("\n".join(lines))
    found = read_vectors(tmp_path / "v.txt", errors="skip")
    assert found.vocabulary.words == words
    assert found.tally == {"broken": broken, "stands twice": twice}
    assert all(lines[int(row[0])].split()[0] == word for word, row in zip(words, found.vectors, strict=True))
    assert [found.vocabulary.find(word) for word in words] == list(range(len(words)))


def test_a_word_that_is_not_utf8(tmp_path):
    (tmp_path / "v").write_bytes(b"2 1\n\xff\xfe 1\nb 2\n")
    with pytest.raises(InputError, match=r"v:2: the word '��' is not UTF-8"):
        read_vectors(tmp_path / "v")
    assert read_vectors(tmp_path / "v", errors="skip").vocabulary.words == ["b"]


def test_faults_of_word2vecs_binary_file(tmp_path, model):
    export_vectors(model, tmp_path / "v", "word2vec-bin")
    data = (tmp_path / "v").read_bytes()
    cases = {
        b"9 5" + data[3:]: "word 9: the header says 9 words, the file ends after 8",
        b"7 5" + data[3:]: "word 8: the header says 7 words, and more follow",
        data[:-9]: "word 8: the header says 8 words, the file ends after 7",
        b"8 500000" + data[3:]: "the file ends after 0",
        b"x 5" + data[3:]: "v:1: expected a head of two numbers",
    }
    for content, says in cases.items():
        (tmp_path / "v").write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_vectors(tmp_path / "v", "word2vec-bin")
        assert says in str(caught.value)
    (tmp_path / "v").write_bytes(data[:-9])
    found = read_vectors(tmp_path / "v", errors="skip")
    assert len(found.vocabulary) == 7 and found.tally == {"head": 1}
    (tmp_path / "v").write_bytes(data.replace(b"the " + data[data.index(b"the ") + 4 :][:4], b"the \xff\xff\xff\xff"))
    with pytest.raises(InputError, match="v:word 1: the vector of 'the' holds a number that is not finite"):
        read_vectors(tmp_path / "v")


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_damaged_containers(tmp_path, model, form):
    export_vectors(model, tmp_path / "v", form)
    data = (tmp_path / "v").read_bytes()
    for content in (data[: len(data) // 2], data[:30], data[:20] + b"\0" * 40 + data[60:]):
        (tmp_path / "v").write_bytes(content)
        with pytest.raises(InputError, match="v: ") as caught:
            read_vectors(tmp_path / "v", form)
        assert "\n" not in str(caught.value)


def test_containers_of_something_else(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    np.savez(tmp_path / "pickled.npz", words=np.array(["a", None], object), vectors=np.eye(2))
    np.savez(tmp_path / "short.npz", words=np.array(["a"]), vectors=np.eye(2))
    np.savez(tmp_path / "turned.npz", words=np.array(["a", "b"]), vectors=np.asfortranarray([[1.0, 2], [3, 4]]))
    np.savez(tmp_path / "letters.npz", words=np.array(["a", "b"]), vectors=np.eye(2), scales=np.array(["x", "y"]))
    np.savez(tmp_path / "parts.npz", words=np.array(["a", "b"]), vectors=np.eye(2), counts=np.array([0.5, 1]))
    library.save_file({"weight": np.eye(2)}, tmp_path / "o.safetensors")
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    says = {"pickled.npz": "no array words", "short.npz": "words has the shape 1", "turned.npz": "no array vectors"}
    says |= {"letters.npz": "scales holds <U1, not numbers", "parts.npz": "counts holds float64, not numbers"}
    for name, text in (says | {"o.safetensors": "no tensor vectors", "z.npz": "not a NumPy array"}).items():
        with pytest.raises(InputError, match=text):
            read_vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"just some text\nand more\n", "not a file of vectors that is known"),
        (b"\0\1\2" * 50, "not a file of vectors that is known"),
        (b"3 4\n", "contains no vectors"),
    ],
)
def test_what_is_no_file_of_vectors(tmp_path, content, says):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_vectors(tmp_path / "v", errors="skip")
    with pytest.raises(InputError, match="no such file"):
        read_vectors(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        read_vectors(tmp_path)


def test_outputs_are_whole_or_not_there(tmp_path, model, monkeypatch):
    export_vectors(model, tmp_path / "o.npz")
    with pytest.raises(UsageError, match="exists; pass force=True"):
        export_vectors(model, tmp_path / "o.npz")
    before = (tmp_path / "o.npz").read_bytes()
    monkeypatch.setattr(rounding.Rounded, "take", lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
    with pytest.raises(RuntimeError):
        export_vectors(model, tmp_path / "o.npz", force=True)
    assert (tmp_path / "o.npz").read_bytes() == before
    (tmp_path / "bad").write_text("1 2\na 1\n")
    with pytest.raises(InputError):
        import_vectors(tmp_path / "bad", tmp_path / "new.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "m.h5", "o.npz"]


def test_memory_does_not_grow_with_the_rows(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(20_000, 300)).astype(np.float32)  # 24 MB
    model = write_model(tmp_path / "m.h5", [f"w{i}" for i in range(20_000)], matrix)
    small = write_model(tmp_path / "small.h5", ["a", "b"], np.ones((2, 3), np.float32))
    for form in ("word2vec-bin", "npz", "safetensors"):
        export_vectors(small, tmp_path / "o", form, force=True)  # what is imported on the way is not of the rows
        import_vectors(tmp_path / "o", tmp_path / "again.h5", force=True)
        tracemalloc.start()
        export_vectors(model, tmp_path / "o", form, force=True)
        import_vectors(tmp_path / "o", tmp_path / "again.h5", force=True)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 18 << 20, form
        assert np.array_equal(open_model(tmp_path / "again.h5").matrix, matrix)


# ------------------------------------------------------------------------------------------------------ other verbs


@pytest.mark.parametrize("form", FORMATS)
def test_queries_take_any_format(tmp_path, model, form):
    path = tmp_path / "o.tsv"
    export_vectors(model, path, form)
    assert nn(path, ["水"], topn=3) == nn(model, ["水"], topn=3)
    assert np.array_equal(Vectors.open(path)["Köln"], Vectors.open(model)["Köln"])
    pairs = tmp_path / "p.tsv"
    pairs.write_text("the\tKöln\t3\n水\t3.14\t1\nthe\t-\t2\n")
    rows = evaluate([model, path], pairs=[pairs])
    assert [row["value"] for row in rows[:2]] == [row["value"] for row in rows[2:]]
    assert rows[0]["covered"] == 3


def test_the_command_line(tmp_path, model, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "m.h5", "o.npz", "--dtype", "int8"]) == 0
    assert capsys.readouterr().out.startswith("o.npz: 8 vectors of size 5, as npz, cosine error: mean ")
    assert main(["export", "m.h5", "o.txt", "--format", "fasttext-vec", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": ["o.txt"], "format": "fasttext-vec", "words": 8, "vector_size": 5}
    assert main(["import", "o.txt", "n.h5", "--json"]) == 0
    wanted = {"output": "n.h5", "format": "word2vec", "words": 8, "vector_size": 5, "left_out": {}}
    assert json.loads(capsys.readouterr().out) == wanted
    Path("bad.txt").write_text("2 1\na 1\na 2\n")
    assert main(["import", "bad.txt", "b.h5"]) == 1
    assert capsys.readouterr().err == "cooc-engine: bad.txt:3: the word 'a' stands twice (first at 2)\n"
    assert main(["import", "bad.txt", "b.h5", "--errors", "skip"]) == 0
    assert capsys.readouterr().out == "b.h5: 1 vectors of size 1; left out: stands twice 1\n"
    assert main(["export", "m.h5", "o.txt", "--format", "fasttex"]) == 2
    assert "--format is 'fasttex'" in capsys.readouterr().err
    assert main(["import", "m.h5", "b2.h5"]) == 1
    assert "is already a cooc-engine model" in capsys.readouterr().err
    assert main(["nn", "o.txt", "the", "--topn", "2", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["the"]
