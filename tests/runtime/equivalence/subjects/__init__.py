"""The subjects: each module has views, their URLs, and the cases that request them."""

from importlib import import_module
from pkgutil import iter_modules

from equivalence.client import Case

SUBJECTS = tuple(import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))

# These cases reach every branch of the handler. They are replayed with receivers of request signals as well.
ALSO_WITH_RECEIVERS = ("bodies:", "clients:", "modes:", "streams:")

CASES: dict[str, Case] = {
    f"{subject.__name__.rpartition('.')[2]}: {case.name}": case for subject in SUBJECTS for case in subject.cases
}
