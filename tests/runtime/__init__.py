"""The machinery, `runtime/`, compared with Django and put through what goes wrong rarely."""
