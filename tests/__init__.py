"""The tests of the template. CONTRIBUTING.md has a table of the folders."""
