"""Exports of daily records: `days`, `people`, `totals` by date, and `typical` days of each persona."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.lake.exports import write_export

MEANS = ("steps", "active_minutes", "kcal", "wear_minutes")
_EVERYBODY = ""
"""Persona of people who have none; also of the typical day over everybody."""


def write_days(folder: Path, days: pa.Table, personas: Mapping[str, str]) -> tuple[Path, ...]:
    """Write the exports of daily records: merged, with what is derived.

    personas : participant -> name; who is not in it has none
    """
    worn = days.filter(pc.field("worn"))
    names = pa.array([personas.get(name) for name in worn.column("participant").to_pylist()], pa.string())
    return (
        write_export(folder, "days", days, order=("participant", "date")),
        write_export(folder, "people", _people(days, worn, personas), order=("participant",)),
        write_export(folder, "totals", _totals(days, worn), order=("date",)),
        write_export(folder, "typical", _typical(worn, names), order=("persona", "weekday")),
    )


def _mean_names() -> dict[str, str]:
    return {f"{name}_mean": name for name in MEANS}


def _grouped(table: pa.Table, keys: list[str], counted: str) -> pa.Table:
    """Number of rows as `counted` and the means of MEANS, by key."""
    asked = [*((name, "mean") for name in MEANS), ("date", "count")]
    # one thread: the order of summation, and with it the last digit, stays the same
    found = pa.TableGroupBy(table, keys, use_threads=False).aggregate(asked)
    names = {**_mean_names(), "date_count": counted}
    return found.rename_columns([names.get(name, name) for name in found.column_names])


def _filled(found: pa.Table, days: pa.Table, key: str) -> pa.Table:
    """Means over all days where none was worn for 10 hours, as on the first one."""
    every = pa.TableGroupBy(days, [key], use_threads=False).aggregate([(name, "mean") for name in MEANS])
    place = pc.index_in(found.column(key), every.column(key).combine_chunks())
    for name in MEANS:
        own = found.column(name)
        filled = pc.coalesce(own, every.column(f"{name}_mean").take(place).cast(own.type))
        found = found.set_column(found.schema.get_field_index(name), name, filled)
    return found


def _people(days: pa.Table, worn: pa.Table, personas: Mapping[str, str]) -> pa.Table:
    spans = pa.TableGroupBy(days, "participant", use_threads=False).aggregate(
        [("date", "min"), ("date", "max"), ("date", "count"), ("zone", "max"), ("source", "max")]
    )
    names = {
        "date_min": "first",
        "date_max": "last",
        "date_count": "days",
        "zone_max": "zone",
        "source_max": "source",
    }
    spans = spans.rename_columns([names.get(name, name) for name in spans.column_names])
    means = _grouped(worn, ["participant"], "worn_days")
    found = _filled(spans.join(means, "participant", use_threads=False), days, "participant")
    count = found.schema.get_field_index("worn_days")
    found = found.set_column(count, "worn_days", pc.fill_null(found.column("worn_days"), 0))
    persona = [personas.get(name) for name in found.column("participant").to_pylist()]
    return found.append_column("persona", pa.array(persona, pa.string()))


def _totals(days: pa.Table, worn: pa.Table) -> pa.Table:
    dates = pa.TableGroupBy(days, "date", use_threads=False).aggregate([("participant", "count")])
    dates = dates.rename_columns([{"participant_count": "people"}.get(n, n) for n in dates.column_names])
    by_date = pa.TableGroupBy(worn, ["date"], use_threads=False).aggregate(
        [*((name, "mean") for name in MEANS), ("participant", "count")]
    )
    names = {**_mean_names(), "participant_count": "worn"}
    by_date = by_date.rename_columns([names.get(n, n) for n in by_date.column_names])
    found = _filled(dates.join(by_date, "date", use_threads=False), days, "date")
    place = found.schema.get_field_index("worn")
    return found.set_column(place, "worn", pc.fill_null(found.column("worn"), 0))


def _typical(worn: pa.Table, names: pa.Array) -> pa.Table:
    """Means by persona and weekday (0 Monday), and over everybody as persona ""."""
    weekday = pc.day_of_week(worn.column("date"))
    of_all = worn.append_column("weekday", weekday)
    everybody = of_all.append_column("persona", pa.repeat(pa.scalar(_EVERYBODY), worn.num_rows))
    own = of_all.append_column("persona", names)
    own = own.filter(pc.field("persona").is_valid())
    return pa.concat_tables([_grouped(one, ["persona", "weekday"], "days") for one in (everybody, own)])
