"""What the owner of the service edits first."""
