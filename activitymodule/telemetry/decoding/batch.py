"""A batch of messages as one buffer of bytes, and the messages that cannot even be read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding.results import WHOLE_MESSAGE, DeadLetters
from activitymodule.telemetry.reasons import Reason


class Batch:
    """Messages as one data buffer and offsets.

    data : uint8 ndarray; starts, ends : int32 ndarray of shape (n,); `ends` leave out the line feed that is not part
    of a message.
    """

    def __init__(self, values: pa.BinaryArray, newline_terminated: bool) -> None:
        """Take over an array of `as_binary`; newline_terminated : each value ends with a line feed of its own."""
        self.values = values
        self.terminated = newline_terminated
        _, offsets, data = values.buffers()
        offsets = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
        self.data = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        self.starts = offsets[:-1]
        self.ends = offsets[1:] - int(newline_terminated)

    def first_bytes(self, messages: np.ndarray) -> np.ndarray:
        """The first byte of each of these messages, which are not empty."""
        return np.asarray(self.data[self.starts[messages]])

    def last_bytes(self, messages: np.ndarray) -> np.ndarray:
        """The last byte of each of these messages, which are not empty."""
        return np.asarray(self.data[self.ends[messages] - 1])

    def opening_braces(self, start: int, stop: int) -> int:
        """How many of them the data holds between two places."""
        return int(np.count_nonzero(self.data[start:stop] == ord("{")))

    def message(self, index: int) -> bytes:
        """One message, without the line feed."""
        return self.data[self.starts[index] : self.ends[index]].tobytes()


def as_binary(values: pa.Array | pa.ChunkedArray) -> pa.BinaryArray:
    """One binary array with buffers, whatever chunks or text type the values come in."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):  # versions of Arrow differ in what comes of no chunk
            values = values.chunk(0) if values.num_chunks else pa.array([], values.type)
    if values.type != pa.binary():
        values = values.cast(pa.binary())
    if len(values) == 0:
        return pa.array([b""], pa.binary()).slice(0, 0)
    return values


def reject_unreadable(batch: Batch, limits: Telemetry, dead: DeadLetters) -> np.ndarray:
    """Indices of the messages that have bytes, and not too many; the others become dead letters."""
    lengths = batch.ends - batch.starts
    usable = (lengths > 0) & (lengths <= limits.max_message_bytes)
    if batch.values.null_count:
        valid = batch.values.is_valid().to_numpy(zero_copy_only=False)
        for index in np.flatnonzero(~valid):
            dead.add(index, WHOLE_MESSAGE, Reason.NULL_MESSAGE, "the message has no value")
        usable &= valid
    else:
        valid = np.True_
    for index in np.flatnonzero((lengths <= 0) & valid):
        dead.add(index, WHOLE_MESSAGE, Reason.EMPTY, "the message has no bytes")
    for index in np.flatnonzero((lengths > limits.max_message_bytes) & valid):
        detail = f"{lengths[index]} bytes; at most {limits.max_message_bytes} are allowed"
        dead.add(index, WHOLE_MESSAGE, Reason.TOO_LARGE, detail)
    return np.flatnonzero(usable)
