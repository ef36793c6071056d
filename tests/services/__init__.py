"""Rendered services: their files, their own checks, and their responses to clients."""
