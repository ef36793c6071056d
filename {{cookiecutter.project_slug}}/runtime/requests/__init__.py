"""Handles HTTP requests, from the ASGI application to the view and back."""
