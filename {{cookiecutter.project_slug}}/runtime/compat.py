"""Checks that the dependencies still have the undocumented attributes that this package uses.

A dependency may rename such an attribute in any release, so that a request would fail or a limit would silently not
apply. Each module therefore checks its attributes when it is imported, which stops the start.
"""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from types import CodeType, ModuleType

from django.core.exceptions import ImproperlyConfigured


def require(owner: ModuleType | Callable[..., object], *names: str) -> None:
    """Raise ImproperlyConfigured unless a dependency's module, class or function has or uses all of the attributes.

    If only instances have an attribute, a method of the class must use its name. If Django sets an attribute on
    requests or responses, `owner` is the function that sets it.
    """
    for name in names:
        if not hasattr(owner, name) and not any(uses(code, name) for code in code_of(owner)):
            user = sys._getframe(1).f_globals["__name__"]
            raise ImproperlyConfigured(missing(owner, name, user))


def code_of(owner: ModuleType | Callable[..., object]) -> Iterator[CodeType]:
    """Yield the code of a function, or of all methods of a class."""
    members: list[object] = [owner]
    if isinstance(owner, type):
        members = [member for each in owner.__mro__ for member in vars(each).values()]
    for member in members:
        code = getattr(member, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def uses(code: CodeType, name: str) -> bool:
    """Tell whether code, or a function defined in it, accesses an attribute or has its name as a string."""
    if name in code.co_names or name in code.co_consts:
        return True
    return any(isinstance(constant, CodeType) and uses(constant, name) for constant in code.co_consts)


def missing(owner: ModuleType | Callable[..., object], name: str, user: str) -> str:
    """Return the error message for an attribute that a module of this package uses."""
    path = owner.__name__ if isinstance(owner, ModuleType) else f"{owner.__module__}.{owner.__qualname__}"
    package = path.partition(".")[0]
    return (
        f"{package} {version(package)} does not have the attribute {name!r} of {path}, which {user} uses. Install the "
        f"version that uv.lock pins (`uv sync`), or adapt {user} to the new version."
    )
