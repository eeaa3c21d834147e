"""Damage to what others wrote, for tests that try a reader with whatever may come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from activitymodule.errors import ConfigError, DataError

_PIECES = [
    b"null", b"NaN", b"Infinity", b"-1e999", b"1" * 5000, b"[" * 3000, b'{"a":' * 1500, b'"\\ud800"', b"\xed\xa0\x80",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"\x1f\x8b", b"", b"true", b'""', b"{}", b"[]", b",", b'"', b"\n", b"\r",
    "\u0663".encode(), b"9999-12-31T23:59:59Z", b"0000-00-00", b"-0", b"%00", b"PAR1",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, sample: bytes) -> bytes:
    """A sample with some of it cut off, replaced or inserted, encoded otherwise, or not there at all."""
    text = bytearray(sample)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.one_of(st.just(start), st.integers(start, min(len(text), start + 40))))
        text[start:stop] = draw(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=4)))
    kind = draw(st.sampled_from(["as it is", "cut off", "UTF-16", "marked", "only a piece"]))
    if kind == "cut off":
        return bytes(text[: draw(st.integers(0, len(text)))])
    if kind == "UTF-16":
        return text.decode("latin-1").encode("utf-16")
    if kind == "marked":
        return b"\xef\xbb\xbf" + bytes(text)
    return draw(st.sampled_from(_PIECES)) if kind == "only a piece" else bytes(text)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """An error, if there is one, is one of ours and names the file."""
    told = ""
    try:
        yield
    except (ConfigError, DataError) as error:
        told = str(error)
    assert not told or str(path) in told
