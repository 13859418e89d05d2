"""The record store and the loyalty service through kills and cuts; see docs/examples/loyalty."""
