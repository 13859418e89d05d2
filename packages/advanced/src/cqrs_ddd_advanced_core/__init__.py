"""Event sourcing, projections, sagas, scheduling and undo on top of cqrs-ddd-core."""
