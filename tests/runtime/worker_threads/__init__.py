"""Checks of the threads that a service lends, which run inside a service."""
