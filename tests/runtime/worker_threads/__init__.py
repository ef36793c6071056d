"""Checks of a service's worker threads. They are copied into a rendered service and run there."""
