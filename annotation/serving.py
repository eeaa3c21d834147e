"""The champion in this process, for scoring by REST: the version the stream uses, loaded by the same code."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from activitymodule.errors import ActivityError, ModelError
from activitymodule.settings import Settings
from activitymodule.streaming.champion import Champion, ChampionWatch

_LASTS = 5  # polls: until then a request is answered by the version that is loaded, while a thread looks
_lock = threading.Lock()
_watch: tuple[Settings, ChampionWatch] | None = None
_looked = 0.0
_look_lock, _looking = threading.Lock(), threading.Lock()
_thread = ThreadPoolExecutor(1, thread_name_prefix="champion")


def _nothing(_: Champion) -> None:
    return None


def serving(config: Settings) -> Champion:
    """The champion; the registry is asked at most every registry.poll_seconds. Blocks.

    While requests come, none waits for the registry: the next ones have the answer. Raises ModelError if there is none,
    ServiceUnavailableError if the registry is away and none is loaded.
    """
    global _watch, _looked
    with _lock:
        if _watch is None or _watch[0] is not config:
            _watch, _looked = (config, ChampionWatch(config, _nothing)), 0.0
        watch = _watch[1]
    age, due = time.monotonic() - _looked, config.registry.poll_seconds
    if watch.current is None or age > _LASTS * due:
        _look(watch)
    elif age > due and _looking.acquire(blocking=False):
        _thread.submit(_look_later, watch)
    if watch.current is None:
        raise ModelError(
            f"{config.registry.classifier} has no champion that loads{watch.why()}; train one with `activity "
            "train`, or promote another"
        )
    return watch.current


def _look(watch: ChampionWatch) -> None:
    global _looked
    with _look_lock:
        watch.refresh()
        _looked = time.monotonic()


def _look_later(watch: ChampionWatch) -> None:
    try:
        # the version that is loaded serves on; a request asks again
        with contextlib.suppress(ActivityError):
            _look(watch)
    finally:
        _looking.release()


class Shared:
    """Bytes, wrapped as Spark's broadcast variables are."""

    def __init__(self, value: Any) -> None:
        self.value = value
