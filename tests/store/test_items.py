"""Queue items as they are shown, without a service."""

from __future__ import annotations

import numpy as np

from activitymodule.store.items import floats_of


def test_floats_of_an_array_as_postgresql_sends_it() -> None:
    header = np.array([1, 0, 700, 2, 1], ">i4").tobytes()
    body = b"".join(np.array([4], ">i4").tobytes() + np.array([v], ">f4").tobytes() for v in (1.5, np.nan))
    np.testing.assert_array_equal(floats_of(header + body), np.array([1.5, np.nan], np.float32))
    assert len(floats_of(np.array([0, 0, 700], ">i4").tobytes())) == 0
