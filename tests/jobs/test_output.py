"""JSON, CSV and tables of the verbs, and the times that options take."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.store.values import FarDate, FarTime


def test_output_is_safe_for_terminals_and_scripts(capsys):
    assert output.safe("a\x1b[2J\n\x9b\x00ü") == "a\\x1b[2J\\n\\x9b\\x00ü"
    assert output.safe("abcdef", 4) == "abc…"
    assert output.jsonable(
        [float("inf"), float("nan"), Decimal("NaN"), Decimal("-Infinity"), b"\xff", timedelta(seconds=1.5)]
    ) == [
        None,
        None,
        None,
        None,
        "\\xff",
        1.5,
    ]
    output.print_csv(["a", "b"], [["x\ry", None], ['"', 1.5]])
    printed = io.StringIO(capsys.readouterr().out, newline="")
    assert list(csv.reader(printed)) == [["a", "b"], ["x\ry", ""], ['"', "1.5"]]
    output.print_table(["a"], [["[bold]not markup[/bold]"], [datetime(2026, 1, 2, tzinfo=UTC)]])
    assert "[bold]not markup[/bold]" in capsys.readouterr().out


def test_values_beyond_pythons_types_are_shown_as_psql_does():
    far = [FarTime("infinity"), FarDate("0044-03-15 BC"), float("nan"), Decimal("-Infinity")]
    assert [output.cell(value) for value in far] == ["infinity", "0044-03-15 BC", "NaN", "-Infinity"]
    assert output.jsonable(far[:2]) == ["infinity", "0044-03-15 BC"]


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30m", 1800), ("1.5h", 5400), ("7d", 7 * 86400), ("90s", 90), ("2026-11-20T10:00", None)],
)
def test_moments(text, ago):
    found = options.moment(text)
    if ago is None:
        assert found == datetime(2026, 11, 20, 10, tzinfo=UTC)
    else:
        assert (datetime.now(UTC) - found).total_seconds() == pytest.approx(ago, abs=5)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "٣m", "1e9d", f"{'9' * 400}d", "99999999999d", "0001-01-01T00:00+14:00", "\udcff"],
)
def test_no_moment(text):
    with pytest.raises(ConfigError):
        options.moment(text)
