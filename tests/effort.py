"""How hard the tests try that look for what goes wrong rarely."""

import os

# EFFORT=5 has them try five times as often; `make thorough` sets it.
EFFORT = int(os.environ.get("EFFORT", "1"))
