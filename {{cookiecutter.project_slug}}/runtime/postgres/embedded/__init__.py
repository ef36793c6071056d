"""A real PostgreSQL for development, from a wheel: no Docker, no installation, gone when its last user leaves.

Its data stays in `DATABASES["default"]["DATA_DIRECTORY"]`. Nothing starts before the first query, so commands that need
no database do not wait for one.
"""
