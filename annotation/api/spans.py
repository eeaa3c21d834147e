"""/spans: people give an activity to a span of time of a watch, list such spans and undo them; the timeline on which
the page of a watch shows them.

All rules are in the store (store/spans.py); which span has a moment is decided in learning/spans.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from activitymodule.learning.spans import stretches
from activitymodule.store import spans as store
from activitymodule.store import views
from activitymodule.store.connection import Connection
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.text import LONGEST_LABEL, LONGEST_NOTE
from annotation import context
from annotation.access import Person, SignedIn
from annotation.answers import Moment, problems
from annotation.auth import User
from annotation.palette import colours

router = APIRouter(tags=["labels"])

_MOST_BARS = 720  # of the timeline
_MOST_HOURS = 48

DeviceId = Annotated[str, Field(pattern=WHOLE_DEVICE_ID, max_length=128, examples=["watch-00001"])]


class GivenSpan(BaseModel):
    """An activity of a span of time of one watch; times with their offset."""

    model_config = ConfigDict(extra="forbid")

    device_id: DeviceId
    start: AwareDatetime = Field(examples=["2026-11-20T10:00:00+01:00"])
    end: AwareDatetime = Field(
        description="At most 24 hours after the start, not in the future",
        examples=["2026-11-20T10:30:00+01:00"],
    )
    label: str = Field(min_length=1, max_length=16 * LONGEST_LABEL, examples=["stairs"])
    note: str | None = Field(None, max_length=4 * LONGEST_NOTE)


class SpanAnswer(BaseModel):
    """A span as it is stored. Where spans overlap, the one answered last has the moment."""

    span_id: int = Field(examples=[17])
    device_id: str
    start: Moment
    end: Moment
    label: str = Field(examples=["stairs"])
    annotator: str = Field(examples=["anna"])
    note: str | None
    origin: str = Field(description="console or import", examples=["console"])
    answered_at: Moment

    @classmethod
    def of(cls, span: store.Span) -> SpanAnswer:
        """The answer about a span of the store."""
        return cls(
            span_id=span.span_id,
            device_id=span.device_id,
            start=span.span_start,
            end=span.span_end,
            label=span.label,
            annotator=span.annotator,
            note=span.note,
            origin=span.origin,
            answered_at=span.answered_at,
        )


class SpanList(BaseModel):
    """Spans that were not undone, those answered last first; `more`: there are others, beyond the limit."""

    spans: list[SpanAnswer]
    more: bool


@router.post(
    "/spans",
    status_code=201,
    summary="Give an activity to a span of time of a watch",
    response_model=SpanAnswer,
    responses=problems(413, 415),
)
async def give_span(who: Person, given: GivenSpan) -> SpanAnswer:
    """For signed-in users, who are its annotator. It counts from now on, over spans that were given before."""

    def work(connection: Connection) -> store.Span:
        return store.add_span(
            connection,
            given.device_id,
            given.start,
            given.end,
            given.label,
            annotator=who.name,
            origin="console",
            note=given.note,
        )

    return SpanAnswer.of(await context.run_write(work))


@router.get("/spans", summary="Spans that were not undone", response_model=SpanList, responses=problems())
async def list_spans(
    _: Person,
    device_id: Annotated[str | None, Query(pattern=WHOLE_DEVICE_ID, max_length=128)] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only spans that end after it")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only spans that begin before it")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Any:
    """For signed-in users, of all annotators."""
    found = await context.run_read(
        lambda connection: store.spans_in_force(connection, device_id, since=since, until=until)
    )
    newest = found[::-1][:limit]
    return SpanList(spans=[SpanAnswer.of(span) for span in newest], more=len(found) > limit)


@router.post(
    "/spans/{span_id}/undo",
    summary="Undo a span",
    response_model=SpanAnswer,
    responses=problems(404, 409, 413, 415),
)
async def undo_span(who: Person, span_id: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> SpanAnswer:
    """For its annotator, whoever recorded it, and admins (403 for others). What was there before counts again. 409: it
    was undone before."""

    def work(connection: Connection) -> store.Span:
        span = store.find_span(connection, span_id)
        if span is None:
            raise HTTPException(404, f"there is no span {span_id}")
        if not who.is_admin and who.name not in (span.annotator, span.recorded_by):
            raise HTTPException(403, f"the span is {span.annotator}'s; they or an admin may undo it")
        store.undo_spans(connection, [span_id], who.name)
        return span

    return SpanAnswer.of(await context.run_write(work))


# ---- the timeline of a page

Bar = tuple[int, int, str | None]
"""From and to, milliseconds since 1970, and the activity."""


class Listed(BaseModel):
    """A span in the list of the page; times in milliseconds since 1970."""

    span_id: int
    start: int
    end: int
    label: str
    annotator: str
    note: str | None
    own: bool
    may_undo: bool


class Timeline(BaseModel):
    """A stretch of time of a watch: what was predicted, which activity the spans give each moment, and the spans
    themselves, those answered last first. newest : where the newest window ends."""

    since: int
    until: int
    newest: int
    predicted: list[Bar]
    labelled: list[Bar]
    spans: list[Listed]
    colours: dict[str, str]


@router.get("/watch/timeline", include_in_schema=False)
async def timeline(
    who: SignedIn,
    device: Annotated[str, Query(pattern=WHOLE_DEVICE_ID, max_length=128)],
    hours: Annotated[float, Query(gt=0, le=_MOST_HOURS)] = 1,
    until: Annotated[int | None, Query(ge=946_684_800_000, le=7_258_118_400_000)] = None,
) -> Timeline:
    """The hours up to a time (milliseconds since 1970), or up to the newest window."""

    def work(connection: Connection) -> Timeline:
        newest = views.newest_window_end(connection, device) or datetime.now(UTC)
        end = newest if until is None else datetime.fromtimestamp(until / 1000, UTC)
        since = end - timedelta(hours=hours)
        windows = views.windows_of(connection, device, since, end)
        spans = store.spans_in_force(connection, device, since=since, until=end)
        predicted = _bars(windows, max(1000, round(hours * 3_600_000 / _MOST_BARS)))
        labelled = stretches([(_ms(s.span_start), _ms(s.span_end), s.label, 0) for s in spans])
        shown = {label for _, _, label in predicted if label} | {span.label for span in spans}
        return Timeline(
            since=_ms(since),
            until=_ms(end),
            newest=_ms(newest),
            predicted=predicted,
            labelled=[(one.start_us, one.end_us, one.label) for one in labelled],
            spans=[_listed(span, who) for span in spans[::-1][:200]],
            colours=colours(shown),
        )

    return await context.run_read(work)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _listed(span: store.Span, who: User) -> Listed:
    own = who.name in (span.annotator, span.recorded_by)
    return Listed(
        span_id=span.span_id,
        start=_ms(span.span_start),
        end=_ms(span.span_end),
        label=span.label,
        annotator=span.annotator,
        note=span.note,
        own=own,
        may_undo=own or who.is_admin,
    )


def _bars(windows: Sequence[tuple[datetime, datetime, str | None]], least_ms: int) -> list[Bar]:
    """Windows as bars: of those that begin within `least_ms` the most frequent activity, neighbours of one activity as
    one bar."""
    groups: dict[int, list[Bar]] = {}
    for begins, ends, label in windows:
        groups.setdefault(_ms(begins) // least_ms, []).append((_ms(begins), _ms(ends), label))
    bars: list[Bar] = []
    for group in groups.values():
        ((most, _),) = Counter(label for *_, label in group).most_common(1)
        start, end = group[0][0], group[-1][1]
        if bars and bars[-1][2] == most and start - bars[-1][1] < max(least_ms, 1000):
            bars[-1] = (bars[-1][0], max(end, bars[-1][1]), most)
        else:
            bars.append((start, end, most))
    return bars
