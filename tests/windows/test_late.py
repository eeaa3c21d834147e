"""Which windows the stream drops readings of."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from own_settings import replaced

from activitymodule.settings import Settings
from activitymodule.windows.grouping import PANES_SCHEMA, group_panes
from activitymodule.windows.late import late_windows

S = 1_000_000
PANES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60 * S), st.integers(0, 90 * S)), max_size=12
)


@settings(max_examples=40)
@given(PANES, st.integers(0, 70 * S), st.sampled_from([(10, 10), (10, 5), (6, 2)]))
def test_they_are_the_windows_that_had_ended(
    rows: list[tuple[str, int, int]], before_us: int, shape: tuple[int, int]
) -> None:
    windows = replaced(Settings(), windows={"length_seconds": shape[0], "slide_seconds": shape[1]}).windows
    devices, stamps, arrived = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [devices, stamps, [b""] * len(rows), [1] * len(rows), arrived]
    panes = pa.RecordBatch.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, PANES_SCHEMA, strict=True)], schema=PANES_SCHEMA
    )
    grouped = group_panes(panes, windows)
    expected = [
        (device, start, start + shape[0] * S, 7, newest)
        for device, start, newest in zip(
            grouped.column("device_id").to_pylist(),
            grouped.column("window_us").to_pylist(),
            grouped.column("kafka_at").cast(pa.int64()).to_pylist(),
            strict=True,
        )
        if start + shape[0] * S <= before_us
    ]
    assert late_windows(panes, windows, before_us, 7) == expected
