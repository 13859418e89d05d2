"""The story: six weeks of a small bank."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from bank import first_release
from bank.account import Account
from bank.commands import Deposit, Transfer, Withdraw
from bank.telling import chapter, say, show_table
from cqrs_ddd_advanced_core import EventSourcedRepository
from cqrs_ddd_advanced_core.event_sourcing import EventSourcedLoader
from cqrs_ddd_core import InvariantViolationError, StreamId, message_context
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import EventFilter

if TYPE_CHECKING:
    from bank.opening import Bank
    from cqrs_ddd_core.primitives import FixedClock

__all__ = ["tell"]

ADA = StreamId(Account.aggregate_type, "ada")


@dataclass(frozen=True)
class Teller:
    """Tells the story of one bank, on days of its own choice."""

    bank: Bank
    clock: FixedClock

    def on(self, month: int, day: int, hour: int = 9) -> None:
        """Move the clock to an hour of 2026."""
        then = datetime(2026, month, day, hour, tzinfo=UTC)
        self.clock.advance((then - self.clock.now()).total_seconds())

    async def balances(self) -> None:
        """Show all accounts as they are now."""
        accounts = [account async for account in self.bank.accounts.get_all()]
        rows = [(one.owner, one.balance, one.version) for one in accounts]
        show_table(("owner", "balance", "events"), rows)


async def tell(bank: Bank, clock: FixedClock) -> None:
    """Tell all chapters, in order; each goes on where the one before ended."""
    teller = Teller(bank, clock)
    await the_first_release(teller)
    await the_second_release(teller)
    await a_transfer(teller)
    await a_mistake(teller)
    await two_tellers(teller)
    await a_snapshot(teller)
    await last_tuesday(teller)
    await why(teller)


async def the_first_release(teller: Teller) -> None:
    chapter("January: the first release counts in cents")
    accounts = EventSourcedRepository(teller.bank.events, first_release.Account)
    for name, day, cents in (("Ada", 5, 150_000), ("Ben", 7, 20_000)):
        teller.on(1, day)
        account = first_release.Account.open(name.lower(), name, at=teller.clock.now())
        account.deposit(cents, at=teller.clock.now())
        await accounts.save(account)
    teller.on(1, 9)
    ada = await accounts.get("ada")
    ada.withdraw(4_250, at=teller.clock.now())
    await accounts.save(ada)
    rows = [(one.owner, f"{one.cents} cents", one.version) async for one in accounts.get_all()]
    show_table(("owner", "balance", "events"), rows)


async def the_second_release(teller: Teller) -> None:
    chapter("February: the second release counts in euros")
    teller.on(2, 2)
    salary = Deposit(account_id="ada", amount=Decimal("2400.00"), note="salary")
    await teller.bank.mediator.send(salary)
    stored = await teller.bank.events.get_events(ADA)
    read = [serialize_event(event) async for event in teller.bank.past.get_history(Account, "ada")]
    show_table(
        ("event", "stored as", "", "read as", ""),
        [
            (
                old.event_type,
                f"v{old.schema_version}",
                old.payload_bytes.decode(),
                f"v{new.schema_version}",
                new.payload.decode(),
            )
            for old, new in zip(stored, read, strict=True)
        ],
    )
    say("No stored event was touched, and the balances are those of January and the salary:")
    await teller.balances()


async def a_transfer(teller: Teller) -> None:
    chapter("Two accounts in one command")
    teller.on(2, 3)
    with message_context(user_id="ada", correlation_id="rent-february"):
        await teller.bank.mediator.send(
            Transfer(
                command_id=_known_id("rent-february"),
                sender="ada",
                receiver="ben",
                amount=Decimal("1200.00"),
                note="rent",
            )
        )
    say("Ada pays the rent, and a fee because it is so much:")
    await teller.balances()
    try:
        await teller.bank.mediator.send(
            Transfer(sender="ben", receiver="ada", amount=Decimal("5000.00"), note="boat")
        )
    except InvariantViolationError as error:
        say(f"Refused, and neither account was changed: {error}")


async def a_mistake(teller: Teller) -> None:
    chapter("A mistake is undone")
    bank = teller.bank
    teller.on(2, 4)
    with message_context(user_id="ada"):
        wrong = Transfer(sender="ada", receiver="ben", amount=Decimal("300.00"), note="gift")
        token = await bank.undoing.execute(wrong)
        await teller.balances()
        teller.on(2, 5)
        say("The gift was not for Ben. Undone:")
        await bank.undoing.undo(token)
        await teller.balances()
        again = await bank.undoing.undo(token)
        say(f"Undoing it twice changes nothing: replayed={again.replayed}")
        lunch = Transfer(
            command_id=_known_id("lunch"),
            sender="ada",
            receiver="ben",
            amount=Decimal("50.00"),
            note="lunch",
        )
        token = await bank.undoing.execute(lunch)
    everything = (await bank.accounts.get("ben")).balance
    await bank.mediator.send(Withdraw(account_id="ben", amount=everything, note="cash"))
    decision = await bank.undoing.can_undo(token)
    say(f"Can the lunch be undone? {decision.allowed}: {decision.reason}")


async def two_tellers(teller: Teller) -> None:
    chapter("Two tellers have the same account on their screens")
    accounts, at = teller.bank.accounts, teller.clock.now()
    first, second = await accounts.get("ben"), await accounts.get("ben")
    first.deposit(Decimal("80.00"), "cash", at=at)
    second.deposit(Decimal("20.00"), "coins", at=at)
    await accounts.save(first)
    await accounts.save(second)
    say("The second one had not seen the first deposit. Deposits commute, so both are stored:")
    await teller.balances()


async def a_snapshot(teller: Teller) -> None:
    chapter("A snapshot after every ten events")
    bank = teller.bank
    for day in range(6, 16):
        teller.on(2, day, hour=8)
        coffee = Withdraw(account_id="ada", amount=Decimal("2.80"), note="coffee")
        with message_context(user_id="ada"):
            await bank.mediator.send(coffee)
        await bank.snapshots.drain()
    snapshot = await bank.snapshots.store.get_latest_snapshot(ADA)
    from_snapshot = await bank.accounts.get("ada")
    every_event = EventSourcedLoader(Account, bank.events, upcaster_registry=bank.upcasters)
    from_all_events = await every_event.load("ada")
    if snapshot is None or from_all_events is None:
        msg = "Ada has more than ten events"
        raise AssertionError(msg)
    show_table(
        ("loaded from", "events replayed", "balance"),
        [
            ("all events", from_all_events.version, from_all_events.balance),
            (
                f"the snapshot at version {snapshot.version}",
                from_snapshot.version - snapshot.version,
                from_snapshot.balance,
            ),
        ],
    )


async def last_tuesday(teller: Teller) -> None:
    chapter("What did the account look like last Tuesday, and why?")
    teller.on(2, 16)
    now = teller.clock.now()
    tuesday = now - timedelta(days=6)
    moments = [tuesday - timedelta(weeks=weeks) for weeks in (5, 1, 0)]
    states = [await teller.bank.past.get_state_at(Account, "ada", moment) for moment in moments]
    rows = [
        (f"{moment:%A %d %B %H:%M}", state.balance, state.version)
        for moment, state in zip(moments, states, strict=True)
        if state is not None
    ]
    show_table(("at", "balance", "events"), rows)
    say("The week before, as it was recorded:")
    week = EventFilter(occurred_from=moments[1], occurred_until=tuesday)
    async for entry in teller.bank.past.get_audit_entries(Account, "ada", event_filter=week):
        say(f"  {entry} by {entry.user_id or 'the bank'}")


async def why(teller: Teller) -> None:
    chapter("What came of paying the rent")
    tree = await teller.bank.past.get_causation_tree("rent-february")
    say(tree.to_mermaid())


def _known_id(name: str) -> UUID:
    """Return the id of a command that the story shows: the same whenever it is told."""
    return uuid5(NAMESPACE_URL, f"bank/{name}")
