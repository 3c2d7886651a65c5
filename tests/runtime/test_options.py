"""Classes of options: what they accept, what they refuse, and what they say of themselves."""

from __future__ import annotations

import pydoc
import re
from pathlib import Path

import numpy as np
import pytest

from cooc_engine import (
    AutotuneOptions,
    ClassifyOptions,
    ClusterOptions,
    CompareOptions,
    CountOptions,
    EmbedOptions,
    EncodeOptions,
    FasttextOptions,
    GloveOptions,
    JoseOptions,
    PmiSvdOptions,
    QuantizeOptions,
    SimplerGloveOptions,
    SkipgramOptions,
    SupervisedOptions,
    count,
    encode,
    encode_documents,
    plan_count,
    plan_encode,
    train,
)
from cooc_engine.errors import UsageError
from cooc_engine.evaluation.options import AccuracyOptions, EvalOptions
from cooc_engine.runtime.options import defaulted

NO_SVD = "without an SVD (solver='none') the vectors are the rows of the PMI matrix"
NO_PHRASES = "phrases is 0, so nothing is joined; leave phrase_threshold out"
GIVEN = "vocabulary gives the words"
NOT_THINNED = "nothing is subsampled without subsample; leave subsample_seed out"
WRITE = "write EncodeOptions(**...) around it"


@pytest.mark.parametrize("kind", [EncodeOptions, CountOptions, GloveOptions, SkipgramOptions, QuantizeOptions, AutotuneOptions])
def test_help_lists_the_fields(kind):
    said = pydoc.plain(pydoc.render_doc(kind))
    assert all(f"\n |  {name} " in said for name in kind.names())


def test_numbers_of_numpy_and_paths_are_what_they_hold():
    options = GloveOptions(vector_size=np.int64(7), lr=np.float32(0.5), x_max=np.array(3), init=Path("a.h5"))
    assert options == GloveOptions(vector_size=7, lr=0.5, x_max=3.0, init="a.h5")
    assert EncodeOptions(lowercase=np.True_).lowercase is True
    with pytest.raises(UsageError, match=r"^vector_size is 2.5; it must be of type int$"):
        GloveOptions(vector_size=np.float64(2.5))


def test_a_switch_of_another_type_is_named_as_a_keyword():
    with pytest.raises(UsageError, match=r"^lowercase is 'yes'; it must be of type bool$"):
        EncodeOptions(lowercase="yes")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            lambda: encode("t.txt", "c", {"min_count": 1}),
            "encode takes EncodeOptions, not dict; write EncodeOptions(**...) around it",
        ),
        (lambda: encode_documents(["a b"], "c", 5), "encode_documents takes EncodeOptions, not int"),
        (lambda: count("c", "d", GloveOptions()), "count takes CountOptions, not GloveOptions"),
        (lambda: plan_encode("t.txt", "c", "regex"), "plan_encode takes EncodeOptions, not str"),
        (lambda: plan_count("c", "d", ()), "plan_count takes CountOptions, not tuple"),
        (
            lambda: train("glove", "c", "m.h5", encode={}),
            "encode takes EncodeOptions, not dict; write EncodeOptions(**...) around it",
        ),
        (lambda: train("glove", "c", "m.h5", count=EncodeOptions()), "count takes CountOptions, not EncodeOptions"),
    ],
)
def test_options_of_another_type_are_refused(asked, says):
    with pytest.raises(UsageError) as caught:
        asked()
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("kind", "name", "bound"),
    [
        (EncodeOptions, "phrases", "100"),
        (SkipgramOptions, "negative", "10000"),
        (JoseOptions, "negative", "10000"),
        (SupervisedOptions, "negative", "10000"),
        (EmbedOptions, "batch", "65536"),
        (EvalOptions, "bootstrap", "1e+06"),
        (CompareOptions, "samples", "1e+06"),
        (ClassifyOptions, "samples", "1e+06"),
        (AccuracyOptions, "samples", "1e+06"),
        (ClusterOptions, "runs", "10000"),
    ],
)
def test_numbers_that_make_work_without_end_are_refused(kind, name, bound):
    with pytest.raises(UsageError, match=f"{name} is 9.22337e.18; it must be below {re.escape(bound)}$"):
        kind(**{name: 2**63 - 1})


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda: GloveOptions(patience=5), "patience is 5, but without held_out no loss is watched; leave patience out"),
        (lambda: SimplerGloveOptions(patience=1), "patience is 1, but without held_out no loss is watched; leave patience out"),
        (lambda: PmiSvdOptions(solver="none", tol=0.5), f"tol is 0.5, but {NO_SVD}; leave tol out"),
        (lambda: PmiSvdOptions(solver="arpack", max_passes=3), "max_passes is 3, but ARPACK has its own passes; leave max"),
        (lambda: encode_documents(["a"], "c", phrase_threshold=3.0), f"phrase_threshold is 3, but {NO_PHRASES}"),
        (lambda: encode_documents(["a"], "c", vocabulary="v", min_count=2), f"min_count is 2, but {GIVEN}; leave"),
        (lambda: plan_count("c", "d", CountOptions(subsample_seed=2)), f"subsample_seed is 2, but {NOT_THINNED}"),
        (lambda: count("c", "d", take_over=True), "take_over=True continues what another run has left; pass resume=True too"),
    ],
)  # fmt: skip
def test_options_without_effect_are_refused(asked, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode_documents(["a b a b"], "c", min_count=1)
    encode_documents(["a b a b"], "v", min_count=1)
    with pytest.raises(UsageError) as caught:
        asked()
    assert str(caught.value).startswith(says)


def test_options_that_the_others_give_a_meaning_are_accepted():
    assert GloveOptions(patience=5, held_out=0.1).patience == 5
    assert FasttextOptions(min_n=0, max_n=0).min_n == FasttextOptions(min_n=0).min_n == 0
    assert PmiSvdOptions(solver="none").vector_size == 100


def test_options_that_are_not_given_are_those_of_their_kind():
    assert defaulted("count", CountOptions, None) == CountOptions()


@pytest.mark.parametrize("value", [np.zeros((3, 3)), "a" * 999, ["a\nb"] * 99])
def test_a_value_of_a_wrong_type_is_told_in_one_short_line(value):
    """An array is not compared with the choices of an option, which would be an error of NumPy's."""
    for wrong in ({"window": value}, {"window_weight": value}):
        with pytest.raises(UsageError) as caught:
            CountOptions(**wrong)
        assert "it must be " in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 120
