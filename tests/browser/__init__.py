"""What a browser sees of a service."""
