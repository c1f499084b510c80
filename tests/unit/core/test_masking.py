"""What looks secret leaves the machine masked, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polos.core.masking import MASK, Masker, looks_secret


@pytest.mark.parametrize(
    "key",
    ["password", "api_key", "apiKey", "X-Api-Key", "accessToken", "AWS_SECRET_ACCESS_KEY", "Authorization", "card_number", "cvc",
     "client-secret", "privateKey", "Set-Cookie"],
)  # fmt: skip
def test_names_that_look_secret(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize(
    "key",
    ["key", "name", "tokens", "max_tokens", "passenger", "secretary", "keyboard", "card", "authorized", "spinner", ""],
)
def test_names_that_do_not(key: str) -> None:
    assert not looks_secret(key)


def masked(value: Any, *secrets: str) -> tuple[Any, list[str]]:
    text, places = Masker(secrets).json(json.dumps(value))
    return json.loads(text), places


def test_fields_and_values_are_masked_wherever_they_stand() -> None:
    value = {
        "user": {"password": "hunter2", "name": "Ada"},
        "list": [{"token": "t"}, "has sk-live-12345 in it"],
        "n": 1,
    }
    found, places = masked(value, "sk-live-12345", "short")
    assert found == {
        "user": {"password": MASK, "name": "Ada"}, "list": [{"token": MASK}, f"has {MASK} in it"], "n": 1
    }  # fmt: skip
    assert places == ["/user/password", "/list/0/token", "/list/1"]


def test_numbers_and_empty_texts_are_left_and_so_is_text_that_holds_none() -> None:
    assert masked({"token": 12, "password": "", "secret": None, "pin": {"a": 1}}) == (
        {"token": 12, "password": "", "secret": None, "pin": {"a": 1}}, []
    )  # fmt: skip
    text = '{"a": 1.0,  "b": 123456789012345678901234567890}'
    assert Masker(["secret-value"]).json(text) == (text, []), "to the letter"


def test_the_longest_value_is_masked_first_and_short_ones_are_not_looked_for() -> None:
    assert Masker(["abcdef", "abcdefgh"]).text("abcdefgh abcdef") == f"{MASK} {MASK}"
    assert Masker(["true", "1"]).text("true 1") == "true 1"


def test_places_are_json_pointers() -> None:
    assert masked({"a/b": {"m~n": {"token": "x"}}})[1] == ["/a~1b/m~0n/token"]


def test_two_names_below_each_other_make_one() -> None:
    assert masked({"card": {"number": "4242", "brand": "visa"}}) == (
        {"card": {"number": MASK, "brand": "visa"}},
        ["/card/number"],
    )


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    masker = Masker(["first line of it\nsecond line of it"])
    assert masker.text("printed: second line of it") == f"printed: {MASK}"
