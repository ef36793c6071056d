"""Rendered services: their files, their own checks, and what clients get of them."""
