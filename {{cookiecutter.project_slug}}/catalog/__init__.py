"""The sample app: products."""
