"""JSON from outside: what is parsed, what fits a description, and what messages say."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooc_engine.errors import FormatError
from cooc_engine.runtime.options import Above, AtLeast, Below
from cooc_engine.storage import schema
from cooc_engine.storage.schema import Digest, Natural, Relation, Rising, fitted, parse_json, read_json


class Place(NamedTuple):
    file: Natural
    byte: Natural


class Inner(TypedDict):
    kind: Literal["a", "b", 1]


class Record(TypedDict):
    tokens: Natural
    parts: list[tuple[Natural, bool]]
    inner: Inner


class Optional(Record, total=False):
    place: Place | None
    digest: Digest
    ends: Annotated[list[int], Rising()]
    shares: dict[str, Annotated[float, Above(0), Below(1)]]
    other: Any


WHOLE = Relation("tokens", "the sum of the parts", lambda record: record["tokens"] == sum(n for n, _ in record["parts"]))
GOOD: dict[str, Any] = {"tokens": 5, "parts": [[2, True], [3, False]], "inner": {"kind": "b"}}


def read(**changed: Any) -> Any:
    return read_json(json.dumps(GOOD | changed).encode(), Optional, "file", WHOLE)


def test_what_fits_is_returned_with_arrays_of_fixed_length_as_tuples():
    found = read(place=[1, 2], shares={"x": 0.5}, ends=[1, 1, 2], digest="0" * 64, new={"deep": [1]})
    assert found["parts"] == [(2, True), (3, False)]
    assert found["place"] == Place(1, 2)
    assert isinstance(found["place"], Place)
    assert list(found) == [*GOOD, "place", "shares", "ends", "digest", "new"]
    assert found["new"] == {"deep": [1]}
    assert read(place=None)["place"] is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tokens": 4}, "tokens is 4; it must be the sum of the parts"),
        ({"tokens": -1}, "tokens is -1; it must be at least 0"),
        ({"tokens": 2**63}, "tokens is 9223372036854775808; it must be below"),
        ({"tokens": 5.0}, "tokens is 5.0; it must be a whole number"),
        ({"tokens": True}, "tokens is true; it must be a whole number"),
        ({"tokens": None}, "tokens is null; it must be a whole number"),
        ({"tokens": "5" * 100}, f'tokens is "{"5" * 59}...; it must be a whole number'),
        ({"parts": {}}, "parts is an object; it must be a list"),
        ({"parts": [[2, True], [3]]}, r"parts\[1\] is a list of 1; it must be a list of 2"),
        ({"parts": [[2, 1], [3, False]]}, r"parts\[0\]\[1\] is 1; it must be true or false"),
        ({"inner": []}, "inner is a list of 0; it must be an object"),
        ({"inner": {}}, "inner has no kind"),
        ({"inner": {"kind": True}}, "inner.kind is true; it must be a or b or 1"),
        ({"place": [1, "x\n"]}, r'place\[1\] is "x\\n"; it must be a whole number'),
        ({"digest": "0" * 63 + "\n"}, "digest is .*; it must be a SHA-256"),
        ({"ends": [1, 0]}, "ends is a list of 2; it must be in rising order"),
        ({"shares": {"\x1b[1m": 1}}, r'shares."\\u001b\[1m" is 1; it must be below 1'),
        ({"shares": {"x": 10**400}}, "shares.*it must be a number"),
        ({"shares": [0.5]}, "shares is a list of 1; it must be an object"),
    ],
)
def test_a_misfit_names_its_place_and_what_is_expected(changed, message):
    with pytest.raises(FormatError, match=f"^file: {message}") as failure:
        read(**changed)
    assert len(str(failure.value).splitlines()) == 1


def test_a_missing_key_is_named():
    with pytest.raises(FormatError, match=r"^file: the content has no tokens$"):
        read_json(b'{"parts": [], "inner": {"kind": "a"}}', Record, "file")
    with pytest.raises(FormatError, match=r"^file: the content is a list of 0; it must be an object$"):
        read_json(b"[]", Record, "file")


def test_a_union_takes_each_of_its_types():
    for value in (1, "a"):
        assert fitted({"x": value}, TypedDict("Either", {"x": int | str}), "file")["x"] == value
    with pytest.raises(FormatError, match="x is true; it must be a whole number"):
        fitted({"x": True}, TypedDict("Either", {"x": int | str | None}), "file")


def test_numbers_that_are_not_json_do_not_fit():
    with pytest.raises(FormatError, match="x is NaN; it must be a number"):
        fitted({"x": math.nan}, TypedDict("Floats", {"x": Annotated[float, AtLeast(0)]}), "file")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 40 + b"]" * 40, "nested too deeply"),
        (b'{"a": 1, "b": {"a": 1, "a": 2}}', "the same key twice"),
        (b"[NaN]", "NaN is not a finite number"),
        (b"[-Infinity]", "-Infinity is not a finite number"),
        (b"[1e999]", "1e999 is not a finite number"),
        (b"[" + b"9" * 5000 + b"]", "Exceeds the limit"),
        (b'["\xff"]', "can't decode byte 0xff"),
        ('["x"]'.encode("utf-16"), "can't decode byte 0xff"),
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b" " * ((1 << 26) + 1), "more than the 67108864 bytes that are read"),
    ],
)
def test_what_is_not_parsed(data, message):
    with pytest.raises(FormatError, match=f"^file: not JSON that can be read .*{message}") as failure:
        parse_json(data, "file")
    assert len(str(failure.value).splitlines()) == 1


HEAVY = {
    "lists": b"[" + b"[]," * 1000 + b"0]",
    "objects": b"[" + b"{}," * 1000 + b"0]",
    "short keys": b"{" + b",".join(b'"%d":0' % key for key in range(1000)) + b"}",
    "one wide character": b'["' + b"a" * 10_000 + "😀".encode() + b'"]',
}


@pytest.mark.parametrize("data", HEAVY.values(), ids=HEAVY)
def test_values_that_take_far_more_memory_than_their_text_are_not_parsed(data, monkeypatch):
    parse_json(data, "file")  # there is little of it
    monkeypatch.setattr(schema, "FREE", 1 << 10)
    with pytest.raises(FormatError, match="its values take far more memory than the text"):
        parse_json(data, "file")


@pytest.mark.parametrize(
    "record",
    [
        {"texts": [f"text-{number:07d}.txt" for number in range(100)], "stamps": [[9**9, 9**19]] * 100},
        {"user_dict": "字典 5 n\n" * 100},
        {"history": [{"epoch": epoch, "loss": 0.123456789, "seconds": 1.23456789, "items": 9**9} for epoch in range(100)]},
    ],
)
def test_no_record_of_many_files_words_or_epochs_is_too_much(record, monkeypatch):
    monkeypatch.setattr(schema, "FREE", 1 << 10)
    for how in ({}, {"indent": 1, "ensure_ascii": False}):
        assert parse_json(json.dumps(record, **how).encode(), "file") == record


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "place", "x"]), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_all_json_is_parsed_as_it_is(value):
    assert parse_json(json.dumps(value).encode(), "file") == value


@given(VALUES, st.sampled_from([*GOOD, "place", "shares"]))
def test_whatever_comes_it_fits_or_is_a_format_error(value, key):
    try:
        found = read(**{key: value})
    except FormatError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert set(found) >= {*GOOD}
