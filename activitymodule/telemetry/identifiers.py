"""The form of a device id: the one definition that messages, pushes, labels, schemas and REST share."""

from __future__ import annotations

import re
from typing import TypeGuard

DEVICE_ID = r"[A-Za-z0-9._:-]{1,128}"
"""Regular expression of a device id, not anchored; valid for Python, RE2 and JSON Schema alike."""

WHOLE_DEVICE_ID = f"^{DEVICE_ID}$"
"""The same, anchored, for what searches: JSON Schema, OpenAPI, Arrow and Pandera."""

DEVICE_ID_TEXT = "1 to 128 letters, digits or . _ : -"
"""The form in words, for messages and documents."""

_DEVICE_ID = re.compile(DEVICE_ID)


def is_device_id(value: object) -> TypeGuard[str]:
    """Whether a value is a string of the form of a device id."""
    return isinstance(value, str) and _DEVICE_ID.fullmatch(value) is not None
