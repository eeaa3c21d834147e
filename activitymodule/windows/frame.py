"""The canonical frame: readings turned by the profile of their device model, the one place where that is done.

Everything that packs readings turns them here: the stream, the backfill, the REST interface, neighbours and training.
What is packed is in the canonical frame, and is never turned again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.telemetry.profiles import DeviceProfile, model_name, profile_of

_ACCELERATION, _ROTATION = slice(0, 3), slice(3, 6)


class KnownModel(NamedTuple):
    """The model of a watch by the store. decided : by a person, whose word counts more than that of a message."""

    model: str
    decided: bool


KnownModels = Mapping[str, KnownModel]
"""Device id -> its model, of the watches whose model is known."""
NO_MODELS: KnownModels = {}


def with_said(known: KnownModels, said: Mapping[str, str]) -> KnownModels:
    """The models of watches after messages have named some, by device; what a person has decided stays."""
    news = {
        device: KnownModel(model, False)
        for device, model in said.items()
        if (one := known.get(device)) is None or not one.decided
    }
    return {**known, **news} if news else known


def in_known_frame(device_models: Sequence[str | None]) -> np.ndarray:
    """Which windows are of a watch whose device model has a profile, so that they are in the canonical frame: bool
    (n_windows,). device_models : (n_windows,), None or '' where it is not known"""
    known = {one: bool(one) and profile_of(one) is not None for one in set(device_models)}
    return np.array([known[one] for one in device_models], bool)


class ReadingModels(NamedTuple):
    """The profile of each reading. code : int ndarray of shape (n,), index into profiles; profiles[0] is None."""

    code: np.ndarray
    profiles: Sequence[DeviceProfile | None]


def models_of(
    devices: pa.StringArray,
    device_code: np.ndarray,
    said: pa.DictionaryArray | None,
    known: KnownModels = NO_MODELS,
) -> ReadingModels | None:
    """The profiles of readings; None where no reading has to be turned.

    devices : the distinct devices; device_code : int ndarray of shape (n,), index into them; said : array of shape
    (n,), `device_model` as each reading has it, null where it says none. What a person has decided comes first, then
    what the reading says, then what its watch said before.
    """
    if said is None and not known:
        return None
    codes: dict[str, int] = {}
    profiles: list[DeviceProfile | None] = [None]

    def code_of(model: str | None) -> int:
        profile = profile_of(model)
        if profile is None or profile.axes.canonical:
            return 0
        if profile.id not in codes:
            codes[profile.id] = len(profiles)
            profiles.append(profile)
        return codes[profile.id]

    by_store = [known.get(device) for device in devices.to_pylist()]
    code = np.array([code_of(one.model if one else None) for one in by_store], np.int64)[device_code]
    if said is not None:
        of_text = np.array([*map(code_of, said.dictionary.to_pylist()), 0])
        decided = np.array([one is not None and one.decided for one in by_store], bool)
        text = _text_codes(said)
        code = np.where((text < 0) | decided[device_code], code, of_text[text])
    return ReadingModels(code, profiles) if code.any() else None


def said_models(devices: pa.StringArray, device_code: np.ndarray, said: pa.DictionaryArray) -> dict[str, str]:
    """Device id -> the model that the newest of its readings which name one names; names that are none are left out.

    Arguments as those of `models_of`, in the order of device and time.
    """
    text = _text_codes(said)
    speaks = np.flatnonzero(text >= 0)
    device = device_code[speaks]
    last = np.flatnonzero(np.diff(device, append=-1))
    names = [model_name(one) for one in said.dictionary.to_pylist()]
    newest = zip(devices.take(pa.array(device[last])).to_pylist(), text[speaks[last]].tolist(), strict=True)
    return {one: name for one, code in newest if (name := names[code]) is not None}


def _text_codes(said: pa.DictionaryArray) -> np.ndarray:
    """Index into the dictionary, int ndarray of shape (n,); -1 where nothing is said."""
    return np.asarray(pc.fill_null(said.indices, -1).to_numpy())


def turn(values: np.ndarray, models: ReadingModels | None) -> None:
    """Turn readings into the canonical frame, in place.

    values : float32 ndarray of shape (n, 3) or (n, n_channels), total acceleration first and then, where there are
    more channels, the rotation rate (packing.CHANNELS).
    """
    if models is None:
        return
    for code, profile in enumerate(models.profiles):
        if profile is None:
            continue
        rows = np.flatnonzero(models.code == code)
        axes = profile.axes
        values[rows, _ACCELERATION] = values[rows, _ACCELERATION][:, axes.order] * axes.signs
        if values.shape[1] > 3:
            # a rotation is a pseudovector: a mirrored frame sees it turn the other way
            signs = axes.signs * np.float32(axes.handedness)
            values[rows, _ROTATION] = values[rows, _ROTATION][:, axes.order] * signs


def turn_readings(values: np.ndarray, readings: pa.Table, known: KnownModels = NO_MODELS) -> None:
    """The same by the columns `device_id` and `device_model` of canonical readings, where these are there."""
    said = _encoded(readings, "device_model")
    if said is None and not known:
        return
    device = _encoded(readings, "device_id")
    if device is None:  # a table without devices, or of none
        device = pa.repeat(pa.scalar("", pa.string()), len(readings)).dictionary_encode()
    code = _text_codes(device)  # -1 takes the last device's; such a reading is refused by whoever groups them
    turn(values, models_of(device.dictionary, code, said, known))


def _encoded(readings: pa.Table, name: str) -> pa.DictionaryArray | None:
    """A column of text, encoded; None where it is absent or all null."""
    if name not in readings.column_names:
        return None
    column = readings.column(name)
    if column.null_count == len(column):
        return None
    text = column.cast(pa.string())
    one = text.chunk(0) if text.num_chunks == 1 else pa.concat_arrays(text.chunks)
    return one.dictionary_encode()
