"""The subjects: each module has views, the paths that lead to them, and the cases that request them."""

from equivalence.asking import Case
from equivalence.subjects import (
    authentication,
    bodies,
    chain,
    clients,
    common,
    conditional,
    csp,
    csrf,
    errors,
    frames,
    languages,
    messages,
    modes,
    security,
    sessions,
    signals,
    streams,
)

SUBJECTS = (
    authentication,
    bodies,
    chain,
    clients,
    common,
    conditional,
    csp,
    csrf,
    errors,
    frames,
    languages,
    messages,
    modes,
    security,
    sessions,
    signals,
    streams,
)

# These take every way through the handler: their cases are replayed with receivers of the signals as well.
HEARD = ("bodies:", "clients:", "modes:", "streams:")

CASES: dict[str, Case] = {
    f"{subject.__name__.rpartition('.')[2]}: {case.name}": case for subject in SUBJECTS for case in subject.cases
}
