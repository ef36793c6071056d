"""How hard tests search for rare failures: `pytest --effort 5` tries five times as often."""

_effort = 1


def set_effort(effort: int) -> None:
    """Set the effort of this run (see `tests/conftest.py`)."""
    global _effort
    _effort = effort


def effort() -> int:
    """Return the effort of this run. The default is 1."""
    return _effort
