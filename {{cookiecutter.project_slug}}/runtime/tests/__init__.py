"""The tests of the machinery, which mirror its packages."""
