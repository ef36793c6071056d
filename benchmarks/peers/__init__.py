"""The peers: one framework per file, with the paths that `workloads.py` requests.

The peers on Django run in the folder of a project and respond as the views of `overlay/` do.
"""
