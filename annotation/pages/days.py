"""Days: the daily records of one person beside those of the same persona, or of everybody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
from nicegui import ui

from annotation import exports, frame, plots
from annotation.auth import User
from annotation.palette import colours

_ICON = '<rect x="3.5" y="5" width="17" height="15" rx="2"/><path d="M3.5 10h17M8 3v4M16 3v4M8 14h3M8 17h6"/>'
METRICS = {
    "active_minutes": ("Active minutes", "min"),
    "steps": ("Steps", "steps"),
    "kcal": ("Energy", "kcal"),
    "wear_minutes": ("Wear time", "min"),
}
_LISTED = 50
_TABLED = 28


@frame.page("/days", "Days", icon=_ICON, group="People", order=24)
async def days(_: User, participant: str = "", metric: str = "active_minutes") -> None:
    """The days of the person of the address, or everybody's, and the list of people to choose one."""
    metric = metric if metric in METRICS else "active_minutes"
    people = await exports.rows("people")
    if people is None or not people.num_rows:
        exports.nothing_yet("No daily records yet", "A daily record is one row a person and day.")
        return
    names: list[str] = people.column("participant").to_pylist()
    if set(people.column("source").to_pylist()) == {"synthetic"}:
        frame.notice(
            "Synthetic: these people were generated (`activity history generate`). They are not real.", "warn"
        )
    _choice(names, participant, metric)
    if not participant:
        await _everybody(people, metric)
    elif participant not in set(names):
        frame.empty(
            "No daily records of this person",
            "Check the pseudonym, or choose one from the list.",
            ("All people", "/days"),
        )
    else:
        person = people.filter(pc.field("participant") == participant).to_pylist()[0]
        found = await exports.rows("days", where=pc.field("participant") == participant)
        if found is not None:
            await _person(person, found, metric)


def _choice(names: Sequence[str], participant: str, metric: str) -> None:
    listed = "".join(f'<option value="{escape(name)}">' for name in names)
    metrics = "".join(
        f'<option value="{key}"{" selected" if key == metric else ""}>{title}</option>'
        for key, (title, _) in METRICS.items()
    )
    ui.html(
        '<form method="get" action="/days" class="row-line">'
        '<div class="field"><label for="participant">Person</label>'
        f'<input id="participant" name="participant" list="names" value="{escape(participant)}" '
        f'placeholder="everybody" autocomplete="off"><datalist id="names">{listed}</datalist></div>'
        '<div class="field"><label for="metric">Calendar shows</label>'
        f'<select id="metric" name="metric">{metrics}</select></div>'
        '<button class="button primary" type="submit" style="align-self: end">Show</button></form>',
        sanitize=False,
    )


async def _everybody(people: pa.Table, metric: str) -> None:
    totals = await exports.rows("totals")
    if totals is not None and totals.num_rows:
        dates: list[date] = totals.column("date").to_pylist()
        frame.stats(
            [
                ("People", f"{people.num_rows:,}", "with daily records"),
                ("Days", f"{pc.sum(people.column('days')).as_py():,}", f"{dates[0]} to {dates[-1]}"),
                ("Worn", f"{_share(people):.0%}", "of the days: 10 h or more"),
            ]
        )
        worn: list[int] = totals.column("worn").to_pylist()
        if any(worn):
            with frame.panel("People who wore their watch", note="by day"):
                plots.show(
                    plots.day_lines(dates, "people", {"worn": worn}),
                    "Number of people who wore their watch, by day",
                )
        title, unit = METRICS[metric]
        with frame.panel(
            title, note="mean of the people who wore their watch; of all where nobody did for 10 h"
        ):
            plots.show(
                plots.day_lines(dates, unit, {title: totals.column(metric).to_pylist()}),
                f"{title}, mean over people, by day",
            )
    with frame.panel("People", note=f"the first {_LISTED}" if people.num_rows > _LISTED else ""):
        frame.table(
            ["Person", "Persona", "Days", "Worn", "Steps", "Active min", "kcal", "Last day"],
            [_row(one) for one in people.slice(0, _LISTED).to_pylist()],
            numeric=frozenset({2, 3, 4, 5, 6}),
        )


def _share(people: pa.Table) -> float:
    recorded = pc.sum(people.column("days")).as_py()
    return float(pc.sum(people.column("worn_days")).as_py() or 0) / recorded if recorded else 0.0


def _row(one: dict[str, object]) -> list[str]:
    name = str(one["participant"])
    return [
        f'<a class="nowrap" href="/days?participant={quote(name, safe="")}">{escape(name)}</a>',
        escape(str(one["persona"] or "-")),
        f"{one['days']:,}",
        f"{one['worn_days']:,}",
        *(_figure(one[key]) for key in ("steps", "active_minutes", "kcal")),
        f'<span class="nowrap">{one["last"]}</span>',
    ]


def _figure(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, float) else "-"


async def _person(person: dict[str, object], found: pa.Table, metric: str) -> None:
    dates: list[date] = found.column("date").to_pylist()
    persona = person["persona"]
    usual = await exports.rows("typical", where=pc.field("persona") == (persona or ""))
    of = "a worn day" if person["worn_days"] else "a day; none was worn for 10 h"
    frame.stats(
        [
            ("Days", f"{person['days']:,}", f"{dates[0]} to {dates[-1]}"),
            ("Worn", f"{person['worn_days']:,}", "days of 10 h or more"),
            ("Steps", _figure(person["steps"]), of),
            ("Active", f"{_figure(person['active_minutes'])} min", of),
            ("Persona", str(persona or "none"), "by behaviour"),
        ]
    )
    title, unit = METRICS[metric]
    with (
        frame.panel(f"Calendar: {title.lower()}", note="darker: more; empty: unknown"),
        ui.element("div").classes("scroll-x"),
    ):
        plots.show(
            plots.calendar(dates, found.column(metric).to_pylist(), unit),
            f"{title} of each day",
            height=190,
        ).style("min-width: 620px")
    minutes = found.column("minutes").to_pylist()
    labels = sorted({label for day in minutes for label, _ in day or ()})
    if labels:
        by_label = {label: [dict(day or ()).get(label, 0.0) for day in minutes] for label in labels}
        with frame.panel("Activities", note="minutes of each day"):
            plots.show(
                plots.stacked_days(dates, by_label, colours(labels)),
                "Minutes of each day by activity",
                height=300,
            )
    with frame.grid(420):
        for key in ("steps", "active_minutes"):
            _trend(key, dates, found, usual)
    with frame.panel("Wear time", note="hours a day; a day of 10 h or more counts as worn"):
        worn = found.column("wear_minutes").to_pylist()
        plots.show(
            plots.day_lines(dates, "h", {"worn": [None if one is None else one / 60 for one in worn]}),
            "Hours worn, by day",
            height=220,
        )
    _numbers(found)


def _trend(key: str, dates: Sequence[date], found: pa.Table, usual: pa.Table | None) -> None:
    title, unit = METRICS[key]
    lines = {
        "7 days": found.column(f"{key}_7d").to_pylist(),
        "28 days": found.column(f"{key}_28d").to_pylist(),
    }
    if usual is not None and usual.num_rows:
        means = dict(zip(usual.column("weekday").to_pylist(), usual.column(key).to_pylist(), strict=True))
        of_week = [one for one in means.values() if one is not None]
        if of_week:
            lines["same persona"] = [sum(of_week) / len(of_week)] * len(dates)
    with frame.panel(
        f"{title}: trend", note="means of the last 7 and 28 days; dashed: people of the same persona"
    ):
        plots.show(plots.day_lines(dates, unit, lines), f"{title}, means of 7 and 28 days", height=240)


def _numbers(found: pa.Table) -> None:
    last = found.slice(max(found.num_rows - _TABLED, 0)).to_pylist()[::-1]
    with frame.panel(), frame.folded(f"The last {len(last)} days as a table"):
        frame.table(
            ["Date", "Wear h", "Active min", "Steps", "kcal", "Resting bpm", "Main workout"],
            [
                [
                    f'<span class="nowrap">{one["date"]}</span>',
                    "-" if one["wear_minutes"] is None else f"{one['wear_minutes'] / 60:.1f}",
                    *(_figure(one[key]) for key in ("active_minutes", "steps", "kcal", "heart_resting")),
                    "-"
                    if not one["workout"]
                    else f"{escape(one['workout'])}, {one['workout_minutes'] or 0:.0f} min",
                ]
                for one in last
            ],
            numeric=frozenset({1, 2, 3, 4, 5}),
        )
