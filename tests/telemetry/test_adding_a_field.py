"""A passive field is one row of telemetry.schema: decoded, cleaned, encoded and synthesised without another edit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json

from activitymodule.telemetry import schema

row = schema.Field("skin_temperature", "float", "degrees C", -40, 60, "temperature at the wrist")
schema.FIELDS = (*schema.FIELDS, row)
schema.FIELD_NAMES = tuple(f.name for f in schema.FIELDS)
schema.FLOAT_FIELDS = tuple(f for f in schema.FIELDS if f.kind == "float")

# what is imported from here on sees a table of fields with one more row
import numpy as np
import pyarrow as pa

from activitymodule.settings import Telemetry
from activitymodule.synthesis.messages import _layout
from activitymodule.telemetry.cleaning import clean
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.encode import messages
from activitymodule.telemetry.sources.base import chunk_table

NOW_US = 1_790_000_000_000_000


def decoded(*texts):
    return decode_messages(pa.array([t.encode() for t in texts]), now_us=NOW_US, limits=Telemetry())


sent = \'{"device_id":"a","stamp":1789999999000,"skin_temperature":%s}\'
both = decoded(sent % 31.5, sent % 99)
again = decoded(*(value.decode() for value in messages(both.readings, 1).value))
stamps = np.array([NOW_US - 1_000_000])
chunk = chunk_table({"stamp": stamps, "steps": np.ones(1), "skin_temperature": np.array([99.0])}, "p", "a", 1)
cleaned, _, noticed = clean(chunk, NOW_US)
_, template = _layout(3)
print(json.dumps({
    "spark": schema.spark_schema().split(", ")[-1],
    "json": schema.reading_schema()["properties"]["skin_temperature"],
    "document": schema.fields_table().splitlines()[-1],
    "decoded": both.readings.column("skin_temperature").to_pylist(),
    "rejected": both.dead.column("reason").to_pylist(),
    "encoded": again.readings.column("skin_temperature").to_pylist(),
    "cleaned": [cleaned.column("skin_temperature").to_pylist(), noticed],
    "synthesised": template["@skin_temperature"][0].decode(),
}))
"""


def test_a_new_field_needs_no_other_edit(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "spark": "skin_temperature float",
        "json": {
            "type": ["number", "null"],
            "minimum": -40,
            "maximum": 60,
            "description": "temperature at the wrist (degrees C)",
        },
        "document": "| `skin_temperature` | degrees C | -40 to 60 | temperature at the wrist |",
        "decoded": [31.5],
        "rejected": ["out_of_range"],
        "encoded": [31.5],
        "cleaned": [[None], {"impossible_value:skin_temperature": 1}],
        "synthesised": "null",
    }
