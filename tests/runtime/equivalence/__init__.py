"""A site that Django's handler and the runtime's handler both serve, and the requests to it.

`subjects` has the views of the site and the requests to them. `replay` makes these requests to one of the two stacks
and prints the events. `test_equivalence.py` checks that the events of both stacks are the same.
"""
