"""A site that Django's own handler and ours both serve, and what is asked of it.

`subjects` has the views of the site, each beside the requests that are made to it; `replay` makes them, to the one
stack or the other, and prints what happened; `test_equivalence.py` holds that it was the same.
"""
