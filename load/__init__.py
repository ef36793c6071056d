"""A rendered service under load while its dependencies fail: `make load`."""
