"""Rendering: answers, hooks, interruptions, updates."""
