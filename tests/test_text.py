"""The rule for labels, names and notes: every script, one spelling, nothing invisible."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitymodule.text import clean_note, label_key, label_of, lower, name_of, shown, storable

ANYTHING = st.text(st.characters(), max_size=90)


@pytest.mark.parametrize(
    "word",
    [
        "चलना",  # Hindi
        "เดิน ช้าๆ",  # Thai
        "الْمَشْي",  # Arabic with its vowels
        "می\u200cدود",  # Persian, with the joiner that its spelling asks for
        "ನಡೆಯುವುದು",  # Kannada
        "hodit, běžet",
        "אופני־כביש",
        "歩く・走る",
        "l’escalier",  # noqa: RUF001 - as phones write it
        "३ कदम",
        "½ squat",
        "nordic_walking (slow) + rest/sit & co.",
    ],
)
def test_words_of_the_world_are_labels(word: str) -> None:
    assert label_of(word) == word
    assert label_of(f"  {word}\n") == word
    assert name_of(word) == word


@pytest.mark.parametrize("word", ["café", "đi bộ chậm", "걷기", "Å"])
def test_letters_taken_apart_are_the_same_label(word: str) -> None:
    apart = unicodedata.normalize("NFD", word)
    assert apart != unicodedata.normalize("NFC", word)
    assert label_of(apart) == label_of(word) == unicodedata.normalize("NFC", word)
    assert label_key(apart) == label_key(word.upper())


@pytest.mark.parametrize(
    "word",
    [
        "",
        " \u3000",
        "\u0301e",  # a mark without its letter
        "=1+1",
        "<b>",
        "a\0b",
        "a\ud800",
        "walk\u202egnik",  # turned round by an override
        "walk\u200bing",  # a space that nobody sees
        "walk\u200d",  # a joiner that joins nothing
        "🏃",
        "x" * 61,
        "e\u0301" * 61,
        "x" * 1_000_000,
    ],
)
def test_no_label(word: str) -> None:
    assert label_of(word) is None


def test_the_length_is_in_characters_not_in_how_they_are_written() -> None:
    assert label_of("e\u0301" * 60) == "é" * 60


@given(ANYTHING)
def test_a_clean_text_is_clean(text: str) -> None:
    for rule in (label_of, name_of):
        clean = rule(text)
        if clean is not None:
            assert rule(clean) == clean
            clean.encode()
    label = label_of(text)
    if label is not None:
        assert lower(lower(label)) == lower(label)
        assert label_key(lower(label)) == label_key(label)
    note = clean_note(text)
    assert clean_note(note) == note
    assert storable(text).encode() and "\0" not in storable(text) if text else note is None


def test_what_a_terminal_shows_cannot_control_it() -> None:
    assert shown("चलना: \x1b[2J \u202egnp\tx\n") == "चलना: \\u001b[2J \\u202egnp\\u0009x\n"
    assert len(shown("x" * 1_000_000)) < 2100


def test_names_may_be_addresses_but_nothing_invisible() -> None:
    for name in ("@zoe", "=cmd", "Zoë Müller <z@example.com>", "anna.b-2"):
        assert name_of(name) == name
    for name in ("", "a\nb\u2028c\x07", "a\u202eb", "\udcff", "x" * 81):
        assert name_of(name) is None
