"""A WebSocket's way to its consumer."""
