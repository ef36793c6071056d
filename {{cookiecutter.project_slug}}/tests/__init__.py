"""The service's own tests, a module for each of its modules."""
