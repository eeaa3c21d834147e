"""Which predictions are decided: precise enough by the thresholds of their version."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _run(".sql")


def downgrade() -> None:
    _run(".down.sql")


def _run(suffix: str) -> None:
    # by a cursor of the driver: exec_driver_sql would take the % of format() for bound values
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_suffix(suffix).read_text(encoding="utf-8"))
