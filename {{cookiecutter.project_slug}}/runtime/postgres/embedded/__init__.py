"""A real PostgreSQL server for development, from a wheel: no Docker and no installation.

The first connection starts it, so commands that need no database do not wait for it. It stops with the last process
that uses it. Its data stays in `DATABASES["default"]["DATA_DIRECTORY"]`.
"""
