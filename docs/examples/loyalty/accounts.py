"""The accounts, and a ledger with a line for each purchase, in the order they were handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, Uuid, text

from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyUnitOfWork
from loyalty.points import points_for

if TYPE_CHECKING:
    from loyalty.purchase_announced import PurchaseAnnounced

__all__ = ["accounts", "earn", "ledger", "metadata"]

metadata = MetaData()

accounts = Table(
    "loyalty_accounts",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("points", BigInteger, nullable=False),
)

# No unique index on the purchase: were one counted twice, it could be seen here.
ledger = Table(
    "loyalty_ledger",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("purchase_id", Uuid, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
)

_ADD: Final = text("""
    INSERT INTO loyalty_accounts (customer_id, points) VALUES (:customer_id, :points)
    ON CONFLICT (customer_id) DO UPDATE SET points = loyalty_accounts.points + excluded.points
""")


async def earn(event: PurchaseAnnounced) -> None:
    """Add the points of a purchase, in the transaction that marks its message as handled."""
    connection = await SQLAlchemyUnitOfWork.current().connection()
    account = accounts.select().where(accounts.c.customer_id == event.customer_id)
    found = (await connection.execute(account)).one_or_none()
    points = points_for(event.amount, balance=0 if found is None else found.points)
    earned = {"customer_id": event.customer_id, "points": points}
    await connection.execute(_ADD, earned)
    await connection.execute(ledger.insert().values(purchase_id=event.purchase_id, **earned))
