"""What the REST routes share: response models (the source of the OpenAPI description), bodies with a limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, Field, WrapSerializer, create_model

from activitymodule.store.prediction_columns import COLUMNS, Column
from activitymodule.store.values import FarTime
from activitymodule.telemetry.schema import reading_schema


def _shown(at: datetime, standard: Any) -> Any:
    return at.isoformat() if isinstance(at, FarTime) else standard(at)


Moment = Annotated[datetime, WrapSerializer(_shown, when_used="json")]
"""A time of the store; one beyond Python's years is PostgreSQL's text of it."""


class Problem(BaseModel):
    """Why a request was refused: a sentence, or for invalid parameters a list."""

    detail: str | list[Any] = Field(examples=["sign in first, or send a token: Authorization: Bearer ..."])


class Refused(BaseModel):
    """An item that cannot be used; the reasons are those of dead letters (docs/telemetry.md)."""

    message: int = Field(description="Index of the message in the request, from 0", examples=[0])
    item: int = Field(
        description="Index of the reading in the message, from 0; -1: the whole message", examples=[3]
    )
    reason: str = Field(examples=["stamp_from_the_future"])
    detail: str = Field(examples=["2027-01-01T00:00:00Z is 40 days ahead"])
    device_id: str | None = Field(None, examples=["watch-00001"])


class NothingUsable(Problem):
    """No item of the request can be used; `refused` has the reason of each."""

    refused: list[Refused] = []


_TYPES: dict[str, Any] = {
    "text": str,
    "timestamptz": datetime,
    "real": float,
    "integer": int,
    "bigint": int,
    "real[]": dict[str, float],  # by label
    "text[]": list[str],
}


def window_model(columns: Sequence[Column] = COLUMNS) -> type[BaseModel]:
    """The model of one window of an answer, made from the columns of the table `predictions`."""
    made: dict[str, Any] = {
        column.name: (
            _TYPES[column.type] if column.required else _TYPES[column.type] | None,
            Field(description=column.meaning.replace("`", ""), examples=[column.example]),
        )
        for column in columns
        if column.example is not None
    }
    return create_model(
        "ScoredWindow",
        __doc__="One window as the stream stores it. Without an activity, `reason` says why.",
        **made,
    )


ScoredWindow = window_model()


class Predictions(BaseModel):
    """Windows by watch and time, and the items that cannot be used."""

    model_version: str = Field(examples=["3"])
    energy_version: str | None = Field(examples=["1"])
    windows: list[ScoredWindow]  # type: ignore[valid-type]
    refused: list[Refused]


class Accepted(BaseModel):
    """What was written to Kafka and acknowledged by all replicas."""

    readings: int = Field(examples=[100])
    messages: int = Field(examples=[10])
    refused: list[Refused]
    passed_over: dict[str, int] = Field(
        default_factory=dict,
        description="Samples, by sensor, that are in no reading: without a field for them, without their values, or an "
        "acceleration and a gravity without each other",
        examples=[{}],
    )


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: the error statuses it may return, beside those of every route."""
    descriptions = {
        400: "The body is cut off",
        401: "Neither a session nor a token",
        403: "Sent by another site, or the role is not sufficient",
        404: "Not found",
        409: "Refused in the current state",
        413: "The body is too large, or has too many windows",
        415: "The body is compressed",
        422: "The request is invalid",
        429: "Too many requests",
        503: "A service is unavailable, or there is no champion",
    }
    chosen = sorted({401, 403, 422, 429, 503, *codes})
    return {code: {"model": Problem, "description": descriptions[code]} for code in chosen}


def message_body(description: str, *, several: bool = False) -> dict[str, Any]:
    """`openapi_extra=` of a route that reads its body itself: one telemetry message, or several."""
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


def answer_of(model: BaseModel, status: int = 200) -> Response:
    """The response with this model, written here, in the thread of the request: FastAPI would check and write it on the
    event loop, and keep all others waiting for one with ten thousand windows or refused items."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def refused_of(dead: Any, places: list[int] | None = None) -> list[Refused]:
    """Dead letters of `decode` as items of a response; places: index of each decoded message in the request."""
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
