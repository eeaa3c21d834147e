"""/participants: people by pseudonym, what they wear, withdrawal and export; for admins."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import date
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from activitymodule.errors import NotFoundError
from activitymodule.store import participants as store
from activitymodule.store.connection import Connection
from activitymodule.store.participants import Details, Participant, Wear
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.workflows.people.exporting import export
from activitymodule.workflows.people.withdrawing import Withdrawal, withdraw
from annotation import context
from annotation.access import Admin
from annotation.answers import Moment, problems

router = APIRouter(tags=["people"])

Pseudonym = Annotated[str, Path(pattern=WHOLE_DEVICE_ID)]
_ONE_EXPORT = asyncio.Semaphore(1)  # it reads the whole archive


class PersonDetails(BaseModel):
    """What is known of a participant; everything is optional."""

    model_config = ConfigDict(extra="forbid")

    age_years: float | None = Field(None, ge=0, le=130)
    sex: Literal["female", "male"] | None = None
    height_cm: float | None = Field(None, ge=30, le=280)
    weight_kg: float | None = Field(None, ge=2, le=700)
    resting_heart_rate_bpm: float | None = Field(None, ge=15, le=220)
    zone: str = Field(
        "UTC", max_length=64, description="IANA time zone of their days", examples=["Europe/Berlin"]
    )
    study: str | None = Field(None, pattern=WHOLE_DEVICE_ID)
    consented_on: date | None = None


class NewParticipant(PersonDetails):
    """A participant to add."""

    participant: str = Field(pattern=WHOLE_DEVICE_ID, description="A pseudonym, no name", examples=["p-017"])


class NewWear(BaseModel):
    """A watch that a participant wears."""

    model_config = ConfigDict(extra="forbid")

    device_id: str = Field(pattern=WHOLE_DEVICE_ID, examples=["watch-00001"])
    worn_from: AwareDatetime | None = Field(None, description="null: from its first reading on")
    worn_to: AwareDatetime | None = Field(None, description="null: still")
    handover: bool = Field(False, description="End the time of its present wearer where this one begins")


class WearState(BaseModel):
    """A watch that a participant wears or wore."""

    device_id: str
    worn_from: Moment | None
    worn_to: Moment | None


class ParticipantState(PersonDetails):
    """A participant. `withdrawn_at`: nothing new of them is scored, queued or archived since then."""

    participant: str
    withdrawn_at: Moment | None
    worn: list[WearState]


def _state(connection: Connection, participant: str) -> ParticipantState:
    try:
        found = store.required(connection, participant)
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from None
    return _of(found, store.worn_by(connection, participant))


def _of(found: Participant, worn: list[Wear]) -> ParticipantState:
    return ParticipantState(
        **{name: getattr(found.details, name) for name in store.DETAILS},
        participant=found.participant,
        withdrawn_at=found.withdrawn_at,
        worn=[
            WearState(device_id=one.device_id, worn_from=one.worn_from, worn_to=one.worn_to) for one in worn
        ],
    )


@router.get(
    "/participants", summary="Participants", response_model=list[ParticipantState], responses=problems()
)
async def list_people(
    _: Admin,
    study: Annotated[str | None, Query(pattern=WHOLE_DEVICE_ID)] = None,
    after: Annotated[
        str, Query(max_length=128, description="Only participants after this one, by name")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Any:
    """For signed-in admins. By name; the next page begins after the last one of this."""
    after = after.replace("\0", "")

    def work(connection: Connection) -> list[ParticipantState]:
        found = store.list_participants(connection, study=study, after=after, limit=limit)
        return [_of(one, store.worn_by(connection, one.participant)) for one in found]

    return await context.run_read(work)


@router.post(
    "/participants", status_code=201, summary="Add a participant", response_model=ParticipantState,
    responses=problems(409, 413, 415),
)  # fmt: skip
async def add_person(_: Admin, given: NewParticipant) -> Any:
    """For signed-in admins. 409: there is one of that name."""
    details = Details(**given.model_dump(exclude={"participant"}))

    def work(connection: Connection) -> ParticipantState:
        store.add(connection, given.participant, details)
        return _state(connection, given.participant)

    return await context.run_write(work)


@router.get(
    "/participants/{participant}", summary="One participant", response_model=ParticipantState,
    responses=problems(404),
)  # fmt: skip
async def one_person(_: Admin, participant: Pseudonym) -> Any:
    """For signed-in admins, with all watches they wore."""
    return await context.run_read(lambda connection: _state(connection, participant))


@router.patch(
    "/participants/{participant}", summary="Change what is known of a participant",
    response_model=ParticipantState, responses=problems(404, 413, 415),
)  # fmt: skip
async def edit_person(_: Admin, participant: Pseudonym, given: PersonDetails) -> Any:
    """For signed-in admins. What is not sent stays; null makes it unknown."""
    changes = given.model_dump(include=given.model_fields_set)
    if changes.get("zone", "") is None:
        raise HTTPException(422, "zone must be a time zone")

    def work(connection: Connection) -> ParticipantState:
        _state(connection, participant)
        store.edit(connection, participant, changes)
        return _state(connection, participant)

    return await context.run_write(work)


@router.post(
    "/participants/{participant}/devices", status_code=201, summary="Record that a participant wears a watch",
    response_model=ParticipantState, responses=problems(404, 409, 413, 415),
)  # fmt: skip
async def assign_device(_: Admin, participant: Pseudonym, given: NewWear) -> Any:
    """For signed-in admins. 409: somebody else wears it at that time, or the participant has withdrawn."""
    wear = Wear(participant, given.device_id, given.worn_from, given.worn_to)

    def work(connection: Connection) -> ParticipantState:
        _state(connection, participant)
        store.assign(connection, wear, handover=given.handover)
        return _state(connection, participant)

    return await context.run_write(work)


@router.post(
    "/participants/{participant}/withdraw", summary="Take nothing new of a participant",
    response_model=Withdrawal, responses=problems(404, 413, 415),
)  # fmt: skip
async def withdraw_person(_: Admin, participant: Pseudonym) -> Any:
    """For signed-in admins. Nothing new of them is scored, queued or archived from that moment; what is there stays.
    `activity people erase` removes it."""
    await context.run_read(lambda connection: _state(connection, participant))
    return await context.run(withdraw, context.settings(), participant)


@router.get(
    "/participants/{participant}/export", summary="What is kept of a participant, as a zip",
    response_class=FileResponse, responses=problems(404),
)  # fmt: skip
async def export_person(_: Admin, participant: Pseudonym) -> Any:
    """For signed-in admins: readings (Parquet), predictions, labels, daily records (CSV) and a README. One at a time;
    with a large archive it takes minutes, and `activity people export` is the better way."""
    await context.run_read(lambda connection: _state(connection, participant))
    folder = tempfile.TemporaryDirectory(prefix="activity-export-")
    path = FilePath(folder.name) / f"{participant}.zip"
    try:
        async with _ONE_EXPORT:
            await context.run(export, context.settings(), participant, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path, filename=path.name, media_type="application/zip", background=BackgroundTask(folder.cleanup)
    )
