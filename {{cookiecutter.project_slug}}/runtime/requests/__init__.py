"""A request's way through Django."""
