"""The champion in this process, for scoring by REST: the one the stream serves, by the same code."""

from __future__ import annotations

import threading
import time
from typing import Any

from activitymodule.errors import ModelError
from activitymodule.settings import Settings
from activitymodule.streaming.champion import Champion, ChampionWatch

_lock = threading.Lock()
_watch: tuple[Settings, ChampionWatch] | None = None
_looked = 0.0


def _nothing(_: Champion) -> None:
    return None


def serving(settings: Settings) -> Champion:
    """The champion; the registry is asked every registry.poll_seconds at the most. Blocks.

    Raises ModelError where there is none, ServiceUnavailableError where the registry is away and none is loaded.
    """
    global _watch, _looked
    with _lock:
        if _watch is None or _watch[0] is not settings:
            _watch, _looked = (settings, ChampionWatch(settings, _nothing)), 0.0
        watch = _watch[1]
        if watch.current is None or time.monotonic() - _looked > settings.registry.poll_seconds:
            watch.refresh()
            _looked = time.monotonic()
        if watch.current is None:
            raise ModelError(
                f"{settings.registry.classifier} has no champion that loads; train one with `activity train`"
            )
        return watch.current


class Shared:
    """Bytes as the stream's workers get them from Spark."""

    def __init__(self, value: Any) -> None:
        self.value = value
