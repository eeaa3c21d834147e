"""Predictions in partitions of a day each: the table that is there becomes the first one, as it is."""

import sys
from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ROWS_A_SECOND = 1_500_000
_WORTH_A_WORD = 2_000_000


def upgrade() -> None:
    # the rows stay where they are; they are read once, to be sure of the partition's bounds
    rows = (
        op.get_bind()
        .exec_driver_sql("SELECT reltuples FROM pg_class WHERE oid = 'predictions'::regclass")
        .scalar()
    )
    if rows is not None and rows > _WORTH_A_WORD:
        sys.stderr.write(
            f"predictions become partitions by day: checking about {rows:,.0f} rows, some "
            f"{rows / _ROWS_A_SECOND:,.0f} seconds; nothing is copied, and interrupting it changes nothing\n"
        )
    _run(".sql")


def downgrade() -> None:
    _run(".down.sql")


def _run(suffix: str) -> None:
    # by a cursor of the driver, so that SQLAlchemy does not look for bound values in it
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_suffix(suffix).read_text(encoding="utf-8"))
