"""A rebuild of read models while the shop is open and processes are killed; see record_store."""
