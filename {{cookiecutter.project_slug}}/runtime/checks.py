"""`manage.py check`: what puts a thread back on the path of every request, or is dangerous under ASGI."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any

from django.conf import global_settings, settings
from django.core import checks
from django.core.signals import request_finished, request_started
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from runtime.conf import problems
from runtime.requests import middleware
from runtime.requests.handler import possibly_blocking_receivers

# Django's warnings that a middleware is missing, and its class.
MISSING_MIDDLEWARE = {
    "security.W001": "SecurityMiddleware",
    "security.W002": "XFrameOptionsMiddleware",
    "security.W003": "CsrfViewMiddleware",
}
# What hstspreload.org asks for.
MIN_PRELOAD_SECONDS = 60 * 60 * 24 * 365
LOCAL_CACHE = "django.core.cache.backends.locmem.LocMemCache"


@checks.register("runtime")
def check_middleware(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about middleware that goes to a thread with every request."""
    for path in settings.MIDDLEWARE:
        factory = import_string(path)
        if not getattr(factory, "async_capable", False):
            yield checks.Warning(
                f"{path} has no asynchronous path: it takes every request to a thread.",
                hint="Write one, as Django's documentation of asynchronous middleware shows, or do without it.",
                id="runtime.W001",
            )
        elif hooks := hooks_in_a_thread(factory):
            name = path.rpartition(".")[2]
            yield checks.Warning(
                f"{path} takes every request to a thread, to run {' and '.join(hooks)}.",
                hint=f"List runtime.requests.middleware.{name} in its place."
                if issubclass(getattr(middleware, name, object), factory)
                else f"If they never block, list a subclass in its place: class {name}(InlineHooksMixin, …).",
                id="runtime.W002",
            )


def hooks_in_a_thread(factory: Any) -> list[str]:
    """Return the names of those hooks of a middleware that Django takes to a thread."""
    names = ["process_view", "process_template_response"]
    if getattr(factory, "__acall__", None) is MiddlewareMixin.__acall__:
        names += ["process_request", "process_response"]
    # A hook with a counterpart such as `aprocess_view` chooses between the two itself.
    hooks = {name: getattr(factory, name, None) for name in names if not hasattr(factory, f"a{name}")}
    return [name for name, hook in hooks.items() if hook and not iscoroutinefunction(hook)]


@checks.register("runtime")
def check_receivers(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about receivers of signals that are sent with every request."""
    for name, signal in (("request_started", request_started), ("request_finished", request_finished)):
        for receiver in possibly_blocking_receivers(signal):
            yield checks.Warning(
                f"{receiver.__module__}.{receiver.__qualname__} receives {name}: it takes every request to a thread.",
                hint="If it does not block, call it from a middleware with an asynchronous path.",
                id="runtime.W003",
            )


@checks.register("runtime")
def check_databases(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about database settings that do not go with asynchronous views or with the worker pool."""
    for alias, database in settings.DATABASES.items():
        if database.get("ATOMIC_REQUESTS"):
            yield checks.Warning(
                f"DATABASES[{alias!r}] sets ATOMIC_REQUESTS: every asynchronous view raises RuntimeError.",
                hint="Put each transaction into a synchronous function, and await that with sync_to_async.",
                id="runtime.W004",
            )


def runs_several_processes() -> bool:
    """Tell whether several worker processes serve requests. Daphne always runs one."""
    return not settings.DEBUG and getattr(settings, "WEB_CONCURRENCY", 1) > 1


@checks.register("runtime")
def check_processes(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about a cache in memory when there are several worker processes."""
    # Django's default cache is in memory. A service that has configured no cache uses none.
    if not runs_several_processes() or settings.CACHES == global_settings.CACHES:
        return
    for alias, cache in settings.CACHES.items():
        if cache["BACKEND"] == LOCAL_CACHE:
            yield checks.Warning(
                f"CACHES[{alias!r}] is in memory: each of several processes has its own.",
                hint="Use a cache that they share, such as the one in the database, or set WEB_CONCURRENCY=1.",
                id="runtime.W008",
            )


@checks.register("runtime")
def check_settings(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Refuse wrong values of the machinery's settings, and names that it does not know."""
    for name, problem in problems().items():
        yield checks.Error(problem, obj=name, id="runtime.E002")


@checks.register(checks.Tags.security, deploy=True)
def check_security(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Yield what Django's own checks would find if its middleware were listed by the names that they look for."""
    registered = checks.registry.registry.deployment_checks
    djangos = [check for check in registered if check.__module__.startswith("django.")]
    found = [message for check in djangos for message in check(**kwargs)]
    listed = settings.MIDDLEWARE
    settings.MIDDLEWARE = [django_name(import_string(path)) or path for path in listed]
    try:
        messages = [message for check in djangos for message in check(**kwargs)]
    finally:
        settings.MIDDLEWARE = listed
    for message in messages:
        if message.id in MISSING_MIDDLEWARE:
            # Django's ID is silenced, because Django does not know the middleware by our names.
            path = f"runtime.requests.middleware.{MISSING_MIDDLEWARE[message.id]}"
            yield checks.Warning(message.msg, hint=f"List {path} in MIDDLEWARE.", id="runtime.W009")
        elif message not in found:
            yield message


@checks.register(checks.Tags.security, deploy=True)
def check_preload(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about a Strict-Transport-Security header that browsers' preload lists do not accept."""
    long_enough = settings.SECURE_HSTS_SECONDS >= MIN_PRELOAD_SECONDS
    if settings.SECURE_HSTS_PRELOAD and not (long_enough and settings.SECURE_HSTS_INCLUDE_SUBDOMAINS):
        yield checks.Warning(
            "SECURE_HSTS_PRELOAD is set, but browsers' preload lists refuse this service's header.",
            hint=f"Set SECURE_HSTS_INCLUDE_SUBDOMAINS=true and SECURE_HSTS_SECONDS={MIN_PRELOAD_SECONDS} or more, "
            "or unset SECURE_HSTS_PRELOAD.",
            id="runtime.W010",
        )


@checks.register(checks.Tags.security, deploy=True)
def check_hosts(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Refuse ALLOWED_HOSTS that allow every host."""
    if "*" in settings.ALLOWED_HOSTS:
        yield checks.Error(
            "ALLOWED_HOSTS contains '*': every client chooses the host name that links and redirects lead to.",
            hint="List the service's host names, such as ALLOWED_HOSTS=shop.example.com,.example.org. Health probes"
            " need no entry of their own.",
            id="runtime.E001",
        )


def django_name(factory: Any) -> str | None:
    """Return the dotted path of the middleware of Django's that a middleware is a subclass of."""
    for base in getattr(factory, "__mro__", ()):
        if base.__module__.startswith("django."):
            return f"{base.__module__}.{base.__qualname__}"
    return None
