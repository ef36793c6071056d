"""System checks for settings that move every request to a thread, or that are dangerous under ASGI."""

from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any

from django.conf import global_settings, settings
from django.core import checks
from django.core.signals import request_finished, request_started
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from runtime.conf import invalid_settings
from runtime.requests import middleware
from runtime.requests.handler import possibly_blocking_receivers

# Django's warnings about a missing middleware, with the class that each of them means.
MISSING_MIDDLEWARE = {
    "security.W001": "SecurityMiddleware",
    "security.W002": "XFrameOptionsMiddleware",
    "security.W003": "CsrfViewMiddleware",
}
# The minimum of hstspreload.org.
MIN_PRELOAD_SECONDS = 60 * 60 * 24 * 365
LOCAL_CACHE = "django.core.cache.backends.locmem.LocMemCache"


@checks.register("runtime")
def check_middleware(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about middleware that moves every request to a thread."""
    for path in settings.MIDDLEWARE:
        factory = import_string(path)
        if not getattr(factory, "async_capable", False):
            yield checks.Warning(
                f"{path} is synchronous: it moves every request to a thread.",
                hint="Make it asynchronous (see Django's documentation of asynchronous middleware), or remove it.",
                id="runtime.W001",
            )
        elif hooks := threaded_hooks(factory):
            name = path.rpartition(".")[2]
            yield checks.Warning(
                f"{path} moves every request to a thread to run {' and '.join(hooks)}.",
                hint=f"Use runtime.requests.middleware.{name} instead."
                if issubclass(getattr(middleware, name, object), factory)
                else f"If they never block, use a subclass instead: class {name}(InlineHooksMixin, …).",
                id="runtime.W002",
            )


def threaded_hooks(factory: Any) -> list[str]:
    """Return the names of the hooks that Django runs in a thread."""
    names = ["process_view", "process_template_response"]
    if getattr(factory, "__acall__", None) is MiddlewareMixin.__acall__:
        names += ["process_request", "process_response"]
    # A middleware with a second hook such as `aprocess_view` selects between the two itself.
    hooks = {name: getattr(factory, name, None) for name in names if not hasattr(factory, f"a{name}")}
    return [name for name, hook in hooks.items() if hook and not iscoroutinefunction(hook)]


@checks.register("runtime")
def check_receivers(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about receivers of signals that are sent with every request."""
    for name, signal in (("request_started", request_started), ("request_finished", request_finished)):
        for receiver in possibly_blocking_receivers(signal):
            yield checks.Warning(
                f"{receiver.__module__}.{receiver.__qualname__} receives {name}: it moves every request to a thread.",
                hint="If it does not block, call it from an asynchronous middleware.",
                id="runtime.W003",
            )


@checks.register("runtime")
def check_databases(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about ATOMIC_REQUESTS, which does not work with asynchronous views."""
    for alias, database in settings.DATABASES.items():
        if database.get("ATOMIC_REQUESTS"):
            yield checks.Warning(
                f"DATABASES[{alias!r}] sets ATOMIC_REQUESTS: every asynchronous view raises RuntimeError.",
                hint="Put each transaction into a synchronous function, and call the function with sync_to_async.",
                id="runtime.W004",
            )


def runs_several_processes() -> bool:
    """Tell whether several worker processes serve requests. Daphne always runs one."""
    return not settings.DEBUG and getattr(settings, "WEB_CONCURRENCY", 1) > 1


@checks.register("runtime")
def check_processes(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about a cache in memory with several worker processes."""
    # Django's default cache is in memory, but a service that configures no cache does not use it.
    if not runs_several_processes() or settings.CACHES == global_settings.CACHES:
        return
    for alias, cache in settings.CACHES.items():
        if cache["BACKEND"] == LOCAL_CACHE:
            yield checks.Warning(
                f"CACHES[{alias!r}] is in memory: the worker processes do not share it.",
                hint="Use a shared cache, such as Django's database cache, or set WEB_CONCURRENCY=1.",
                id="runtime.W008",
            )


@checks.register("runtime")
def check_settings(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Report invalid values and unknown names of the machinery's settings."""
    for name, problem in invalid_settings().items():
        yield checks.Error(problem, obj=name, id="runtime.E002")


@checks.register(checks.Tags.security, deploy=True)
def check_security(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Run Django's own checks with its own middleware in place of the subclasses, which they do not recognize."""
    registered = checks.registry.registry.deployment_checks
    django_checks = [check for check in registered if check.__module__.startswith("django.")]
    found = [message for check in django_checks for message in check(**kwargs)]
    listed = settings.MIDDLEWARE
    settings.MIDDLEWARE = [django_name(import_string(path)) or path for path in listed]
    try:
        messages = [message for check in django_checks for message in check(**kwargs)]
    finally:
        settings.MIDDLEWARE = listed
    for message in messages:
        if message.id in MISSING_MIDDLEWARE:
            # The service silences Django's ID, because Django does not recognize the subclasses.
            path = f"runtime.requests.middleware.{MISSING_MIDDLEWARE[message.id]}"
            yield checks.Warning(message.msg, hint=f"List {path} in MIDDLEWARE.", id="runtime.W009")
        elif message not in found:
            yield message


@checks.register(checks.Tags.security, deploy=True)
def check_preload(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about a Strict-Transport-Security header that browsers' preload lists reject."""
    long_enough = settings.SECURE_HSTS_SECONDS >= MIN_PRELOAD_SECONDS
    if settings.SECURE_HSTS_PRELOAD and not (long_enough and settings.SECURE_HSTS_INCLUDE_SUBDOMAINS):
        yield checks.Warning(
            "SECURE_HSTS_PRELOAD is set, but browsers' preload lists reject this service's header.",
            hint=f"Set SECURE_HSTS_INCLUDE_SUBDOMAINS=true and SECURE_HSTS_SECONDS={MIN_PRELOAD_SECONDS} or more, "
            "or unset SECURE_HSTS_PRELOAD.",
            id="runtime.W010",
        )


@checks.register(checks.Tags.security, deploy=True)
def check_hosts(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Report ALLOWED_HOSTS that allow every host."""
    if "*" in settings.ALLOWED_HOSTS:
        yield checks.Error(
            "ALLOWED_HOSTS contains '*': a client can choose the host name in links and redirects.",
            hint="List the service's host names, such as ALLOWED_HOSTS=shop.example.com,.example.org. Health probes"
            " need no entry.",
            id="runtime.E001",
        )


def django_name(factory: Any) -> str | None:
    """Return the dotted path of Django's class that a middleware inherits from, or None."""
    for base in getattr(factory, "__mro__", ()):
        if base.__module__.startswith("django."):
            return f"{base.__module__}.{base.__qualname__}"
    return None
