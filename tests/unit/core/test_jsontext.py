"""Integers of any size, written and read; what is no JSON is refused (S3.1)."""

from __future__ import annotations

from typing import Any

import pytest

from polos.core import jsontext


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        "",
        [],
        {"a": [1, 2.5, "é\u2028"]},
        2**63 - 1,
        2**64,
        -(10**30),
        {"n": [10**40, 0.1, "1" * 30]},
        "9" * 19,
    ],
)
def test_what_is_written_is_read_as_it_was(value: Any, indent: bool) -> None:
    back = jsontext.loads(jsontext.dumps(value, indent=indent))
    assert back == value and type(back) is type(value)


def test_text_has_one_form_whatever_wrote_it() -> None:
    assert jsontext.dumps({"a": [1, "é"]}) == '{"a":[1,"é"]}'
    assert jsontext.dumps({"a": [10**30, "é"]}) == '{"a":[' + "1" + "0" * 30 + ',"é"]}'


def test_what_is_no_json_is_made_so_or_refused() -> None:
    assert jsontext.dumps({"n": 10**30, "at": {1}}, default=list) == '{"n":1' + "0" * 30 + ',"at":[1]}'
    with pytest.raises(TypeError):
        jsontext.dumps({"n": 10**30, "at": {1}})


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", "1" * 5_000, f"[{'1' * 30}, NaN]", "'a'"])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        jsontext.loads(text)
