"""Faults: what takes long, run by `make faults`."""
