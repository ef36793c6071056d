"""The configuration of the service: settings, URLs and the ASGI application."""
