"""MongoDB adapters for cqrs-ddd, on PyMongo's asynchronous client or Motor."""
