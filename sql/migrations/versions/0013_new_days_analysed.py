"""Statistics for a new day of predictions as soon as it has rows."""

from contextlib import closing
from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _run(".sql")


def downgrade() -> None:
    _run(".down.sql")


def _run(suffix: str) -> None:
    # by a cursor of the driver, so that SQLAlchemy does not look for bound values in it
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(Path(__file__).with_suffix(suffix).read_text(encoding="utf-8"))
