"""/health, /monitoring/drift, and retraining: start one, read its state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from activitymodule.errors import ActivityError, RefusedError
from activitymodule.kafka.clients import topic_exists
from activitymodule.monitoring.report import DriftReport
from activitymodule.registry.versions import champion
from activitymodule.settings import Settings
from activitymodule.store.inspect import server_version
from activitymodule.store.locks import SCORING, holder
from activitymodule.store.retraining import find_run
from activitymodule.workflows.retraining import request as retraining
from activitymodule.workflows.retraining.results import Options
from annotation import context
from annotation.access import Admin, require_token
from annotation.answers import Moment, problems
from annotation.current import drift_now

router = APIRouter(tags=["monitoring"])

Part = Literal["store", "broker", "registry", "scorer"]
PARTS: tuple[Part, ...] = ("store", "broker", "registry", "scorer")

_BROKER_MILLISECONDS = 2000
_HEALTH_SECONDS = 1.0  # answers are kept so long: /health needs no sign-in, and must cost little


class PartHealth(BaseModel):
    """Whether a service answered, and in how many milliseconds."""

    ok: bool = Field(examples=[True])
    milliseconds: float = Field(examples=[1.3])


class Health(BaseModel):
    """`ok` if every requested part is."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    parts: dict[Part, PartHealth]


def _store(_: Settings) -> bool:
    return bool(context.read(server_version))


def _broker(config: Settings) -> bool:
    # a request of its protocol: a broker that is stuck, or starting, accepts connections all the same
    return topic_exists(config, config.kafka.topic, _BROKER_MILLISECONDS)


def _registry(config: Settings) -> bool:
    champion(config, config.registry.classifier)
    return True


def _scorer(config: Settings) -> bool:
    # a scorer holds its lock while it lives
    topic = config.kafka.topic
    return context.read(lambda connection: holder(connection, SCORING, topic)) is not None


_CHECKS: dict[Part, Callable[[Settings], bool]] = {
    "store": _store,
    "broker": _broker,
    "registry": _registry,
    "scorer": _scorer,
}
_seen: dict[Part, tuple[float, PartHealth]] = {}
_asking: dict[Part, asyncio.Lock] = {}


async def _look(part: Part) -> PartHealth:
    async with _asking.setdefault(part, asyncio.Lock()):
        held = _seen.get(part)
        if held is not None and time.monotonic() - held[0] < _HEALTH_SECONDS:
            return held[1]
        begin = time.perf_counter()
        try:
            ok = await context.run(_CHECKS[part], context.settings())
        except ActivityError:
            ok = False
        found = PartHealth(ok=ok, milliseconds=round((time.perf_counter() - begin) * 1000, 1))
        _seen[part] = (time.monotonic(), found)
        return found


@router.get(
    "/health",
    summary="Health of the services",
    response_model=Health,
    responses={503: {"model": Health, "description": "A part does not answer"}},
    tags=["health"],
)
async def health(
    need: Annotated[
        list[Part] | None,
        Query(description="Check only these parts; `need=store` for a probe of the console alone"),
    ] = None,
) -> Any:
    """Needs no sign-in. `broker` is ok if Kafka answers and has the topic, `scorer` (the
    streaming job) while it holds its lock in the store. Results are cached for
    a second."""
    wanted = [part for part in PARTS if need is None or part in need]
    found = dict(zip(wanted, await asyncio.gather(*map(_look, wanted)), strict=True))
    ok = all(one.ok for one in found.values())
    answer = Health(status="ok" if ok else "unavailable", parts=found)
    return JSONResponse(answer.model_dump(), 200 if ok else 503)


# ---- drift ------------------------------------------------------------------------------------------------------


@router.get(
    "/monitoring/drift",
    summary="Drift report: current windows compared with the champion's training data",
    response_model=DriftReport,
    responses=problems(),
)
async def drift(
    _: Annotated[str, Depends(require_token)],
    features: Annotated[
        int,
        Query(
            ge=0, le=1000, description="Return at most so many features, those with the largest drift first"
        ),
    ] = 20,
) -> Any:
    """Covers complete windows of the last monitoring.look_back_minutes; docs/monitoring.md explains the measures."""
    return (await drift_now()).limited(features)


# ---- retraining -------------------------------------------------------------------------------------------------


class Trigger(BaseModel):
    """Options, as of `activity retrain`."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field("", max_length=500, examples=["drift after the firmware update"])
    force: bool = Field(False, description="Ignore the label threshold")
    dry_run: bool = Field(False, description="Dry run: train and evaluate, promote nothing")
    min_labels: int | None = Field(None, ge=1, le=1_000_000)
    seed: int = Field(1, ge=0, le=2**31 - 1)
    require_approval: bool = Field(False, description="A significantly better challenger waits for approval")


class Triggered(BaseModel):
    """A retraining that was started; /monitoring/retraining/{run_id} has its state."""

    run_id: str
    through: Literal["airflow", "job"]
    held_back: str = Field("", description="Which run this one waits for, if another one waits for approval")


class RunState(BaseModel):
    """State of a retraining, and its result."""

    run_id: str
    state: str = Field(examples=["running"])
    step: str = Field(examples=["train"])
    progress: float = Field(ge=0, le=1)
    summary: str | None
    started_by: str
    why: str
    started_at: Moment | None
    finished_at: Moment | None
    challenger: str | None


@router.post(
    "/monitoring/retraining_trigger",
    status_code=202,
    summary="Start a retraining",
    response_model=Triggered,
    responses=problems(409, 413, 415),
)
async def retraining_trigger(who: Admin, asked: Trigger) -> Any:
    """For signed-in admins. Runs in Airflow if it answers, else as a job of this machine. 409: another run is in
    progress."""
    config = context.settings()
    try:
        begun = await context.run(
            lambda: retraining.begin(
                config,
                Options.model_validate(asked.model_dump(exclude={"why"})),
                by_whom=who.name,
                why=asked.why,
            )
        )
    except RefusedError as error:
        raise HTTPException(409, str(error)) from None
    return Triggered(run_id=begun.run_id, through=begun.through, held_back=begun.held_back)


@router.get(
    "/monitoring/retraining/{run_id}",
    summary="State of a retraining",
    response_model=RunState,
    responses=problems(404),
)
async def retraining_state(
    _: Annotated[str, Depends(require_token)],
    run_id: Annotated[str, Path(max_length=250, pattern=r"^[!-~]+$")],
) -> Any:
    """`state`: running, waiting (for approval), promoted, rejected, unneeded or failed."""
    run = await context.run_read(lambda connection: find_run(connection, run_id))
    if run is None:
        if retraining.starting(run_id):
            return RunState(
                run_id=run_id, state="running", step="check", progress=0, summary=None, started_by="", why="",
                started_at=None, finished_at=None, challenger=None,
            )  # fmt: skip
        raise HTTPException(404, f"no retraining has the id {run_id}; `activity retrain history` lists them")
    return RunState(**{name: getattr(run, name) for name in RunState.model_fields})
