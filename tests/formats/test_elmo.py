"""The files of ELMo's programs: the same bytes after a round trip, faults by their names, and hostile files without harm."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.elmo import TINY, random_network

from cooc_engine import export_vectors, import_vectors, open_model
from cooc_engine.contextual.characters import MARKS
from cooc_engine.contextual.file import elmo_data, imported_config, network_of
from cooc_engine.contextual.shape import Shape
from cooc_engine.corpus.vocabulary import Vocabulary
from cooc_engine.errors import CoocError, InputError, UsageError
from cooc_engine.formats.elmo import ElmoFiles
from cooc_engine.models.file import save_model

WORDS = ["the", "Übergröße", "日本語", "x" * 60, "🙂"]
FILES = ElmoFiles.beside(Path("weights.hdf5"))


def model_at(path: Path, shape: Shape = TINY) -> Path:
    network, words = random_network(shape), Vocabulary.from_words(WORDS, [9, 7, 5, 3, 1])
    save_model(path, elmo_data(network, words, {"import": imported_config(shape)}, {}))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, and the files that it is published as."""
    directory = tmp_path_factory.mktemp("elmo")
    (directory / "published").mkdir()
    export_vectors(model_at(directory / "model.h5"), directory / "published" / FILES.weights)
    return directory


@pytest.fixture
def published(made, tmp_path):
    """A directory of published files, for a test to change."""
    return shutil.copytree(made / "published", tmp_path / "published")


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_export_import_and_export_give_the_same_bytes(tmp_path, published):
    import_vectors(published / FILES.weights, tmp_path / "again.h5")
    (tmp_path / "twice").mkdir()
    export_vectors(tmp_path / "again.h5", tmp_path / "twice" / FILES.weights)
    assert bytes_of(tmp_path / "twice") == bytes_of(published)
    assert {*bytes_of(published)} == {path.name for path in FILES}


def test_an_imported_model_is_the_same_network_without_its_softmax(tmp_path, published):
    model = import_vectors(published / FILES.weights, tmp_path / "again.h5")
    found, wanted = network_of(model), random_network()
    assert found.shape == replace(TINY, words=0)
    assert all(np.array_equal(values, wanted.parameters[name]) for name, values in found.parameters.items())
    assert model.vocabulary.words == WORDS


def test_other_programs_find_what_they_look_for(published):
    with h5py.File(published / FILES.weights) as file:
        assert file["char_embed"].shape == (261, TINY.characters)
        assert file["CNN/W_cnn_2"].shape == (1, 3, TINY.characters, 5)
        assert file["RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell/W_0"].shape == (8, 24)
        assert file["RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell/W_0"].dtype == "<f4"
        assert "softmax" not in file
    options = json.loads((published / FILES.options).read_text())
    assert options["char_cnn"] == {
        "embedding": {"dim": 3}, "filters": [[1, 3], [2, 4], [3, 5]], "n_highway": 2, "n_characters": 262,
        "max_characters_per_token": 50, "activation": "relu",
    }  # fmt: skip
    assert options["lstm"] == {
        "cell_clip": 0.4, "proj_clip": 0.2, "dim": 6, "projection_dim": 4, "n_layers": 2, "use_skip_connections": True,
    }  # fmt: skip
    assert (published / FILES.vocabulary).read_text().splitlines() == [*MARKS, *WORDS]


def test_token_embeddings_are_the_vectors_without_context(made, published):
    model = open_model(made / "model.h5")
    with h5py.File(published / FILES.token_embeddings) as file:
        vectors = file["embedding"][...]
    assert np.array_equal(vectors[len(MARKS) :], model.matrix)
    assert vectors.shape == (len(MARKS) + len(WORDS), TINY.vector_size)


def test_a_model_without_vocabulary_is_imported_too(tmp_path, published):
    (published / FILES.vocabulary).unlink()
    model = import_vectors(published / FILES.weights, tmp_path / "again.h5")
    assert len(model.vocabulary) == 0
    assert network_of(model).shape.vector_size == TINY.vector_size


def test_names_follow_from_that_of_the_weights():
    names = [path.name for path in ElmoFiles.beside(Path("small_weights.hdf5"))]
    assert names == ["small_weights.hdf5", "small_options.json", "small_vocabulary.txt", "small_token_embeddings.hdf5"]
    assert ElmoFiles.beside(Path("a/elmo.hdf5")).options == Path("a/elmo_options.json")


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        (replace(TINY, residual=False), "lstm.use_skip_connections is false"),
        (replace(TINY, vector_size=5, filters=((1, 3), (2, 2))), "lstm.projection_dim is 5"),
        (replace(TINY, cells=4), "lstm.dim is 4"),
        (replace(TINY, layers=9), "lstm.n_layers is 9"),
    ],
)
def test_what_the_programs_would_refuse_is_not_exported(tmp_path, shape, named):
    model_at(tmp_path / "model.h5", shape)
    with pytest.raises(UsageError, match=named):
        export_vectors(tmp_path / "model.h5", tmp_path / FILES.weights)
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_a_failed_export_leaves_no_file(made, tmp_path, monkeypatch):

    def fail(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cooc_engine.formats.elmo.write_elmo_vocabulary", fail)
    with pytest.raises(CoocError, match="No space left"):
        export_vectors(made / "model.h5", tmp_path / FILES.weights)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("flags", [{"vectors": "w"}, {"restrict": 3}])
def test_parts_of_a_model_are_not_exported(made, tmp_path, flags):
    with pytest.raises(UsageError, match="holds the whole model"):
        export_vectors(made / "model.h5", tmp_path / FILES.weights, **flags)


# ------------------------------------------------------------------------------------------------------------ faults


def change_options(directory: Path, part: str, **changes) -> None:
    path = directory / FILES.options
    options = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            del options[part][key]
        else:
            options[part][key] = value
    path.write_text(json.dumps(options))


def refused(tmp_path: Path, directory: Path, message: str, **how) -> None:
    with pytest.raises(InputError, match=message) as caught:
        import_vectors(directory / FILES.weights, tmp_path / "again.h5", **how)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "again.h5").exists()


@pytest.mark.parametrize(
    ("part", "changes", "named"),
    [
        ("lstm", {"cell_clip": None}, "lstm has no cell_clip"),
        ("lstm", {"proj_clip": 0}, r"lstm\.proj_clip is 0"),
        ("lstm", {"dim": 10**30}, r"lstm\.dim"),
        ("lstm", {"n_layers": 100}, r"lstm\.n_layers"),
        ("char_cnn", {"activation": "selu"}, r"char_cnn\.activation"),
        ("char_cnn", {"max_characters_per_token": 51}, r"char_cnn\.max_characters_per_token"),
        ("char_cnn", {"n_characters": 60}, r"char_cnn\.n_characters"),
        ("char_cnn", {"filters": []}, r"char_cnn\.filters has 0 widths"),
        ("char_cnn", {"filters": [[51, 4]]}, r"char_cnn\.filters\[0\]"),
        ("char_cnn", {"n_highway": -1}, r"char_cnn\.n_highway"),
    ],
)
def test_an_option_that_cannot_be_is_named(tmp_path, published, part, changes, named):
    change_options(published, part, **changes)
    refused(tmp_path, published, named)


def test_a_model_of_whole_words_is_refused(tmp_path, published):
    (published / FILES.options).write_text('{"lstm": {}, "n_tokens_vocab": 9}')
    refused(tmp_path, published, "has no char_cnn")


def test_missing_options_are_named(tmp_path, published):
    (published / FILES.options).rename(published / "other.json")
    refused(tmp_path, published, "without options.json beside them; pass options FILE")
    import_vectors(published / FILES.weights, tmp_path / "again.h5", options=published / "other.json")


def edit_weights(directory: Path, change) -> None:
    with h5py.File(directory / FILES.weights, "r+") as file:
        change(file)


def replaced(name: str, values):
    def change(file):
        del file[name]
        if values is not None:
            file[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("CNN_proj/b_proj", None), "has no dataset CNN_proj/b_proj"),
        (replaced("RNN_1", None), "has no dataset RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell/W_0"),
        (replaced("CNN_proj/W_proj", np.zeros((4, 12), "f4")), "CNN_proj/W_proj has the shape 4 x 12, expected 12 x 4"),
        (replaced("char_embed", np.zeros((261, 3), "i4")), "char_embed is not a dataset of floating-point numbers"),
        (replaced("char_embed", np.full((261, 3), np.nan, "f4")), "char_embed holds numbers that are not finite"),
        (replaced("char_embed", h5py.ExternalLink("elsewhere.hdf5", "a")), "char_embed is a link"),
        (replaced("CNN", h5py.SoftLink("/CNN_proj")), "is a link"),
        (replaced("char_embed/", None), "has no dataset char_embed"),
    ],
)
def test_a_dataset_that_is_missing_or_does_not_fit_is_named(tmp_path, published, change, said):
    edit_weights(published, change)
    refused(tmp_path, published, said)


def test_compressed_and_double_weights_are_read(tmp_path, published):
    with h5py.File(published / FILES.weights, "r+") as file:
        values = file["CNN_proj/W_proj"][...]
        del file["CNN_proj/W_proj"]
        file.create_dataset("CNN_proj/W_proj", data=values.astype(">f8"), compression="gzip")
    model = import_vectors(published / FILES.weights, tmp_path / "again.h5")
    assert np.array_equal(model.array("projection"), values)


@pytest.mark.parametrize("how", [{"chunks": (1, 1 << 20)}, {"chunks": None}])
def test_a_dataset_that_is_not_in_the_file_takes_no_memory(tmp_path, published, how):
    """Sizes that options and dataset agree on, and that would be a terabyte."""
    change_options(published, "char_cnn", embedding={"dim": 2**23})

    def claim(file):
        del file["char_embed"]
        file.create_dataset("char_embed", (261, 2**23), "f4", **how)

    edit_weights(published, claim)
    tracemalloc.start()
    refused(tmp_path, published, "char_embed takes 8,757,706,752 bytes, and 0 are in the file")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_values_that_lie_in_another_file_are_refused(tmp_path, published):
    (tmp_path / "secret").write_bytes(bytes(4 * 261 * 3))

    def claim(file):
        del file["char_embed"]
        file.create_dataset("char_embed", (261, 3), "f4", external=[(str(tmp_path / "secret"), 0, 4 * 261 * 3)])

    edit_weights(published, claim)
    refused(tmp_path, published, "char_embed lies in another file")


def test_damaged_files_are_one_line(tmp_path, published):
    whole, rng = (published / FILES.weights).read_bytes(), np.random.default_rng(0)
    for place in rng.integers(0, 4000, 25):  # of the structure, which lies first
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        (published / FILES.weights).write_bytes(damaged)
        try:
            import_vectors(published / FILES.weights, tmp_path / "again.h5", force=True)
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("size", [0, 5, 700, 4000])
def test_truncated_weights_are_refused(tmp_path, published, size):
    whole = (published / FILES.weights).read_bytes()
    (published / FILES.weights).write_bytes(whole[:size])
    refused(tmp_path, published, "weights.hdf5: (empty file|not an HDF5 file|truncated|damaged)", format="elmo")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the\nof\n", "vocabulary.txt:1: a vocabulary for ELMo begins with the lines <S>, </S>, <UNK>"),
        ("<S>\n</S>\n<UNK>\na\n\nb\n", "vocabulary.txt:5: no word"),
        ("<S>\n</S>\n<UNK>\na\nb\na\n", "vocabulary.txt:6: the word 'a' stands twice .first in line 4"),
    ],
)
def test_a_faulty_vocabulary_is_refused(tmp_path, published, text, said):
    (published / FILES.vocabulary).write_text(text)
    refused(tmp_path, published, said)


def test_a_vocabulary_that_is_not_utf8_is_refused(tmp_path, published):
    (published / FILES.vocabulary).write_bytes(b"<S>\n</S>\n<UNK>\na\n\xff\n")
    refused(tmp_path, published, "vocabulary.txt:5: not UTF-8")


def test_options_belong_to_elmo_alone(tmp_path, published):
    (tmp_path / "a.vec").write_text("1 2\na 1 2\n")
    with pytest.raises(UsageError, match="only an ELMo model has such a file"):
        import_vectors(tmp_path / "a.vec", tmp_path / "b.h5", options=published / FILES.options)


def test_a_model_that_does_not_fit_its_options_is_refused(tmp_path):
    network, words = random_network(), Vocabulary.from_words(WORDS, [9, 7, 5, 3, 1])
    config = {"import": imported_config(replace(TINY, cells=7))}
    save_model(tmp_path / "model.h5", elmo_data(network, words, config, {}))
    with pytest.raises(InputError, match="parameter forward-0-weights is 8 x 24, but its options say 8 x 28"):
        network_of(open_model(tmp_path / "model.h5"))


@pytest.mark.shared
@pytest.mark.parametrize("program", ["allennlp", "bilm"])
def test_the_programs_own_models_are_imported(tmp_path, shared, program):
    weights = shared / "data" / "elmo" / program / "lm_weights.hdf5"
    model = import_vectors(weights, tmp_path / "model.h5")
    network = network_of(model)
    assert network.shape.residual == (program == "allennlp")
    with h5py.File(weights) as file:
        for parameter in network.shape.parameters:
            assert np.array_equal(network.parameters[parameter.name], file[parameter.published][...].reshape(parameter.shape))
