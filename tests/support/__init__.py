"""Shared by several folders of tests."""
