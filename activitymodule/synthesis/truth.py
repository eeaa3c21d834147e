"""The truth beside the readings: activity and energy of each wearer, for evaluation and never for scoring.

A span is a piece of a bout inside ten seconds of UTC (10:00:00 to 10:00:10 ...): mostly one message a watch
every ten seconds, two when the activity changes between.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from activitymodule.synthesis.faults import Run
from activitymodule.synthesis.people import device_name
from activitymodule.synthesis.readings import Watches

SPAN_SECONDS = 10


def truth_messages(
    run: Run, source: Watches, device: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, pa.BinaryArray]:
    """Devices (m,) and messages of the spans that end with these rows, int64 arrays of shape (n,)."""
    ends = (second % SPAN_SECONDS == SPAN_SECONDS - 1) | (second == run.last_second)
    who = device[ends]
    until = second[ends] + 1
    start = np.maximum((until - 1) // SPAN_SECONDS * SPAN_SECONDS, run.first_second)
    devices: list[np.ndarray] = []
    texts: list[bytes] = []
    while len(who):
        state = source.bodies.state(who, start)
        stop = np.minimum(until, state.bout_end)
        starts, stops = (np.datetime_as_string(t.astype("datetime64[s]")).tolist() for t in (start, stop))
        texts += [
            json.dumps(
                {
                    "device_id": device_name(number),
                    "start": begin + "Z",
                    "end": end + "Z",
                    "activity": source.activities[activity],
                    "kcal_per_min": round(kcal, 3),
                    "source": "fleet",
                },
                separators=(",", ":"),
            ).encode()
            for number, begin, end, activity, kcal in zip(
                who.tolist(), starts, stops, state.activity.tolist(), state.kcal_per_min.tolist(), strict=True
            )
        ]
        devices.append(who)
        more = stop < until
        who, start, until = who[more], stop[more], until[more]
    return np.concatenate(devices) if devices else np.empty(0, np.int64), pa.array(texts, pa.binary())
