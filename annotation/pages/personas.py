"""Personas: clusters of people by behaviour, how many there are, how they differ, and who belongs where."""

from __future__ import annotations

import math
from html import escape
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
from nicegui import ui

from activitymodule.behaviour.person import BEHAVIOUR, NAMES
from annotation import exports, frame, plots
from annotation.auth import User
from annotation.palette import COLOURS

_ICON = (
    '<circle cx="8" cy="8" r="2.6"/><circle cx="16.5" cy="7" r="2.6"/><circle cx="12" cy="16.5" r="2.6"/>'
    '<path d="M3 20.5h18"/>'
)
_LISTED = 40
_AXES = ("recency", "frequency", "energy")


@frame.page("/personas", "Personas", icon=_ICON, group="People", order=25)
async def personas(_: User, persona: str = "") -> None:
    """The personas of the last report; with one in the address, its people."""
    found, fit = await exports.rows("personas"), await exports.rows("persona_fit")
    centroids, counts = await exports.rows("persona_centroids"), await exports.rows("persona_counts")
    if found is None or fit is None or centroids is None or counts is None or not found.num_rows:
        exports.nothing_yet("No personas yet", "Personas are clusters of people by their daily records.")
        return
    figures = fit.to_pylist()[0]
    if figures["synthetic"]:
        frame.notice(
            "Synthetic: these people were generated (`activity history generate`). They are not real.", "warn"
        )
    frame.stats(_figures(figures))
    names = centroids.column("persona").to_pylist()
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    _space(found, names, colours)
    _centroids(centroids, colours)
    _numbers_of_clusters(counts, figures)
    _members(found, names, persona)


def _figures(fit: dict[str, float]) -> list[tuple[str, str, str]]:
    planted = fit["planted"]
    return [
        ("People", f"{fit['people']:,.0f}", "with two weeks of days or more"),
        ("Personas", f"{fit['clusters']:.0f}", "K-Means over six measures"),
        ("Silhouette", f"{fit['silhouette']:.2f}", "1: far apart; 0: none"),
        (
            "Stability",
            f"{fit['stability']:.2f}",
            f"adjusted Rand over resamples, {fit['stability_low']:.2f} to {fit['stability_high']:.2f}",
        ),
        *(
            [("Recovered", f"{planted:.2f}", "adjusted Rand with the generated personas")]
            if planted is not None
            else []
        ),
    ]


def _space(found: pa.Table, names: list[str], colours: dict[str, str]) -> None:
    rows = found.to_pylist()
    points = {
        name: [
            (*(round(one[axis], 3) for axis in _AXES), one["participant"])
            for one in rows
            if one["persona"] == name and all(one[axis] is not None for axis in _AXES)
        ]
        for name in names
    }
    with frame.panel("People in recency, frequency and energy", note="drag to turn, scroll to zoom"):
        plots.show(
            plots.scatter_3d(points, ("recency, days", "active days a week", "kcal a day"), colours),
            "People as points by recency, frequency and energy, coloured by persona; the tables below have the numbers",
            height=440,
            three_d=True,
        )


def _centroids(centroids: pa.Table, colours: dict[str, str]) -> None:
    head = ["Persona", "People", *(f"{one.name}{f', {one.unit}' if one.unit else ''}" for one in BEHAVIOUR)]
    with frame.panel("Centroids", note="medians of each persona's people"):
        frame.table(
            head,
            [
                [
                    f'<a class="chip" href="/personas?persona={quote(one["persona"], safe="")}#members">'
                    f'<span class="dot" style="--c:{colours[one["persona"]]}"></span>{escape(one["persona"])}</a>',
                    f"{one['people']:,} ({one['share']:.0%})",
                    *(_figure(one[name]) for name in NAMES),
                ]
                for one in centroids.to_pylist()
            ],
            numeric=frozenset(range(1, len(head))),
        )
        with frame.folded("What the six measures are"):
            frame.table(
                ["Measure", "Meaning", "Formula"],
                [
                    [f"<b>{escape(one.name)}</b>", escape(one.meaning), escape(one.formula)]
                    for one in BEHAVIOUR
                ],
            )


def _figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _numbers_of_clusters(counts: pa.Table, fit: dict[str, float]) -> None:
    xs = counts.column("clusters").to_pylist()
    with frame.grid(380):
        for key, title, note in (
            ("silhouette", "Silhouette", f"greatest at {fit['by_silhouette']:.0f}"),
            ("inertia", "Elbow", f"inertia; elbow at {fit['by_elbow']:.0f}"),
        ):
            with frame.panel(title, note=f"{note}; band: one standard deviation over seeds"):
                means, spreads = (counts.column(f"{key}{part}").to_pylist() for part in ("", "_sd"))
                plots.show(
                    plots.lines_with_bands(xs, "", {title.lower(): (means, spreads)}),
                    f"{title} by number of personas",
                    height=240,
                )


def _members(found: pa.Table, names: list[str], persona: str) -> None:
    chosen = persona if persona in names else ""
    shown = found.filter(pc.field("persona") == chosen) if chosen else found
    with frame.panel(
        f"People of {chosen}" if chosen else "Who belongs where",
        note=f"the first {_LISTED} of {shown.num_rows:,}" if shown.num_rows > _LISTED else "",
    ) as block:
        block.props('id="members"')
        ui.html(
            '<div class="row-line"><a class="button small" href="/personas.csv" download>CSV of all people</a>'
            + ('<a class="button small" href="/personas#members">All personas</a>' if chosen else "")
            + "</div>",
            sanitize=False,
        )
        frame.table(
            ["Person", "Persona", *NAMES],
            [
                [
                    f'<a class="nowrap" href="/days?participant={quote(one["participant"], safe="")}">'
                    f"{escape(one['participant'])}</a>",
                    escape(one["persona"]),
                    *(_figure(one[name]) for name in NAMES),
                ]
                for one in shown.slice(0, _LISTED).to_pylist()
            ],
            numeric=frozenset(range(2, 2 + len(NAMES))),
        )
