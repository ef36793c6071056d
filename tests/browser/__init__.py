"""Services in a real browser."""
