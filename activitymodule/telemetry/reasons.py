"""Why a message, or one item of it, could not be used."""

from __future__ import annotations

from enum import StrEnum

from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT


class Reason(StrEnum):
    """Why a message, or one item of it, became a dead letter. `meaning` is the sentence of the documentation."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Reason:
        """A string with a meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    NULL_MESSAGE = "null_message", "the message has no value (a Kafka tombstone)"
    EMPTY = "empty", "the message has no bytes, or only white space"
    TOO_LARGE = "too_large", "the message is larger than telemetry.max_message_bytes"
    WRONG_ENCODING = "wrong_encoding", "not UTF-8, or with a byte order mark, NUL bytes or lone surrogates"
    NOT_JSON = "not_json", "the message is not one JSON value: cut off, two values, a stray comma"
    TOO_DEEP = "too_deep", "values nested deeper than about a thousand levels"
    NOT_AN_OBJECT = "not_an_object", "the message is a number, a string, a boolean or null"
    EMPTY_ARRAY = "empty_array", "the message is an array without items"
    TOO_MANY_ITEMS = "too_many_items", "the array is longer than telemetry.max_items"
    UNKNOWN_ITEM = "unknown_item", "an item of the array is not an object"
    NO_DEVICE_ID = "no_device_id", "device_id is absent or null"
    BAD_DEVICE_ID = "bad_device_id", f"device_id is not a string of {DEVICE_ID_TEXT}"
    NO_STAMP = "no_stamp", "stamp is absent or null"
    BAD_STAMP = "bad_stamp", "stamp is neither ISO-8601 nor whole epoch milliseconds, or no such time exists"
    STAMP_WITHOUT_OFFSET = "stamp_without_offset", "stamp is a local time: neither Z nor an offset follows it"
    STAMP_FROM_THE_FUTURE = (
        "stamp_from_the_future",
        "stamp is more than telemetry.future_seconds ahead: the watch's clock is wrong",
    )
    STAMP_TOO_OLD = (
        "stamp_too_old",
        "stamp is older than telemetry.past_days; epoch seconds taken for milliseconds end here too",
    )
    WRONG_TYPE = "wrong_type", "a field is of another type: text for a number, a boolean, an object"
    NOT_FINITE = "not_finite", "a number is NaN, infinite, or too large for a double"
    OUT_OF_RANGE = "out_of_range", "a number is outside the field's plausible range"
    WITHDRAWN = (
        "withdrawn",
        "who wore the watch at that time has withdrawn; in answers of REST only, no dead letter is kept of it",
    )


def reasons_table() -> str:
    """The reasons as a Markdown table, for docs/telemetry.md."""
    lines = ["| reason | when |", "|---|---|"]
    return "\n".join(lines + [f"| `{reason}` | {reason.meaning} |" for reason in Reason]) + "\n"
