"""PostgreSQL: connection pool, locks, a server for development."""
