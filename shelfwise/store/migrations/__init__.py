"""Alembic's migrations of the record, run by `open_store`."""
