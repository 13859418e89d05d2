"""Personal data from a command to the rows, the relay and the end, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from cqrs_ddd_advanced_core import EventSourcedRepository
from cqrs_ddd_advanced_core.codecs import (
    AesGcmCodec,
    EncodedEventStore,
    EncodedOutboxStorage,
    KeyRing,
    PayloadCodecs,
    Personal,
    PersonalDataCodec,
    PersonalDataService,
    Shredded,
    SubjectKeys,
    ZstdCodec,
)
from cqrs_ddd_advanced_core.codecs.exceptions import SubjectShreddedError
from cqrs_ddd_advanced_core.domain import EventSourcedAggregateMixin
from cqrs_ddd_advanced_core.event_sourcing.archive import StreamArchiver
from cqrs_ddd_advanced_core.event_sourcing.archived_store import ArchivedEventStore
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.upcasting import EventUpcaster, UpcasterRegistry
from cqrs_ddd_core import (
    AggregateRoot,
    Command,
    DomainEvent,
    EventTypeRegistry,
    HandlerRegistry,
    Mediator,
)
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.outbox import OutboxService
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventArchive,
    SQLAlchemyEventStore,
    SQLAlchemyOutboxStorage,
    SQLAlchemySnapshotStore,
    SQLAlchemySubjectKeyStore,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine

KEY: Final = KeyRing.generate_key()
RING: Final = KeyRing({"k": KEY})
SECRET: Final = "anna@example.com"


class CustomerRegistered(DomainEvent):
    email: Personal[str]
    plan: str = "free"


class EmailChanged(DomainEvent):
    email: Personal[str]


class Customer(EventSourcedAggregateMixin, AggregateRoot[str]):
    email: str | Shredded
    plan: str = "free"

    @classmethod
    def register(cls, customer_id: str, email: str) -> Self:
        customer = cls.blank(customer_id)
        customer.raise_event(CustomerRegistered(email=email))
        return customer

    def change_email(self, email: str) -> None:
        self.raise_event(EmailChanged(email=email))

    def apply_customer_registered(self, event: CustomerRegistered) -> None:
        self.email, self.plan = event.email, event.plan

    def apply_email_changed(self, event: EmailChanged) -> None:
        self.email = event.email


class Register(Command[None]):
    customer_id: str
    email: str


class ChangeEmail(Command[None]):
    customer_id: str
    email: str


class Broker(IMessagePublisher):
    def __init__(self) -> None:
        self.messages: list[OutboxMessage] = []

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        self.messages += messages
        return [None] * len(messages)


class App:
    """One process: everything an application wires together."""

    def __init__(self, engine: AsyncEngine, *, archived: bool = False) -> None:
        self.engine = engine
        self.events = EventTypeRegistry()
        self.events.register(CustomerRegistered)
        self.events.register(EmailChanged)
        keys = SubjectKeys(SQLAlchemySubjectKeyStore(engine), RING, cache_seconds=0)
        personal_data = PersonalDataCodec(self.events, keys)
        codecs = PayloadCodecs([ZstdCodec(), AesGcmCodec(RING)])
        self.rows = SQLAlchemyEventStore(engine)
        self.archive = SQLAlchemyEventArchive(engine)
        below = ArchivedEventStore(self.rows, self.archive) if archived else self.rows
        self.store = EncodedEventStore(below, codecs, personal_data=personal_data)
        self.outbox = EncodedOutboxStorage(
            SQLAlchemyOutboxStorage(engine), codecs, personal_data=personal_data
        )
        self.snapshot_rows = SQLAlchemySnapshotStore(engine)
        self.snapshots = SnapshotStore(self.snapshot_rows, EveryNEventsStrategy(frequency=1))
        self.customers = EventSourcedRepository(
            self.store, Customer, self.events, snapshot_store=self.snapshots
        )
        self.service = PersonalDataService(self.store, snapshots=self.snapshot_rows)
        registry = HandlerRegistry()
        registry.register_command_handler(Register, self._register)
        registry.register_command_handler(ChangeEmail, self._change_email)
        self.mediator = Mediator(
            registry, self.unit_of_work, event_store=self.store, outbox=self.outbox
        )

    def unit_of_work(self) -> SQLAlchemyUnitOfWork:
        return SQLAlchemyUnitOfWork(self.engine)

    async def _register(self, command: Register) -> None:
        await self.customers.save(Customer.register(command.customer_id, command.email))

    async def _change_email(self, command: ChangeEmail) -> None:
        customer = await self.customers.get(command.customer_id)
        customer.change_email(command.email)
        await self.customers.save(customer)

    async def append(self, customer_id: str, *emails: str) -> None:
        events = [serialize_event(CustomerRegistered(email=email)) for email in emails]
        await self.store.append(StreamId("Customer", customer_id), events)

    async def emails(self, customer_id: str) -> list[Any]:
        stored = await self.store.get_events(StreamId("Customer", customer_id))
        return [event.payload["email"] for event in stored]


@pytest.fixture
def app(engine: AsyncEngine) -> App:
    return App(engine)


async def test_a_customer_from_command_to_erasure(app: App, engine: AsyncEngine) -> None:
    await app.mediator.send(Register(customer_id="c-1", email=SECRET))
    await app.mediator.send(ChangeEmail(customer_id="c-1", email=f"2.{SECRET}"))
    assert (await app.customers.get("c-1")).email == f"2.{SECRET}"
    assert not await _found_in(engine, SECRET, "cqrs_events", "cqrs_outbox", "cqrs_subject_keys")

    broker = Broker()
    await OutboxService(app.outbox, broker).process_batch()
    assert [SECRET.encode() in message.payload for message in broker.messages] == [True, True]

    await app.snapshots.drain()
    assert await app.snapshot_rows.get_snapshot_count() > 0
    async with app.unit_of_work():
        await app.service.shred("c-1")
    assert await app.snapshot_rows.get_snapshot_count() == 0
    forgotten = await App(engine).customers.get("c-1")
    assert (forgotten.email, forgotten.plan, forgotten.version) == (Shredded("c-1"), "free", 2)
    with pytest.raises(SubjectShreddedError):
        await app.mediator.send(ChangeEmail(customer_id="c-1", email=SECRET))
    assert await app.store.get_stream_version(StreamId("Customer", "c-1")) == 2
    values = [value.value async for value in app.service.export("c-1")]
    assert values == [Shredded("c-1")] * 2


async def test_a_refused_command_leaves_no_key(app: App) -> None:
    async with rolled_back(app.unit_of_work):
        await app.append("c-1", "lost")
        assert await app.emails("c-1") == ["lost"]
    assert await SQLAlchemySubjectKeyStore(app.engine).find(["c-1"]) == {}
    await app.append("c-1", "kept")
    assert await App(app.engine).emails("c-1") == ["kept"]


async def test_archived_events_stay_encrypted_and_can_be_shredded(engine: AsyncEngine) -> None:
    app, stream = App(engine, archived=True), StreamId("Customer", "c-1")
    await app.append("c-1", f"1.{SECRET}", f"2.{SECRET}", f"3.{SECRET}")
    assert await StreamArchiver(app.rows, app.archive, app.unit_of_work).archive(stream) == 2
    assert not await _found_in(engine, SECRET, "cqrs_event_archive")
    assert await app.emails("c-1") == [f"1.{SECRET}", f"2.{SECRET}", f"3.{SECRET}"]
    assert len([value async for value in app.service.export("c-1")]) == 3
    await app.service.shred("c-1")
    assert await app.emails("c-1") == [{"$shredded": "c-1"}] * 3


async def test_upcasters_see_values_and_markers(app: App) -> None:
    class Renamed(EventUpcaster):
        event_type = "CustomerRegistered"
        source_version = 1

        def upcast(self, data: dict[str, Any]) -> dict[str, Any]:
            seen.append(data["email"])
            return {"mail": data["email"]}

    class CustomerRegisteredToday(DomainEvent):
        event_type = "CustomerRegistered"
        schema_version = 2
        mail: Personal[str]

    class Today(EventSourcedAggregateMixin, AggregateRoot[str]):
        aggregate_type = "Customer"
        mail: str | Shredded

        def apply_customer_registered(self, event: CustomerRegisteredToday) -> None:
            self.mail = event.mail

    seen: list[Any] = []
    upcasters, events = UpcasterRegistry(), EventTypeRegistry()
    upcasters.register(Renamed())
    events.register(CustomerRegisteredToday)
    repository = EventSourcedRepository(app.store, Today, events, upcaster_registry=upcasters)
    await app.append("c-1", SECRET)
    assert (await repository.get("c-1")).mail == SECRET
    await app.service.shred("c-1")
    assert (await repository.get("c-1")).mail == Shredded("c-1")
    assert seen == [SECRET, {"$shredded": "c-1"}]


async def test_appends_that_race_with_a_shred_fail_or_are_read_as_markers(app: App) -> None:
    for number in range(20):
        await app.append(f"c-{number}", "first")
    written: set[str] = set()

    async def write(customer_id: str) -> None:
        await asyncio.sleep(random.random() * 0.02)  # noqa: S311
        try:
            async with app.unit_of_work():
                await app.append(customer_id, "second")
            written.add(customer_id)
        except SubjectShreddedError:
            pass

    async def shred(customer_id: str) -> None:
        await asyncio.sleep(random.random() * 0.02)  # noqa: S311
        assert await app.service.shred(customer_id)

    names = [f"c-{number}" for number in range(20)]
    await asyncio.gather(*map(write, names), *map(shred, names))
    for name in names:
        count = 2 if name in written else 1
        assert await app.emails(name) == [{"$shredded": name}] * count


async def test_shreds_that_race_with_the_first_append_win(app: App) -> None:
    async def write(customer_id: str) -> None:
        try:
            await app.append(customer_id, "first")
        except SubjectShreddedError:
            assert await app.emails(customer_id) == []

    names = [f"c-{number}" for number in range(20)]
    await asyncio.gather(*map(write, names), *map(app.service.shred, names))
    for name in names:
        assert set(map(str, await app.emails(name))) <= {str({"$shredded": name})}


class TestStatements:
    """How often PostgreSQL is asked."""

    async def _run(self, app: App, *work: Any) -> list[str]:
        seen: list[str] = []
        async with app.unit_of_work() as uow:
            driver = (await uow.driver_connection()).driver
            driver.add_query_logger(lambda record: seen.append(record.query))
            for step in work:
                await step
        return [query.split()[0] for query in seen if "cqrs_subject_keys" in query]

    async def test_a_stream_of_any_length_asks_for_its_keys_once(
        self, postgres_engine: AsyncEngine
    ) -> None:
        app = App(postgres_engine)
        await app.append("c-1", *map(str, range(200)))
        assert await self._run(app, app.emails("c-1")) == ["SELECT"]

    async def test_a_known_subject_is_asked_for_once_in_a_unit_of_work(
        self, postgres_engine: AsyncEngine
    ) -> None:
        app = App(postgres_engine)
        await app.append("c-1", "first")
        asked = await self._run(app, *(app.append("c-1", text) for text in "abc"))
        assert asked == ["SELECT"]

    async def test_a_new_subject_is_made_once(self, postgres_engine: AsyncEngine) -> None:
        app = App(postgres_engine)
        asked = await self._run(app, *(app.append("c-1", text) for text in "abc"))
        assert asked == ["SELECT", "INSERT", "SELECT"]

    async def test_a_page_of_many_subjects_asks_once(self, postgres_engine: AsyncEngine) -> None:
        app = App(postgres_engine)
        for number in range(50):
            await app.append(f"c-{number}", "text")
        found: list[int] = []

        async def read() -> None:
            found.append(len((await app.store.read_page()).events))

        assert await self._run(app, read()) == ["SELECT"]
        assert found == [50]


# Appends to the streams of customers that another process appends to at the same time.
PROCESS: Final = """
import asyncio, base64, sys
from cqrs_ddd_advanced_core.codecs import *
from cqrs_ddd_core import DomainEvent, EventTypeRegistry
from cqrs_ddd_core.cqrs.event_serializer import serialize_event
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_persistence_sqlalchemy import *

class CustomerRegistered(DomainEvent):
    email: Personal[str]
    plan: str = "free"

class Crash(Exception): pass

async def write(engine, store, number, fails):
    try:
        async with SQLAlchemyUnitOfWork(engine):
            event = serialize_event(CustomerRegistered(email="text"))
            await store.append(StreamId("Customer", f"c-{number}"), [event])
            if fails:
                raise Crash
    except Crash:
        await write(engine, store, number, False)

async def main():
    engine = create_engine(sys.argv[1])
    registry = EventTypeRegistry()
    registry.register(CustomerRegistered)
    ring = KeyRing({"k": base64.b64decode(sys.argv[2])})
    keys = SubjectKeys(SQLAlchemySubjectKeyStore(engine), ring)
    store = EncodedEventStore(
        SQLAlchemyEventStore(engine), personal_data=PersonalDataCodec(registry, keys)
    )
    sys.stdin.readline()
    await asyncio.gather(*(write(engine, store, n // 2, n % 3 == 0) for n in range(40)))
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_write_the_first_event_of_a_subject_share_its_key(
    app: App, engine: AsyncEngine
) -> None:
    url, key = engine.url.render_as_string(hide_password=False), b64encode(KEY).decode()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROCESS, url, key, stdin=PIPE, stderr=PIPE
        )
        for _ in range(2)
    ]
    told = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [errors for _, errors in told] == [b"", b""]
    for number in range(20):
        assert await app.emails(f"c-{number}") == ["text"] * 4


async def _found_in(engine: AsyncEngine, text: str, *tables: str) -> bool:
    async with engine.connect() as connection:
        for table in tables:
            rows = (await connection.exec_driver_sql(f"SELECT * FROM {table}")).all()  # noqa: S608
            assert rows, table
            if any(text in str(value) for row in rows for value in row):
                return True
    return False
