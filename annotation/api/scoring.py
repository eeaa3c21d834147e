"""/predict and /batch_predict: score readings with the stream's own code.

Messages go through the stream's decode, panes, features and champion. No prediction is stored: what was predicted is
logged and counted for drift monitoring (workflows/model_operations/rest_predictions).
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, HTTPException, Request

from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.devices import ModelCache
from activitymodule.store.participants import excluded as excluded_of
from activitymodule.store.people import Person, people_for
from activitymodule.store.prediction_columns import answers as windows_of
from activitymodule.streaming import worker
from activitymodule.telemetry.excluded import Excluded
from activitymodule.windows.frame import NO_MODELS, KnownModels, with_said
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import decode_panes
from activitymodule.workflows.model_operations.rest_predictions import Recorder, Taken
from annotation import context
from annotation.access import Sender, require_sender
from annotation.answers import (
    NothingUsable,
    Predictions,
    Refused,
    ScoredWindow,
    answer_of,
    message_body,
    problems,
    refused_of,
)
from annotation.bodies import body_of
from annotation.limits import Places
from annotation.serving import Shared, serving
from annotation.withdrawn import refused as refused_item

router = APIRouter(tags=["scoring"])

BATCH_MESSAGES = 1000
_BATCH_BODIES = 8  # the size limit of a batch, in message limits
# requests that are read, wait or are scored, of everybody and of one sender
_PLACES, _BATCH_PLACES = Places(32, each=24), Places(8, each=4)
_devices = ModelCache(seconds=0)  # asked at every request: a model that was just set counts
# threads of their own, fewer than cores: pages and sign-in must not wait for a model
_threads = ThreadPoolExecutor(min(2, max(1, (os.cpu_count() or 1) - 1)), thread_name_prefix="scoring")
_recorder: Recorder | None = None
_recorder_lock = threading.Lock()


def _recording(config: Settings) -> Recorder:
    global _recorder
    with _recorder_lock:
        if _recorder is None:
            _recorder = Recorder(config, context.write)
        return _recorder


def close() -> None:
    """Write what was counted; the console ends."""
    if _recorder is not None:
        _recorder.close()


@router.post(
    "/predict",
    summary="Score one watch's readings",
    response_model=Predictions,
    responses={**problems(413, 415), 422: {"model": NothingUsable, "description": "No item can be used"}},
    openapi_extra=message_body(
        "One reading, or an array of readings, of one watch: a message as Kafka gets it"
    ),
)
async def predict(request: Request, sender: Annotated[Sender, Depends(require_sender)]) -> Any:
    """Windows begin at multiples of the slide since 1970, as in the stream, so ten seconds of readings usually fall
    into two windows; each is scored with the readings it has. `refused` lists the items that cannot be used, with the
    reason a dead letter would have; the others count. No prediction is stored."""
    config = context.settings()
    with _PLACES.one(sender.name):
        body = await body_of(request, config.telemetry.max_message_bytes)
        return await _run(lambda: _score(config, sender, [body], one_watch=True))


@router.post(
    "/batch_predict",
    summary="Score readings of many watches",
    response_model=Predictions,
    responses={**problems(413, 415), 422: {"model": NothingUsable, "description": "No item can be used"}},
    openapi_extra=message_body(
        f"Up to {BATCH_MESSAGES} messages, each one reading or an array of readings, of any watches",
        several=True,
    ),
)
async def batch_predict(request: Request, sender: Annotated[Sender, Depends(require_sender)]) -> Any:
    """As /predict, for many messages and watches; `refused` names the message and the item in it."""
    config = context.settings()
    with _BATCH_PLACES.one(sender.name):
        body = await body_of(request, _BATCH_BODIES * config.telemetry.max_message_bytes)
        return await _run(lambda: _score_batch(config, sender, body))


async def _run(work: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def _score_batch(config: Settings, sender: Sender, body: bytes) -> Any:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(422, f"the body is not JSON: {error}") from None
    messages = given.get("messages") if isinstance(given, dict) else None
    if not isinstance(messages, list) or not messages:
        raise HTTPException(422, "the body must be an object with a non-empty list `messages`")
    if len(messages) > BATCH_MESSAGES:
        raise HTTPException(422, f"{len(messages)} messages exceed the limit of {BATCH_MESSAGES} a request")
    try:
        texts = [orjson.dumps(message) for message in messages]
    except TypeError:  # orjson writes fewer levels than it reads
        raise HTTPException(422, "a message nests too deeply") from None
    return _score(config, sender, texts, one_watch=False)


def windows_of_messages(
    config: Settings,
    messages: list[bytes],
    known: KnownModels = NO_MODELS,
    said: dict[str, str] | None = None,
) -> tuple[pa.RecordBatch, pa.Table]:
    """Messages to windows as the stream groups them (grouping.WINDOWS_SCHEMA), and dead letters.

    known : the models of watches by the store; said : gets those that messages name.
    """
    now_us = time.time_ns() // 1000
    panes, dead = decode_panes(
        pa.array(messages, pa.binary()),
        np.full(len(messages), now_us),
        now_us=now_us,
        limits=config.telemetry,
        slide_seconds=config.windows.slide_seconds,
        known=known,
        said=said,
    )
    return group_panes(panes, config.windows), dead


def _withdrawn(config: Settings, messages: list[bytes], excluded: Excluded) -> list[Refused]:
    values, now_us = pa.array(messages, pa.binary()), np.full(len(messages), time.time_ns() // 1000)
    return [refused_item(*one) for one in excluded.readings(values, now_us, config.telemetry)]


def _read(
    connection: Connection, config: Settings, sender: Sender, messages: list[bytes]
) -> tuple[KnownModels, pa.RecordBatch, pa.Table, dict[str, Person], Excluded]:
    """Messages as windows and dead letters, and what the store has of their watches. Raises HTTPException 403."""
    known = _devices.models(lambda work: work(connection))
    said: dict[str, str] = {}
    batch, dead = windows_of_messages(config, messages, known, said)
    watches = pc.unique(batch.column("device_id")).to_pylist()
    sender.check_devices(watches)
    return with_said(known, said), batch, dead, people_for(connection, watches), excluded_of(connection)


def _score(config: Settings, sender: Sender, messages: list[bytes], *, one_watch: bool) -> Any:
    # one visit: going to the store takes longer than the model
    known, batch, dead, people, excluded = context.read(
        lambda connection: _read(connection, config, sender, messages), alone=True
    )
    refused, watches = refused_of(dead), len(pc.unique(batch.column("device_id")))
    if excluded:
        refused += _withdrawn(config, messages, excluded)
        length_us = config.windows.length_seconds * 1_000_000
        start_us = batch.column("window_us").to_numpy()
        batch = batch.filter(pa.array(~excluded.rows(batch.column("device_id"), start_us, length_us)))
    if not batch.num_rows:
        return answer_of(NothingUsable(detail="the request has no usable reading", refused=refused), 422)
    if one_watch and watches > 1:
        raise HTTPException(422, f"the readings are of {watches} watches; use /batch_predict for several")
    most = config.console.windows_per_request
    if batch.num_rows > most:
        raise HTTPException(
            413, f"the readings fall into {batch.num_rows} windows; the limit is {most}, send less at once"
        )
    champion = serving(config)
    scorer = worker.Scorer(
        config,
        Shared(champion.bundle),
        champion.classifier.version,
        batch_id=-1,
        calibrations=champion.calibrations,
    )
    taken = Taken(config)
    rows = worker.score_windows(batch, scorer, None, taken, people=people, known=known)
    _recording(config).record(taken, rows.model_version or "")
    return answer_of(
        Predictions(
            model_version=rows.model_version or "",
            energy_version=rows.energy_version,
            windows=[ScoredWindow(**window) for window in windows_of(rows)],
            refused=refused,
        )
    )
