"""/devices: the device models of watches, and device profiles."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from activitymodule.errors import DataError, NotFoundError
from activitymodule.store import devices as store
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.telemetry.profiles import MOST_CHARACTERS, DeviceProfile, profile_of, profiles
from annotation import context
from annotation.access import Sender, require_sender, require_token
from annotation.answers import Moment, problems

router = APIRouter(tags=["devices"])

DeviceId = Annotated[str, Path(pattern=WHOLE_DEVICE_ID)]


class DeviceSetting(BaseModel):
    """The model of a watch, as a person sets it."""

    model_config = ConfigDict(extra="forbid")

    device_model: str = Field(min_length=1, max_length=MOST_CHARACTERS, examples=["empatica-e4"])
    wrist: Literal["left", "right"] | None = Field(None, description="Where it is worn; absent: as it was")


class DeviceState(BaseModel):
    """A watch. `profile` is null where no device profile has its model: its readings are taken as sent."""

    device_id: str
    device_model: str | None = Field(examples=["empatica-e4"])
    profile: str | None = Field(examples=["empatica-e4"])
    wrist: Literal["left", "right"] | None
    source: str = Field(description="message: its readings name it; else where a person set it")
    updated_at: Moment


def _state(one: store.Device) -> DeviceState:
    profile = profile_of(one.device_model)
    return DeviceState(
        device_id=one.device_id,
        device_model=one.device_model,
        profile=profile.id if profile else None,
        wrist=one.wrist,
        source=one.source,
        updated_at=one.updated_at,
    )


@router.get(
    "/devices", summary="Watches whose device model is known", response_model=list[DeviceState],
    responses=problems(),
)  # fmt: skip
async def list_devices(
    _: Annotated[str, Depends(require_token)],
    after: Annotated[str, Query(max_length=128, description="Only watches after this one, by name")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Any:
    """By name; the next page begins after the last watch of this one."""
    after = after.replace("\0", "")
    found = await context.run_read(
        lambda connection: store.list_devices(connection, after=after, limit=limit)
    )
    return [_state(one) for one in found]


@router.get(
    "/device_profiles", summary="Device profiles", response_model=list[DeviceProfile], responses=problems()
)
async def list_profiles(_: Annotated[str, Depends(require_token)]) -> Any:
    """Axes, sign, rate and range of each device model that is known."""
    return list(profiles().values())


@router.put(
    "/devices/{device_id}",
    summary="Set the device model of a watch",
    response_model=DeviceState,
    responses=problems(413, 415),
)
async def set_device(
    device_id: DeviceId, sender: Annotated[Sender, Depends(require_sender)], asked: DeviceSetting
) -> Any:
    """What is set here counts more than the `device_model` of messages. The stream follows within seconds; windows that
    are scored already stay as they are."""
    sender.check_devices([device_id])
    try:
        setting = store.Setting(device_id, asked.device_model, asked.wrist)
    except DataError as error:
        raise HTTPException(422, str(error)) from None
    await context.run_write(lambda connection: store.set_devices(connection, [setting], "rest"))
    return await _now(device_id)


@router.delete(
    "/devices/{device_id}",
    summary="Forget the device model of a watch",
    response_model=DeviceState,
    responses=problems(404),
)
async def unset_device(device_id: DeviceId, sender: Annotated[Sender, Depends(require_sender)]) -> Any:
    """From then on its messages decide. 404: nothing was set."""
    sender.check_devices([device_id])
    try:
        await context.run_write(lambda connection: store.unset_device(connection, device_id))
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from None
    return await _now(device_id)


async def _now(device_id: str) -> DeviceState:
    found = await context.run_read(lambda connection: store.device_of(connection, device_id))
    if found is None:
        raise HTTPException(404, f"nothing is known of the watch {device_id}")
    return _state(found)
