"""Tokens have devices and expire; users of a sign-on provider are known by its subject."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    # a token of one device must not become one of all
    op.execute("UPDATE ingest_tokens SET revoked_at = now() WHERE devices <> '{}' AND revoked_at IS NULL")
    op.execute("ALTER TABLE ingest_tokens DROP COLUMN devices, DROP COLUMN expires_at")
    op.execute("ALTER TABLE users DROP COLUMN subject")
