"""The machinery of the service: it handles requests on the event loop. It imports nothing of the service."""
