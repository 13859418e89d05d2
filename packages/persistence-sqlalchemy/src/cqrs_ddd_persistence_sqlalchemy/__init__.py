"""PostgreSQL and SQLite adapters for cqrs-ddd, built on SQLAlchemy 2."""
