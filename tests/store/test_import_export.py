"""Annotations out of the store and into it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from queued import MINUTES, fill, state

from activitymodule.store import import_export, items

pytestmark = pytest.mark.integration


def test_import_adds_once_and_closes_the_item(opened: Any) -> None:
    (number,) = fill(opened, 1)
    item = items.get_item(opened, number)
    known = import_export.Imported(item.device_id, item.window_start, item.window_end, "outside", "walking")
    unknown = replace(known, device_id="elsewhere", window_start=item.window_start - timedelta(days=1))
    first = import_export.import_labels(opened, [known, unknown], minutes=MINUTES)
    again = import_export.import_labels(opened, [known, unknown], minutes=MINUTES)
    assert (first.added, first.known, first.unmatched) == (2, 0, 1)
    assert (again.added, again.known) == (0, 2)
    assert state(opened, number) == "answered"
    assert len(import_export.exported(opened)) == 2
