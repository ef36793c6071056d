"""The peers: a framework per file, with the paths that `workloads.py` asks for.

Those on Django run in a project's folder, and answer as the views of `overlay/` do.
"""
