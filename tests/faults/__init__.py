"""Slow tests of outages, restarts and hostile clients. `make faults` runs them."""
