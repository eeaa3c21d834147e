"""/ingest and /ingest/sensorlogger: readings sent by HTTP, written to Kafka.

Readings are validated by the stream's own decode. The response is sent once all replicas have acknowledged the
accepted ones. The key is the device_id. Readings that are sent twice count once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from kafka import KafkaProducer
from kafka.errors import KafkaError

from activitymodule.errors import ActivityError, BrokerError, MessageTooLargeError, ServiceUnavailableError
from activitymodule.kafka.clients import make, reachable, require_topic
from activitymodule.kafka.failures import is_refusal, of
from activitymodule.settings import Settings
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.encode import messages as messages_of
from activitymodule.telemetry.encode import reading_texts
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.telemetry.sources.sensor_logger import Pushed, readings_of_push
from activitymodule.telemetry.sources.sensor_steps import StepCounter
from activitymodule.telemetry.untrusted import UnusableError, parse_json
from annotation import context
from annotation.access import Sender, require_sender
from annotation.answers import (
    Accepted,
    NothingUsable,
    Refused,
    answer_of,
    message_body,
    problems,
    refused_of,
)
from annotation.bodies import body_of
from annotation.limits import Places
from annotation.withdrawn import without_withdrawn

router = APIRouter(tags=["ingest"])

READINGS_PER_MESSAGE = 10
_SEND_SECONDS = 5.0  # without an acknowledgement the broker counts as unavailable
_PAUSE_SECONDS = 3.0  # after that, requests are refused at once for so long
_SENDERS = 4
_PUSH_BODIES = 8  # a push of 100 Hz samples is larger than our own messages
_SESSIONS_KEPT = 10_000
# requests that are read, wait or are written, of everybody and of one sender
_MESSAGES, _PUSHES = Places(48, each=32), Places(16, each=12)


@router.post(
    "/ingest",
    status_code=202,
    summary="Write readings to Kafka",
    response_model=Accepted,
    responses={**problems(413, 415), 422: {"model": NothingUsable, "description": "No item can be used"}},
    openapi_extra=message_body("One reading or an array of readings, of any watches"),
)
async def ingest(request: Request, sender: Annotated[Sender, Depends(require_sender)]) -> Any:
    """The body is a message as in the Kafka topic. 202: all accepted readings are in Kafka; `refused` lists the items
    that cannot be used. 503: Kafka is unavailable and nothing was accepted; send the request again."""
    with _MESSAGES.one(sender.name):
        body = await body_of(request, context.settings().telemetry.max_message_bytes)
        return await _run(_ingest, context.settings(), sender, body)


def _ingest(config: Settings, sender: Sender, body: bytes) -> Any:
    decoded = decode_messages(
        pa.array([body], pa.binary()), now_us=time.time_ns() // 1000, limits=config.telemetry
    )
    sender.check_devices(decoded.readings.column("device_id").to_pylist())
    readings, withdrawn = without_withdrawn(decoded.readings)
    refused = refused_of(decoded.dead) + withdrawn
    if not len(readings):
        return answer_of(NothingUsable(detail="the request has no usable reading", refused=refused), 422)
    sent = send_readings(config, readings.drop_columns(["message", "item"]))
    return answer_of(Accepted(readings=len(readings), messages=sent, refused=refused), 202)


@router.post(
    "/ingest/sensorlogger",
    status_code=202,
    summary="Receive a push of the app Sensor Logger",
    response_model=Accepted,
    responses={**problems(413, 415), 422: {"model": NothingUsable, "description": "No item can be used"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["payload"],
                        "properties": {
                            "messageId": {"type": "integer"},
                            "sessionId": {"type": "string"},
                            "deviceId": {"type": "string", "pattern": WHOLE_DEVICE_ID},
                            "payload": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["name", "time", "values"],
                                    "properties": {
                                        "name": {"type": "string", "example": "accelerometer"},
                                        "time": {
                                            "type": ["integer", "string"],
                                            "example": 1790000000000000000,
                                        },
                                        "values": {
                                            "type": "object",
                                            "example": {"x": 0.1, "y": 0.2, "z": 0.3},
                                        },
                                    },
                                },
                            },
                        },
                    }
                }
            },
        }
    },
)
async def sensorlogger(
    request: Request,
    sender: Annotated[Sender, Depends(require_sender)],
    device: Annotated[
        str | None, Query(pattern=WHOLE_DEVICE_ID, description="Replaces the deviceId of the push")
    ] = None,
    frame: Annotated[
        Literal["core-motion", "android"],
        Query(description="Signs of the axes; android also if 'Standardise Units & Frames' is on"),
    ] = "core-motion",
    token: Annotated[
        str | None, Query(max_length=200, description="A token, if the app cannot send the header")
    ] = None,
) -> Any:
    """Accelerometer and gravity (or wrist motion, or total acceleration) are converted to readings at 10 Hz in the
    units of the topic, with rotation, heart rate, steps and speed if they are sent. docs/rest.md has the table of
    sensors and the set-up of the app. The response is that of /ingest."""
    config = context.settings()
    with _PUSHES.one(sender.name):
        body = await body_of(request, _PUSH_BODIES * config.telemetry.max_message_bytes)
        return await _run(_push, config, sender, body, device, frame)


@dataclass
class _Session:
    """A session of the app: its step counter, and the lock by which one push at a time goes on from it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    steps: StepCounter = field(default_factory=StepCounter)


_sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()
_sessions_lock = threading.Lock()


def _push(
    config: Settings,
    sender: Sender,
    body: bytes,
    device: str | None,
    frame: Literal["core-motion", "android"],
) -> Any:
    try:
        given = parse_json(body)
    except UnusableError as error:
        raise HTTPException(422, f"the body is not JSON: {error}") from None
    session = _session_of(given, device)
    with session.lock:
        pushed = readings_of_push(given, frame=frame, device_id=device, steps_before=session.steps)
        if len(pushed.readings):
            sender.check_devices([pushed.device_id])  # its watch is its own
        answer = _send_push(config, pushed)
        session.steps = pushed.steps  # not where sending failed: the push comes again
    return answer


def _send_push(config: Settings, pushed: Pushed) -> Any:
    if not len(pushed.readings):
        # the app's "test" button sends an empty push, and so may a push between two samples
        return answer_of(Accepted(readings=0, messages=0, refused=[], passed_over=pushed.passed_over), 202)
    readings, refused = _valid(config, pushed)
    if not len(readings):
        return answer_of(NothingUsable(detail="the push has no usable reading", refused=refused), 422)
    sent = send_readings(config, readings)
    return answer_of(
        Accepted(readings=len(readings), messages=sent, refused=refused, passed_over=pushed.passed_over), 202
    )


def _session_of(given: object, device: str | None) -> _Session:
    held = given if isinstance(given, dict) else {}
    key = str(device or held.get("deviceId"))[:128], str(held.get("sessionId"))[:128]
    with _sessions_lock:
        session = _sessions.setdefault(key, _Session())
        _sessions.move_to_end(key)
        while len(_sessions) > _SESSIONS_KEPT:
            _sessions.popitem(last=False)
    return session


def _valid(config: Settings, pushed: Pushed) -> tuple[pa.Table, list[Refused]]:
    """Each reading validated as a message of its own, by the stream's decode."""
    texts = reading_texts(pushed.readings).cast(pa.binary())
    decoded = decode_messages(texts, now_us=time.time_ns() // 1000, limits=config.telemetry)
    readings, withdrawn = without_withdrawn(decoded.readings)
    lost = refused_of(decoded.dead) + withdrawn
    refused = [one.model_copy(update={"message": 0, "item": one.message}) for one in lost]
    return readings.drop_columns(["message", "item"]), refused


# ---- Kafka ----------------------------------------------------------------------------------------------------

# threads of its own: a broker that does not answer must not block the pages
_threads = ThreadPoolExecutor(_SENDERS, thread_name_prefix="ingest")
_producer: Any = None
_producer_lock = threading.Lock()
_shut: tuple[float, ActivityError] | None = None  # until when, on the monotonic clock, and why


async def _run(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)


def _away(config: Settings, why: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"Kafka at {config.kafka.bootstrap_servers} {why}; nothing was accepted, send the request again later "
        "(readings sent twice count once)"
    )


def _the_producer(config: Settings) -> Any:
    """One producer for all requests; kafka-python's may be shared between threads."""
    global _producer
    with _producer_lock:
        _must_be_open()  # a request that held the lock before may have failed
        if _producer is None:
            _producer = make(
                config,
                KafkaProducer,
                acks="all",
                linger_ms=5,
                bootstrap_timeout_ms=int(_SEND_SECONDS * 1000),
                max_block_ms=int(_SEND_SECONDS * 1000),
                request_timeout_ms=int(_SEND_SECONDS * 800),
                delivery_timeout_ms=int(_SEND_SECONDS * 1000),
            )
        return _producer


def _must_be_open() -> None:
    """Refuse at once just after the broker failed, so that requests do not wait one after the other.

    Raises the error of then.
    """
    if _shut is not None and time.monotonic() < _shut[0]:
        raise _shut[1]


def _forget_producer(error: ActivityError) -> ActivityError:
    """Begin anew with the next request after a pause; returns the error."""
    global _producer, _shut
    _shut = (time.monotonic() + _PAUSE_SECONDS, error)
    with _producer_lock:
        gone, _producer = _producer, None
    if gone is not None:
        threading.Thread(target=_close, args=(gone,), daemon=True).start()
    return error


def _close(producer: Any) -> None:
    """Close a producer; what it still holds expires within _SEND_SECONDS."""
    with suppress(KafkaError):
        producer.close(timeout=3 * _SEND_SECONDS)


def _explained(config: Settings, error: Exception) -> ActivityError:
    """Why the messages were not acknowledged."""
    if is_refusal(error) or isinstance(error, BrokerError):
        return of(config, error)
    try:
        # the producer waits in vain for a topic that does not exist
        require_topic(config, config.kafka.topic, timeout_ms=2000)
    except BrokerError as refusal:
        return refusal
    except ServiceUnavailableError:
        pass
    return _away(config, f"did not acknowledge ({type(error).__name__})")


def send_readings(config: Settings, readings: pa.Table) -> int:
    """Write readings to the topic, keyed by device; returns how many messages all replicas acknowledged.

    Raises ServiceUnavailableError if that takes longer than some seconds, BrokerError where Kafka refuses.
    """
    _must_be_open()
    order = pc.sort_indices(readings, [("device_id", "ascending"), ("stamp", "ascending")])
    made = messages_of(readings.take(order), READINGS_PER_MESSAGE)
    if not reachable(config, 1.0):
        raise _forget_producer(_away(config, "does not answer"))
    try:
        producer = _the_producer(config)
        sent = [
            producer.send(config.kafka.topic, value, key=device.encode())
            for device, value in zip(made.device_id, made.value, strict=True)
        ]
        deadline = time.monotonic() + _SEND_SECONDS
        for one in sent:
            one.get(timeout=max(0.1, deadline - time.monotonic()))
    except (KafkaError, ActivityError) as error:
        explained = _explained(config, error)
        if isinstance(explained, MessageTooLargeError):
            raise explained from error
        raise _forget_producer(explained) from error
    return len(sent)
