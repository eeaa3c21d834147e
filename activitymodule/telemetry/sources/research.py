"""The reader of research devices' files, an optional package: a header and some blocks of a file at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from activitymodule.errors import ConfigError, DataError

try:
    import actfast as reader
except ModuleNotFoundError:
    reader: ModuleType | None = None  # type: ignore[no-redef]


@dataclass(frozen=True)
class Samples:
    """What the reader made of some blocks.

    time_us : int64 (n,), as the file has it; acceleration : float64 (n, 3), g, as the file has it; rotation : float64
    (n, 3), degrees/s, or None; blocks : how many could be read; about : metadata by section and name
    """

    time_us: np.ndarray
    acceleration: np.ndarray
    rotation: np.ndarray | None
    blocks: int
    about: Mapping[str, Mapping[str, str]]


def samples_of(data: bytes, what: object) -> Samples:
    """The samples in a file's header and some of its blocks; blocks that are damaged are left out.

    Raises ConfigError where the package is not installed, DataError where the reader rejects the data.
    """
    if reader is None:
        raise ConfigError(
            f"{what} needs the package actfast, which is not installed: pip install 'activitymodule[research]'"
        )
    with tempfile.NamedTemporaryFile(suffix=".part") as file:  # it reads from a path only
        file.write(data)
        file.flush()
        try:
            found = reader.read(file.name, lenient=True)
        except Exception as error:
            raise DataError(f"{what} cannot be read: {str(error)[:300]}") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # Rust's, which is no Exception
                raise
            raise DataError(f"{what} cannot be read: its reader failed ({str(error)[:200]})") from None
    fast, slow = found["timeseries"]["high_frequency"], found["timeseries"]["low_frequency"]
    turned = fast.get("gyroscope")
    return Samples(
        np.asarray(fast["datetime"]) // 1000,
        np.asarray(fast["acceleration"], np.float64).reshape(-1, 3),
        None if turned is None else np.asarray(turned, np.float64).reshape(-1, 3),
        len(slow["datetime"]),
        found["metadata"],
    )
