"""Times of watches that are excluded: who wore them has withdrawn, or was erased.

Nothing new of such a time is scored, queued, archived or kept as a dead letter: every way into the system asks
`Excluded`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa

from activitymodule.settings import Telemetry
from activitymodule.telemetry.decoding import decode_rows
from activitymodule.telemetry.identifiers import DEVICE_ID
from activitymodule.telemetry.schema import FIELDS

EVER_US, NEVER_US = -(2**63), 2**63 - 1
"""Ends of a period without a begin, or without an end."""

Periods = tuple[tuple[int, int], ...]
"""[from, to) in UTC microseconds."""

_FIELDS = tuple(one for one in FIELDS if one.name in ("device_id", "stamp"))
_TOKEN = re.compile(DEVICE_ID.encode())


@dataclass(frozen=True)
class Excluded:
    """Excluded times by watch. hashed : salt -> SHA-256 of salt and device id -> times, where the id is not kept"""

    watches: Mapping[str, Periods] = field(default_factory=dict)
    hashed: Mapping[bytes, Mapping[bytes, Periods]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.watches or self.hashed)

    def periods(self, device_id: str) -> Periods:
        """The excluded times of a watch."""
        found = self.watches.get(device_id, ())
        for salt, watches in self.hashed.items():
            found += watches.get(fingerprint(salt, device_id), ())
        return found

    def covers(self, device_id: str, us: int) -> bool:
        """Whether a time of a watch is excluded."""
        return any(first <= us < until for first, until in self.periods(device_id))

    def rows(self, device_id: pa.Array, start_us: np.ndarray, length_us: int = 1) -> np.ndarray:
        """Which of n stretches of time overlap an excluded one: bool (n,).

        device_id : string (n,) without nulls; start_us : int64 (n,), UTC microseconds
        """
        if not self:
            return np.zeros(len(start_us), bool)
        encoded = device_id.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        return self._coded(encoded.dictionary, encoded.indices.to_numpy(), start_us, length_us)

    def _coded(self, names: pa.Array, code: np.ndarray, start_us: np.ndarray, length_us: int) -> np.ndarray:
        hit = np.zeros(len(start_us), bool)
        for k, name in enumerate(names.to_pylist()):
            periods = self.periods(name) if name is not None else ()
            if periods:
                own = code == k
                for first, until in periods:
                    hit |= (
                        own & (start_us < until) & (start_us > first - length_us if first != EVER_US else own)
                    )
        return hit

    def without(self, values: pa.Array, arrived_us: np.ndarray, limits: Telemetry) -> pa.BinaryArray:
        """Messages without the readings of excluded times; null where nothing is left of one.

        values : binary (n,); arrived_us : int64 (n,), when each arrived, which decides about items without a time.
        A message that cannot be taken apart is left out whole if it names an excluded watch. Others are unchanged.
        """
        rows = decode_rows(values, fields=_FIELDS, now_us=arrived_us, limits=limits)
        hit = np.flatnonzero(self._coded(rows.devices, rows.device_code, rows.stamp_us, 1))
        drop: dict[int, set[int]] = {}
        for message, item in zip(rows.message[hit].tolist(), rows.item[hit].tolist(), strict=True):
            drop.setdefault(message, set()).add(item)
        whole: set[int] = set()
        for dead in rows.dead.select(["message", "item", "device_id"]).to_pylist():
            message, item, device = dead["message"], dead["item"], dead["device_id"]
            at = int(arrived_us[message])
            if device is not None and self.covers(device, at):
                drop.setdefault(message, set()).add(max(item, 0))
                if item < 0:
                    whole.add(message)
            elif device is None and self.named_in(values[message].as_py(), at):
                whole.add(message)
        if not drop and not whole:
            return values
        changed = values.to_pylist()
        for message in drop.keys() | whole:
            changed[message] = None if message in whole else _without(changed[message], drop[message])
        return pa.array(changed, values.type)

    def readings(
        self, values: pa.Array, arrived_us: np.ndarray, limits: Telemetry
    ) -> list[tuple[str, int, int]]:
        """Watch, message and item of each reading of an excluded time; arguments as of `without`."""
        rows = decode_rows(values, fields=_FIELDS, now_us=arrived_us, limits=limits)
        hit = np.flatnonzero(self._coded(rows.devices, rows.device_code, rows.stamp_us, 1))
        devices = rows.devices.take(pa.array(rows.device_code[hit])).to_pylist()
        return list(zip(devices, rows.message[hit].tolist(), rows.item[hit].tolist(), strict=True))

    def named_in(self, message: bytes | None, us: int) -> bool:
        """Whether a message that may be no JSON names a watch that is excluded at that time."""
        return any(self.covers(token.decode(), us) for token in set(_TOKEN.findall(message or b"")))


NOTHING_EXCLUDED = Excluded()


@lru_cache(maxsize=1 << 17)
def fingerprint(salt: bytes, device_id: str) -> bytes:
    """What is kept of a device id whose wearer was erased."""
    return hashlib.sha256(salt + device_id.encode()).digest()


def _without(message: bytes, items: set[int]) -> bytes | None:
    try:
        given = json.loads(message)
    except ValueError:
        return None
    left = [one for k, one in enumerate(given) if k not in items] if isinstance(given, list) else []
    return json.dumps(left, separators=(",", ":"), ensure_ascii=False).encode() if left else None
