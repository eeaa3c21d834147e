"""The groups by which reports divide watches: device model, and age band of the wearer."""

from __future__ import annotations

from collections.abc import Sequence

from activitymodule.models.evaluation.slices import AGE_BAND, DEVICE_MODEL, age_band
from activitymodule.store.connection import Connection
from activitymodule.store.devices import models_for
from activitymodule.store.people import people_for


def groups_for(connection: Connection, device_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Kind of group -> device id -> group, of these watches as far as it is known."""
    ids = sorted(set(device_ids))
    models = {device: known.model for device, known in models_for(connection, ids).items()}
    bands = {
        device: band
        for device, person in people_for(connection, ids).items()
        if (band := age_band(person.age_years))
    }
    return {DEVICE_MODEL: models, AGE_BAND: bands}
