"""Two read models, kept up to date by event handlers in the transaction of the command.

Money is kept in cents: SQLite has no exact decimal, and integers add up exactly everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Column, Date, MetaData, Table, Text, text

from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from sqlalchemy import Executable

    from record_store.customer import CustomerJoined
    from record_store.purchase import PurchaseRecorded

__all__ = ["add_customer", "add_to_customer", "add_to_month", "customers", "metadata", "months"]

metadata = MetaData()

customers = Table(
    "record_store_customers",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("joined_on", Date, nullable=False),
    Column("purchases", BigInteger, nullable=False, default=0),
    Column("units", BigInteger, nullable=False, default=0),
    Column("cents", BigInteger, nullable=False, default=0),
)

months = Table(
    "record_store_months",
    metadata,
    Column("month", Text, primary_key=True),
    Column("purchases", BigInteger, nullable=False),
    Column("cents", BigInteger, nullable=False),
)

_ADD_CUSTOMER: Final = customers.insert()
_ADD_TO_CUSTOMER: Final = text("""
    UPDATE record_store_customers
    SET purchases = purchases + 1, units = units + :units, cents = cents + :cents
    WHERE customer_id = :customer_id
""")
_ADD_TO_MONTH: Final = text("""
    INSERT INTO record_store_months (month, purchases, cents) VALUES (:month, 1, :cents)
    ON CONFLICT (month) DO UPDATE SET
        purchases = record_store_months.purchases + 1,
        cents = record_store_months.cents + excluded.cents
""")


async def add_customer(event: CustomerJoined) -> None:
    """Begin the totals of a customer."""
    await _execute(_ADD_CUSTOMER, customer_id=event.customer_id, joined_on=event.joined_on)


async def add_to_customer(event: PurchaseRecorded) -> None:
    """Add a purchase to the totals of its customer."""
    await _execute(
        _ADD_TO_CUSTOMER,
        customer_id=event.customer_id,
        units=event.units,
        cents=_cents(event),
    )


async def add_to_month(event: PurchaseRecorded) -> None:
    """Add a purchase to the revenue of its month."""
    month = event.purchased_on.isoformat()[:7]
    await _execute(_ADD_TO_MONTH, month=month, cents=_cents(event))


def _cents(event: PurchaseRecorded) -> int:
    return int(event.amount * 100)


async def _execute(statement: Executable, **values: object) -> None:
    """Run a statement in the transaction of the command whose event is being handled."""
    connection = await SQLAlchemyUnitOfWork.current().connection()
    await connection.execute(statement, values)
