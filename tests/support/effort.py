"""How often tests try what goes wrong rarely: `pytest --effort 5` tries five times as often."""

_effort = 1


def set_effort(effort: int) -> None:
    """Set the effort of this run (see `tests/conftest.py`)."""
    global _effort
    _effort = effort


def effort() -> int:
    """Return the effort of this run: 1 unless the command line says otherwise."""
    return _effort
