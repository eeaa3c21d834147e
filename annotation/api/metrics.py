"""/metrics: figures for Prometheus."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse

from activitymodule.errors import ServiceUnavailableError
from activitymodule.monitoring.metrics import lag_of, prometheus_text
from activitymodule.settings import Settings
from activitymodule.store.batches import last_offsets
from activitymodule.streaming.broker import topic_ends
from annotation import context
from annotation.api.answers import problems
from annotation.auth import require_token

router = APIRouter(tags=["monitoring"])

_KEPT_SECONDS = 5.0
_kept: tuple[float, str] | None = None
_lock = asyncio.Lock()


def lag_now(settings: Settings) -> dict[int, int] | None:
    """Messages of each partition that are not scored yet; None where the broker is away. Blocks."""
    try:
        ends = topic_ends(settings, settings.kafka.topic)
    except ServiceUnavailableError:
        return None
    scored = context.read(lambda connection: last_offsets(connection, settings.kafka.topic))
    return lag_of(ends, scored or {})


def _text(settings: Settings) -> str:
    lag = lag_now(settings)
    return context.read(lambda connection: prometheus_text(settings, connection, lag=lag))


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
    """Kept for five seconds, however often it is asked. Prometheus sends the token as `authorization`."""
    global _kept
    async with _lock:
        if _kept is None or time.monotonic() - _kept[0] > _KEPT_SECONDS:
            _kept = (time.monotonic(), await context.run(_text, context.settings()))
        return PlainTextResponse(_kept[1], media_type="text/plain; version=0.0.4")
