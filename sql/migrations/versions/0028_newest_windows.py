"""The newest window of each watch by one look-up a watch and day; views that read fewer rows by it."""

from pathlib import Path

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _run(".sql")


def downgrade() -> None:
    _run(".down.sql")


def _run(suffix: str) -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(suffix).read_text(encoding="utf-8"))
