"""codes and parameters of stored errors, beside their English sentences.

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = (
    ("rejected_reports", "reason_details"),
    ("servers", "collect_error_details"),
    ("tasks", "last_error_details"),
)


def upgrade() -> None:
    """Upgrade. Errors stored before have no details, and pages show their sentences."""
    for table, column in COLUMNS:
        op.add_column(table, sa.Column(column, sa.Text(), nullable=True))


def downgrade() -> None:
    """Downgrade. The sentences stay."""
    for table, column in reversed(COLUMNS):
        op.drop_column(table, column)
