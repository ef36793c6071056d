"""Loads a rendered service while its dependencies fail: `make load`."""
