"""The champion in this process, for scoring by REST: the version the stream uses, loaded by the same code."""

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


def serving(config: Settings) -> Champion:
    """The champion; the registry is asked at most every registry.poll_seconds. Blocks.

    Raises ModelError if there is none, ServiceUnavailableError if the registry is away and none is loaded.
    """
    global _watch, _looked
    with _lock:
        if _watch is None or _watch[0] is not config:
            _watch, _looked = (config, ChampionWatch(config, _nothing)), 0.0
        watch = _watch[1]
        if watch.current is None or time.monotonic() - _looked > config.registry.poll_seconds:
            watch.refresh()
            _looked = time.monotonic()
        if watch.current is None:
            raise ModelError(
                f"{config.registry.classifier} has no champion that loads{watch.why()}; train one with `activity "
                "train`, or promote another"
            )
        return watch.current


class Shared:
    """Bytes, wrapped as Spark's broadcast variables are."""

    def __init__(self, value: Any) -> None:
        self.value = value
