"""/metrics: figures for Prometheus."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse

from activitymodule.errors import ActivityError
from activitymodule.monitoring.figures import SlowFigures, prometheus_text, slow_figures
from activitymodule.settings import Settings
from annotation import context
from annotation.access import require_token
from annotation.answers import problems
from annotation.current import lag_from, partition_ends

router = APIRouter(tags=["monitoring"])

_log = logging.getLogger(__name__)
_KEPT_SECONDS = 5.0
_SLOW_KEPT_SECONDS = 60.0
_kept: tuple[float, str] | None = None
_slow: tuple[float, SlowFigures] | None = None
_refreshing: asyncio.Task[None] | None = None
_lock = asyncio.Lock()


async def _refresh() -> None:
    global _slow
    config = context.settings()
    try:
        found = await context.run_read(lambda connection: slow_figures(config, connection))
        _slow = (time.monotonic(), found)
    except ActivityError as error:
        # no figure is better than an outdated one
        _slow = None
        _log.warning("no figures of agreement and drift: %s", error)


def _begin_refresh() -> None:
    """Renew figures older than a minute in the background: Prometheus waits ten seconds at most."""
    global _refreshing
    if _refreshing is not None and not _refreshing.done():
        return
    if _slow is None or time.monotonic() - _slow[0] > _SLOW_KEPT_SECONDS:
        _refreshing = asyncio.create_task(_refresh())


def _text(config: Settings) -> str:
    slow, ends = _slow[1] if _slow else None, partition_ends(config)
    lag = lag_from(config, ends)
    return context.read(lambda connection: prometheus_text(config, connection, lag=lag, ends=ends, slow=slow))


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
    """Cached for five seconds; accuracy and drift, which the first response lacks, for a minute. Prometheus sends the
    token as `authorization`."""
    global _kept
    _begin_refresh()
    async with _lock:
        if _kept is None or time.monotonic() - _kept[0] > _KEPT_SECONDS:
            _kept = (time.monotonic(), await context.run(_text, context.settings()))
        return PlainTextResponse(_kept[1], media_type="text/plain; version=0.0.4")
