"""/metrics: figures for Prometheus."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse

from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.kafka.clients import topic_ends
from activitymodule.monitoring.figures import SlowFigures, lag_of, prometheus_text, slow_figures
from activitymodule.settings import Settings
from activitymodule.store.batches import last_offsets
from annotation import context
from annotation.answers import problems
from annotation.auth import require_token

router = APIRouter(tags=["monitoring"])

_log = logging.getLogger(__name__)
_KEPT_SECONDS = 5.0
_SLOW_KEPT_SECONDS = 60.0
_kept: tuple[float, str] | None = None
_slow: tuple[float, SlowFigures] | None = None
_refreshing: asyncio.Task[None] | None = None
_lock = asyncio.Lock()


def _ends(settings: Settings) -> dict[int, tuple[int, int]] | None:
    try:
        return topic_ends(settings, settings.kafka.topic)
    except ServiceUnavailableError:
        return None


def _lag(settings: Settings, ends: dict[int, tuple[int, int]] | None) -> dict[int, int] | None:
    if ends is None:
        return None
    scored = context.read(lambda connection: last_offsets(connection, settings.kafka.topic))
    return lag_of(ends, scored or {})


def lag_now(settings: Settings) -> dict[int, int] | None:
    """Messages of each partition that are not scored yet; None where the broker is away. Blocks."""
    return _lag(settings, _ends(settings))


async def _refresh() -> None:
    global _slow
    settings = context.settings()
    try:
        found = await context.run_read(lambda connection: slow_figures(settings, connection))
        _slow = (time.monotonic(), found)
    except ActivityError as error:
        # better no figure than one of then
        _slow = None
        _log.warning("no figures of agreement and drift: %s", error)


def _begin_refresh() -> None:
    """Look up anew what is older than a minute, beside the answer: Prometheus waits ten seconds at the most."""
    global _refreshing
    if _refreshing is not None and not _refreshing.done():
        return
    if _slow is None or time.monotonic() - _slow[0] > _SLOW_KEPT_SECONDS:
        _refreshing = asyncio.create_task(_refresh())


def _text(settings: Settings) -> str:
    slow, ends = _slow[1] if _slow else None, _ends(settings)
    lag = _lag(settings, ends)
    return context.read(
        lambda connection: prometheus_text(settings, connection, lag=lag, ends=ends, slow=slow)
    )


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "description": "Exposition format 0.0.4",
        },
        **problems(),
    },
)
async def metrics(_: Annotated[str, Depends(require_token)]) -> Any:
    """Kept for five seconds, however often it is asked; agreement and drift, which the first answer lacks, for a
    minute. Prometheus sends the token as `authorization`."""
    global _kept
    _begin_refresh()
    async with _lock:
        if _kept is None or time.monotonic() - _kept[0] > _KEPT_SECONDS:
            _kept = (time.monotonic(), await context.run(_text, context.settings()))
        return PlainTextResponse(_kept[1], media_type="text/plain; version=0.0.4")
