"""Message brokers for cqrs-ddd, RabbitMQ first."""
