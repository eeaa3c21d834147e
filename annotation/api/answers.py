"""What the REST routes share: answers as models (they make the OpenAPI description), bodies with a limit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import HTTPException, Request
from pydantic import BaseModel, Field

from activitymodule.telemetry.schema import reading_schema


class Problem(BaseModel):
    """Why a request was refused: one sentence, or for parameters the list of what is wrong with them."""

    detail: str | list[Any] = Field(examples=["sign in first, or send a token: Authorization: Bearer ..."])


class Refused(BaseModel):
    """An item that could not be used; the reasons are those of dead letters (docs/telemetry.md)."""

    message: int = Field(description="Which message of the request, from 0", examples=[0])
    item: int = Field(description="Which reading of the message, from 0; -1: the whole message", examples=[3])
    reason: str = Field(examples=["stamp_from_the_future"])
    detail: str = Field(examples=["2027-01-01T00:00:00Z is 40 days ahead"])
    device_id: str | None = Field(None, examples=["watch-00001"])


class NothingUsable(Problem):
    """Not one item could be used; `refused` says why of each."""

    refused: list[Refused] = []


class ScoredWindow(BaseModel):
    """One window as the stream would store it. Without an activity, `reason` says why."""

    device_id: str = Field(examples=["watch-00001"])
    window_start: datetime
    window_end: datetime
    activity: str | None = Field(examples=["walking"])
    confidence: float | None = Field(description="Probability of the activity", examples=[0.93])
    probabilities: dict[str, float] | None = Field(
        description="Of every label; single precision, to the last bit",
        examples=[{"sitting": 0.07, "walking": 0.93}],
    )
    conformal_set: list[str] | None = Field(
        description="Labels that hold the true one as often as was promised", examples=[["walking"]]
    )
    kcal_per_min: float | None = Field(examples=[4.2])
    coverage: float = Field(description="Share of the window's slots that have a reading", examples=[1.0])
    readings_used: int = Field(examples=[100])
    duplicates: int = Field(description="Readings whose stamp was there already", examples=[0])
    reason: str | None = Field(description="Why there is no activity", examples=[None])


class Predictions(BaseModel):
    """Windows in the order of watch and time, and what could not be used."""

    model_version: str = Field(examples=["3"])
    energy_version: str | None = Field(examples=["1"])
    windows: list[ScoredWindow]
    refused: list[Refused]


class Accepted(BaseModel):
    """What was written to Kafka, acknowledged by all its replicas."""

    readings: int = Field(examples=[100])
    messages: int = Field(examples=[10])
    refused: list[Refused]
    passed_over: dict[str, int] = Field(
        default_factory=dict, description="Samples of sensors that no reading has a place for", examples=[{}]
    )


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: the refusals it may answer with, beside those of every route."""
    says = {
        400: "The body is cut off",
        401: "Neither signed in nor a token",
        403: "Another site asked, or the role does not suffice",
        404: "There is none such",
        409: "Understood, but refused as things are",
        413: "The body is too large",
        422: "The request cannot be used",
        429: "Too many requests",
        503: "A service is away, or there is no champion",
    }
    chosen = sorted({401, 403, 422, 429, 503, *codes})
    return {code: {"model": Problem, "description": says[code]} for code in chosen}


def message_body(description: str, *, several: bool = False) -> dict[str, Any]:
    """`openapi_extra=` of a route that reads its body by itself: a telemetry message, or several."""
    reading = {
        **reading_schema(),
        "example": {
            "device_id": "watch-00001",
            "stamp": "2026-11-20T10:00:00.000Z",
            "pitch": 0.1,
            "roll": -0.2,
            "user_acceleration_x": 0.01,
            "user_acceleration_y": 0.02,
            "user_acceleration_z": 0.0,
        },
    }
    message: dict[str, Any] = {"oneOf": [reading, {"type": "array", "items": reading, "minItems": 1}]}
    if several:
        message = {
            "type": "object",
            "required": ["messages"],
            "properties": {"messages": {"type": "array", "items": message, "minItems": 1}},
        }
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {"application/json": {"schema": message}},
        }
    }


async def body_of(request: Request, limit: int) -> bytes:
    """The request's body; 413 as soon as it is longer than `limit` bytes, however it is sent."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise HTTPException(413, f"the body has {said} bytes; at most {limit} are taken")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise HTTPException(413, f"the body has more than the {limit} bytes that are taken")
        parts.append(part)
    return b"".join(parts)


def refused_of(dead: Any, places: list[int] | None = None) -> list[Refused]:
    """Dead letters of `decode` as an answer; places: which message of the request each decoded one was."""
    return [
        Refused(
            message=row["message"] if places is None else places[row["message"]],
            item=row["item"],
            reason=row["reason"],
            detail=row["detail"],
            device_id=row["device_id"],
        )
        for row in dead.to_pylist()
    ]
