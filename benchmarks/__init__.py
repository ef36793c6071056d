"""A rendered service beside its peers: `make benchmark`."""
