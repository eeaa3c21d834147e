"""Messages of one shape as lines of JSON, and which of them Arrow's reader may take otherwise than RFC 8259.

Every line is one message: each message starts with its opening and ends with its closing bracket, and raw
control bytes cannot occur in a string, so that messages cannot grow together. Hence as many rows as messages
means one row a message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.telemetry.decoding.batch import Batch

EPOCH_STAMP = re.compile(rb'"stamp"[ \t\r\n]*:[ \t\r\n]*-?[0-9]')


@dataclass(frozen=True)
class Lines:
    """Messages of one shape as lines of JSON: an array becomes {"r": array}.

    messages : int ndarray of shape (n,), indices into the batch; text : the lines; offsets : int64 ndarray of
    shape (n + 1,), where each line starts in text.
    """

    messages: np.ndarray
    in_arrays: bool
    text: bytes
    offsets: np.ndarray

    @classmethod
    def of(cls, batch: Batch, messages: np.ndarray, in_arrays: bool) -> Lines:
        """The lines of these messages; no copy where all of a terminated batch is taken."""
        whole = len(messages) == len(batch.values)
        chosen = batch.values if whole else batch.values.take(pa.array(messages))
        if in_arrays:
            chosen = pc.binary_join_element_wise(b'{"r":', chosen, b"}\n", b"")
        elif not batch.terminated:
            chosen = pc.binary_join_element_wise(chosen, b"\n", b"")
        _, offsets, data = chosen.buffers()
        offsets = np.frombuffer(offsets, np.int32)[chosen.offset : chosen.offset + len(chosen) + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        text = data.slice(first, last - first).to_pybytes()
        return cls(messages, in_arrays, text, offsets.astype(np.int64) - first)

    def __len__(self) -> int:
        """The number of lines."""
        return len(self.messages)

    def doubtful(self) -> np.ndarray:
        """Lines that Arrow's reader may take otherwise than RFC 8259; bool ndarray of shape (n,)."""
        text = self.text
        doubtful = np.zeros(len(self), bool)
        # escapes (keys may hide in them), NUL, and the tokens that are no JSON; all rare in telemetry
        for token in (b"\\", b"\0", b"NaN", b"Inf"):
            # most batches hold not even the first byte, and one byte is found ten times faster than three
            if text.find(token[:1]) >= 0 and text.find(token) >= 0:
                doubtful |= self.holding(re.compile(re.escape(token)))
        if not text.isascii():
            doubtful |= self._not_utf8()
        # an array that closes before its end could leave the object we put around it
        if self.in_arrays and text.count(b"]") != len(self):
            doubtful |= self._count(b"]") > 1
        return doubtful

    def holding(self, token: re.Pattern[bytes]) -> np.ndarray:
        """Whether each line holds a match; bool ndarray of shape (n,)."""
        at = np.array([m.start() for m in token.finditer(self.text)], np.int64)
        return np.asarray(np.diff(np.searchsorted(at, self.offsets)) > 0)

    def nested_beyond(self, start: int, stop: int, depth: int, flat_brackets: int) -> np.ndarray | None:
        """Which of the lines [start, stop) may nest deeper than `depth`; None where none can.

        flat_brackets : opening brackets these lines have if no reading holds another object or array.
        """
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        if int(np.diff(self.offsets[start : stop + 1]).max()) <= depth:
            return None
        if self.text.count(b"{", first, last) + self.text.count(b"[", first, last) == flat_brackets:
            return None
        return np.asarray(self._opening[start:stop] > depth)

    def _not_utf8(self) -> np.ndarray:
        wrong = np.zeros(len(self), bool)
        try:
            self.text.decode()
        except UnicodeDecodeError:
            for index in range(len(self)):
                try:
                    self.text[self.offsets[index] : self.offsets[index + 1]].decode()
                except UnicodeDecodeError:
                    wrong[index] = True
        return wrong

    def _count(self, byte: bytes) -> np.ndarray:
        at = np.flatnonzero(np.frombuffer(self.text, np.uint8) == ord(byte))
        return np.asarray(np.diff(np.searchsorted(at, self.offsets)))

    @cached_property
    def _opening(self) -> np.ndarray:
        """Opening brackets of each line."""
        return np.asarray(self._count(b"{") + self._count(b"["))
