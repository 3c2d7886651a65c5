"""Options of the stages before a model as keywords; one path where several are meant; and an imported model that answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.corpora import contents

from cooc_engine import (
    Cooc,
    CountOptions,
    EncodeOptions,
    Model,
    compare,
    count,
    encode,
    encode_documents,
    export_vectors,
    import_vectors,
    merge,
    plan_merge,
    train,
)
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.comparison import comparison


@pytest.fixture(autouse=True)
def text(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("A cat sat on a mat\n" * 3 + "a dog sat\n" * 2)


def test_options_are_taken_by_name():
    by_name = encode("text.txt", "c", min_count=2, lowercase=True, threads=1)
    by_class = encode("text.txt", "d", EncodeOptions(min_count=2, lowercase=True), threads=1)
    assert contents(by_name.path) == contents(by_class.path)
    counted = count(by_name, "n", window=2, threads=1)
    assert contents(counted.path) == contents(count("c", "m", CountOptions(window=2), threads=1).path)
    documents = encode_documents(["a b a", "b"], "e", min_count=2)
    assert documents.vocabulary.words == ["a", "b"]


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: encode("text.txt", "c", min_cout=2), TypeError, r"^encode\(\) got .* 'min_cout'; did you mean min_count\?$"),
        (lambda: encode("text.txt", "c", thread=2), TypeError, "'thread'; did you mean threads"),
        (lambda: count("c", "n", epochs=2), TypeError, r"^count\(\) got .* 'epochs'; it takes window, "),
        (lambda: encode("text.txt", "c", EncodeOptions(), min_count=2), UsageError, "options were given, and min_count too"),
        (lambda: encode("text.txt", "c", CountOptions()), UsageError, "encode takes EncodeOptions, not CountOptions"),
        (lambda: encode("text.txt", "c", min_count=0), UsageError, "min_count is 0"),
        (lambda: encode_documents(["a"], "c", resume=True), TypeError, "'resume'"),
    ],
)
def test_keywords_that_make_no_sense(call, kind, says):
    with pytest.raises(kind, match=says):
        call()
    assert not Path("c").exists()


def test_one_path_is_not_taken_letter_by_letter():
    encode("text.txt", "c", min_count=1)
    counted = count("c", "n")
    assert contents(merge("n", "one").path) == contents(merge([Cooc("n")], "two").path)
    assert plan_merge(counted, "three").least > 0
    for name, seed in (("a.h5", 1), ("b.h5", 2)):
        train("glove", "n", name, vector_size=2, epochs=1, seed=seed)
    Path("pairs.tsv").write_text("cat\tmat\t3\nsat\tmat\t2\non\tmat\t1\n")
    one = comparison(["a.h5", "b.h5"], "pairs.tsv")
    assert [data["name"] for data in one["sets"]] == ["pairs"]
    assert compare(["a.h5", "b.h5"], pairs="pairs.tsv")["sets"] == one["sets"]


def test_imported_vectors_answer():
    Path("v.txt").write_text("cat 1 0\ndog 0.9 0.1\nmat 0 1\nmat 0 2\n")
    model = import_vectors("v.txt", "m.h5", "glove", errors="skip")
    assert isinstance(model, Model) and model.most_similar("cat", topn=1)[0][0] == "dog"
    assert sum(model.provenance["left_out"].values()) == 1
    export_vectors(model, "w.bin")
    np.testing.assert_array_equal(import_vectors("w.bin", "n.h5").wv["dog"], model.wv["dog"])
