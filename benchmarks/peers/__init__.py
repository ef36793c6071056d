"""The peers that are not Django: one ASGI application per file, with the paths that `workloads.py` asks for."""
