"""Compares a rendered service with its peers: `make benchmark`."""
