"""Alembic's migrations of the store; `schema` runs them."""
