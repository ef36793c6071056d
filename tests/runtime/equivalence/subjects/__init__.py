"""The subjects: each module has views, the paths that lead to them, and the cases that request them."""

from importlib import import_module
from pkgutil import iter_modules

from equivalence.client import Case

SUBJECTS = tuple(import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))

# These take every way through the handler: their cases are replayed with receivers of the signals as well.
HEARD = ("bodies:", "clients:", "modes:", "streams:")

CASES: dict[str, Case] = {
    f"{subject.__name__.rpartition('.')[2]}: {case.name}": case for subject in SUBJECTS for case in subject.cases
}
