"""What keeps the service's requests on the event loop. It knows nothing of the service itself."""
