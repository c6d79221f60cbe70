"""the operation of a job.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("jobs", sa.Column("operation", sa.String(length=200), server_default="Backup", nullable=False))


def downgrade() -> None:
    """Go back, in place: a batch would make the table anew, and with the old one would go the runs."""
    op.drop_column("jobs", "operation")
