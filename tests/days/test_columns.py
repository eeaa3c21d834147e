"""The table of columns of daily records."""

import datetime as dt

import pyarrow as pa

from activitymodule.days import columns


def test_a_row_with_the_required_columns_alone_is_a_daily_record():
    row = {
        "participant": "p1",
        "date": dt.date(2026, 3, 29),
        "source": "fitbit",
        "zone": "Europe/Berlin",
        "hours": 23.0,
    }
    table = pa.Table.from_pylist([row | {"minutes": [("walking", 12.5)]}], columns.SCHEMA)
    assert table.column("minutes").to_pylist() == [[("walking", 12.5)]]
    assert {name for name in table.column_names if table.column(name).null_count == 0} == {*row, "minutes"}
    assert set(columns.KEY) <= {column.name for column in columns.COLUMNS if column.required}


def test_stored_and_derived_columns_have_different_names_and_are_all_documented():
    every = [*columns.COLUMNS, *columns.DERIVED]
    names = [column.name for column in every]
    assert len(set(names)) == len(names)
    document = columns.markdown() + columns.markdown(columns.DERIVED)
    assert all(f"`{name}`" in document for name in names)
    assert all(column.meaning for column in every)
