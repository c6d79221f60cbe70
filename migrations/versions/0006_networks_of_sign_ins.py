"""networks that people sign in from, and wrong passwords by name and network.

Revision: 0006, after 0005
"""

import ipaddress

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "sign_in_networks"


def upgrade() -> None:
    """Upgrade. The last sign-in of each account makes its network a known one; locks of before hold no more."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("failed_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("locked_until", sa.BigInteger(), nullable=True),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_networks")),
        sa.UniqueConstraint("username", "network", name=op.f("uq_sign_in_networks_username_network")),
    )
    op.create_index(op.f("ix_sign_in_networks_failed_at"), TABLE, ["failed_at"])
    _know_last_sign_ins()
    _clear_locks()


def downgrade() -> None:
    """Downgrade. A lock holds for the whole account then, so those of networks are not carried over."""
    op.drop_table(TABLE)
    _clear_locks()


def _know_last_sign_ins() -> None:
    users = sa.table("users", *(sa.column(name) for name in ("username", "last_login_at", "last_login_ip")))
    made = sa.table(TABLE, *(sa.column(name) for name in ("username", "network", "signed_in_at")))
    for username, at, address in op.get_bind().execute(sa.select(users)).all():
        network = _network_of(address or "")
        if at is not None and network:
            op.execute(made.insert().values(username=username, network=network, signed_in_at=at))


def _network_of(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _clear_locks() -> None:
    users = sa.table("users", sa.column("failed_login_attempts"), sa.column("locked_until"))
    op.execute(users.update().values(failed_login_attempts=0, locked_until=sa.null()))
