"""Text from outside: one rule for labels, names and notes, in every script. docs/console.md has it in words.

Identifiers (labels, names of annotators) are normalised to NFC, so that letters taken apart by a keyboard or a file
system are the same text, and hold letters, marks (the vowels of Hindi or Thai are marks), numbers and a few
separators. What has no place in PostgreSQL's text or in UTF-8 (NUL, half of a surrogate pair) becomes U+FFFD in a note
and makes an identifier invalid. Nothing here depends on the locale.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_LABEL, LONGEST_NAME, LONGEST_NOTE = 60, 80, 500
LABEL_TEXT = (
    f"1 to {LONGEST_LABEL} letters, marks and numbers of any script, spaces and _ - / ( ) & ' . , +, beginning with a "
    "letter or number"
)
"""The form of a label in words, for messages."""
NAME_TEXT = f"1 to {LONGEST_NAME} visible characters and spaces"
"""The form of an annotator's name in words, for messages."""

# Between letters: the separators of UAX #31, table 3a, and the apostrophe and dashes that phones write for ' and -.
# Joiners shape the letters around them (Persian, Malayalam); alone they are invisible.
_SEPARATORS = frozenset(" _-/()&'.,+·֊־׳״་‐‑–’・゠、，（）／")  # noqa: RUF001 - they look alike
_JOINERS = frozenset("\u200c\u200d")
_CONTROLS = re.compile("[\0-\t\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_INVALID = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text as PostgreSQL and UTF-8 can hold it: NUL and lone surrogates become U+FFFD."""
    return text if text.isascii() and "\0" not in text else _INVALID.sub("\ufffd", text)


def csv_cell(text: str) -> str:
    """A cell of CSV. More is quoted than csv.writer does: readers begin a row at a lone CR, and a spreadsheet that
    separates by ; or tab is to see one cell."""
    special = text != text.strip() or any(one in text for one in ',;"\t\r\n')
    return '"' + text.replace('"', '""') + '"' if special else text


def shown(text: str, longest: int = 2000) -> str:
    """Text in a sentence for a terminal: no control character and no override of its direction, and not too long."""
    cut = text if len(text) <= longest else text[:longest] + " ..."
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)


def clean_note(note: str | None) -> str | None:
    """A note as it is stored: as it was written, but storable and at most LONGEST_NOTE characters."""
    return storable(note)[:LONGEST_NOTE] if note else None


def label_of(text: str) -> str | None:
    """A label in NFC and with single spaces; None for text that is no valid label. Its case stays."""
    label = _folded_spaces(text, LONGEST_LABEL)
    if not label or unicodedata.category(label[0])[0] not in "LN":
        return None
    valid = all(_is_letter(c) or c in _SEPARATORS or _joins(label, k) for k, c in enumerate(label))
    return label if valid else None


def label_key(label: str) -> str:
    """What two spellings of one label have in common, whatever the locale."""
    return unicodedata.normalize("NFC", " ".join(label.split()).casefold())


def lower(label: str) -> str:
    """A label in lower case, in NFC; the same for its own result."""
    return unicodedata.normalize("NFC", label.lower())


def name_of(text: str) -> str | None:
    """An annotator's name in NFC and with single spaces; None for text that is no valid name."""
    name = _folded_spaces(text, LONGEST_NAME)
    return name if name and all(_is_visible(c) or _joins(name, k) for k, c in enumerate(name)) else None


def _folded_spaces(text: str, longest: int) -> str:
    """In NFC and with single spaces; empty for text that is too long anyway, however it is written."""
    if len(text) > 16 * longest:
        return ""
    clean = unicodedata.normalize("NFC", " ".join(text.split()))
    return clean if len(clean) <= longest else ""


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _is_visible(character: str) -> bool:
    # neither control, format (bidi overrides among them), private, unassigned nor surrogate; no line separator
    return character == " " or unicodedata.category(character)[0] not in "CZ"


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands there, between two letters."""
    return (
        text[place] in _JOINERS
        and 0 < place < len(text) - 1
        and _is_letter(text[place - 1])
        and _is_letter(text[place + 1])
    )
