"""The tests of the machinery. Their folders mirror its packages."""
