"""Shared by tests, benchmarks and load: rendering a service, running it, and running its dependencies."""
