"""Limits of this process: calls a minute, failed attempts, and requests that are worked on at once.

All are kept in memory: the console is one process, and after a restart the counts begin anew.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import HTTPException

_KEYS = 10_000  # so many are kept; then the oldest is dropped

Clock = Callable[[], float]


class Limiter:
    """At most `limit` calls in any `seconds`, by key."""

    def __init__(self, limit: int, seconds: float = 60, *, clock: Clock = time.monotonic) -> None:
        self._limit, self._seconds, self._clock = limit, seconds, clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str, *, count: bool = True) -> float:
        """0, and the call is counted (unless `count` is false); or how many seconds the key must wait."""
        now = self._clock()
        with self._lock:
            times = self._seen.setdefault(key, deque())
            self._seen.move_to_end(key)
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._limit:
                return times[0] + self._seconds - now
            if count:
                times.append(now)
            while len(self._seen) > _KEYS:
                self._seen.popitem(last=False)
        return 0.0


@dataclass
class _Attempts:
    count: int = 0
    last: float = 0.0
    open_at: float = 0.0  # no attempt before


class Backoff:
    """Attempts by key: after `free` of them the next must wait `first_seconds`, and each further one twice as long, at
    most `most_seconds`.

    An attempt counts when it begins, so that many at once do not pass together; one that succeeded is taken back. After
    `forget_seconds` without an attempt a key begins anew.
    """

    def __init__(
        self,
        free: int,
        most_seconds: float,
        *,
        first_seconds: float = 1,
        forget_seconds: float = 900,
        clock: Clock = time.monotonic,
    ) -> None:
        self._free, self._first, self._most = free, first_seconds, most_seconds
        self._forget, self._clock = forget_seconds, clock
        self._seen: OrderedDict[str, _Attempts] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """0, and the attempt is counted; or how many seconds the key must wait."""
        now = self._clock()
        with self._lock:
            seen = self._seen.setdefault(key, _Attempts())
            self._seen.move_to_end(key)
            if now - seen.last > self._forget:
                seen.count = 0
            if now < seen.open_at:
                return seen.open_at - now
            seen.count, seen.last = seen.count + 1, now
            if seen.count >= self._free:
                seen.open_at = now + min(self._first * 2.0 ** min(seen.count - self._free, 30), self._most)
            while len(self._seen) > _KEYS:
                self._seen.popitem(last=False)
        return 0.0

    def succeeded(self, key: str, *, forget: bool) -> None:
        """Take the last attempt back; forget : all before it as well."""
        with self._lock:
            seen = self._seen.get(key)
            if seen is not None:
                seen.count = 0 if forget else max(0, seen.count - 1)
                seen.open_at = 0.0 if seen.count < self._free else seen.open_at


class WrongTokens:
    """Wrong tokens by address: after `limit` of them in a minute no token from there is looked up, unless it was right
    before, so that nobody can keep others out who have the same address."""

    def __init__(self, limit: int, *, clock: Clock = time.monotonic) -> None:
        self._wrong = Limiter(limit, clock=clock)
        self._right = OrderedDict[bytes, None]()  # digests
        self._lock = threading.Lock()

    def wait(self, address: str, token: str) -> float:
        """0 where the token may be looked up; or how many seconds its sender must wait."""
        with self._lock:
            known = _digest(token) in self._right
        return 0.0 if known else self._wrong.wait(address, count=False)

    def seen(self, address: str, token: str, *, right: bool) -> None:
        """Whether the token was right is known now."""
        digest = _digest(token)
        with self._lock:
            self._right.pop(digest, None)
            if right:
                self._right[digest] = None
            while len(self._right) > _KEYS:
                self._right.popitem(last=False)
        if not right:
            self._wrong.wait(address)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Places:
    """At most `most` requests of a kind at once, and at most `each` of one user or token."""

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        """Hold a place for the length of the block. Raises HTTPException 429 if there is none."""
        with self._lock:
            if self._held[who] >= self._each or self._held.total() >= self._most:
                raise HTTPException(
                    429,
                    f"{self._held.total()} such requests are being worked on, {self._held[who]} of them yours; "
                    "nothing of this one was taken, send it again in some seconds",
                    headers={"Retry-After": "2"},
                )
            self._held[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[who] -= 1
                if not self._held[who]:
                    del self._held[who]
