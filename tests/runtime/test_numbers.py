"""Numbers for people: what is shown, and that sizes can be read back."""

from __future__ import annotations

import pytest

from cooc_engine.runtime import numbers


@pytest.mark.parametrize("size, text", [(0, "0 B"), (1023, "1023 B"), (1536, "1.5K"), (3 << 20, "3.0M"), (1 << 41, "2.0T")])
def test_sizes_are_binary(size, text):
    assert numbers.show_size(size) == text
    if size:
        assert numbers.parse_size(text) == size


@pytest.mark.parametrize("number, text", [(0.4, "0"), (999, "999"), (1500, "1.5k"), (2.25e6, "2.2M"), (5e12, "5000.0G")])
def test_numbers_have_decimal_prefixes(number, text):
    assert numbers.show_number(number) == text


def test_a_number_may_stand_apart_from_its_prefix():
    assert numbers.show_number(1500, " ", ".1f") == "1.5 k"
    assert numbers.show_number(12, " ", ".1f") == "12.0"


@pytest.mark.parametrize(
    "seconds, clock, duration", [(4.52, "0:05", "4.5 s"), (62, "1:02", "1 min 2 s"), (3723, "1:02:03", "1 h 2 min")]
)
def test_times(seconds, clock, duration):
    assert numbers.show_clock(seconds) == clock
    assert numbers.show_duration(seconds) == duration


def test_what_is_absent_is_a_dash():
    assert numbers.show_duration(None) == "–"
    assert numbers.show_percent(None) == "--"
    assert numbers.show_percent(0.125) == "12.5"


@pytest.mark.parametrize("value, text", [(True, "true"), (2.0, "2"), (0.05, "0.05"), (7, "7"), ("both", "both")])
def test_options_are_shown_as_toml_has_them(value, text):
    assert numbers.show_value(value) == text
