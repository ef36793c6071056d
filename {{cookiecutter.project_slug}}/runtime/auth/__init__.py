"""Logging in: throttling, hashing, log lines, the admin's login page."""
