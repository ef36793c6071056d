"""Prints the functions of dependencies on which the runtime of a service relies, and a hash of the source of each.

The script imports the runtime files of all answers, so it needs a service that has them all. It finds overridden
methods by itself. RELIED_ON lists functions that are copied, called by a private name, or assumed not to block.
"""

import hashlib
import inspect
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pkgutil import resolve_name, walk_packages
from typing import Any

# By the file of the runtime. Overridden methods are not listed.
RELIED_ON = {
    "runtime/auth/backends.py": ["django.contrib.auth.check_password_with_timing_attack_mitigation"],
    "runtime/management/commands/runserver.py": [
        "django.core.management.commands.runserver.Command.handle",
        "django.utils.autoreload.get_child_arguments",
    ],
    "runtime/postgres/pool.py": [
        "django.db.backends.postgresql.base.DatabaseWrapper.close_pool",
        "django.db.backends.postgresql.base.DatabaseWrapper.pool",
        "psycopg_pool.pool.AddConnection._run",
        "psycopg_pool.pool.ConnectionPool._add_connection",
        "psycopg_pool.pool.ConnectionPool._add_to_pool",
        "psycopg_pool.pool.ConnectionPool._getconn_unchecked",
        "psycopg_pool.pool.ConnectionPool._getconn_with_check_loop",
        "psycopg_pool.pool.ConnectionPool.check_connection",
        "psycopg_pool.pool.ConnectionPool.drain",
        "psycopg_pool.pool.WaitingClient.fail",
    ],
    "runtime/requests/body.py": ["django.core.handlers.asgi.ASGIHandler.read_body"],
    "runtime/requests/browser_policy.py": [
        "django.middleware.csp.get_nonce",
        "django.utils.csp.build_policy",
        "django.views.decorators.csp._make_csp_decorator",
    ],
    "runtime/requests/handler.py": [
        "django.core.cache.close_caches",
        "django.core.handlers.asgi.ASGIHandler.__call__",
        "django.core.handlers.asgi.ASGIHandler.create_request",
        "django.core.handlers.asgi.ASGIHandler.listen_for_disconnect",
        "django.core.handlers.asgi.ASGIHandler.run_get_response",
        "django.core.handlers.asgi.get_script_prefix",
        "django.core.handlers.base.BaseHandler.load_middleware",
        "django.core.handlers.base.reset_urlconf",
        "django.core.handlers.exception.convert_exception_to_response",
        "django.core.handlers.exception.response_for_exception",
        "django.db.close_old_connections",
        "django.db.reset_queries",
        "django.dispatch.dispatcher.Signal._live_receivers",
        "django.dispatch.dispatcher.Signal.asend",
        "django.dispatch.dispatcher.Signal.send",
        "django.http.response.HttpResponseBase.close",
        "django.http.response.StreamingHttpResponse.__aiter__",
        "django.http.response.StreamingHttpResponse._set_streaming_content",
        "django.utils.log.log_response",
    ],
    # These hooks run on the event loop, because they do not block.
    "runtime/requests/middleware.py": [
        "django.contrib.auth.middleware.AuthenticationMiddleware.process_request",
        "django.contrib.messages.middleware.MessageMiddleware.process_request",
        "django.contrib.messages.middleware.MessageMiddleware.process_response",
        "django.contrib.sessions.middleware.SessionMiddleware.process_request",
        "django.contrib.sessions.middleware.SessionMiddleware.process_response",
        "django.middleware.clickjacking.XFrameOptionsMiddleware.process_response",
        "django.middleware.common.CommonMiddleware.process_response",
        "django.middleware.csp.ContentSecurityPolicyMiddleware.process_request",
        "django.middleware.csrf.CsrfViewMiddleware.process_request",
        "django.middleware.csrf.CsrfViewMiddleware.process_response",
        "django.middleware.csrf.CsrfViewMiddleware.process_view",
        "django.middleware.http.ConditionalGetMiddleware.process_response",
        "django.middleware.locale.LocaleMiddleware.process_request",
        "django.middleware.locale.LocaleMiddleware.process_response",
        "django.middleware.security.SecurityMiddleware.process_request",
        "django.middleware.security.SecurityMiddleware.process_response",
    ],
    "runtime/server/daphne.py": [
        "daphne.server.Server.application_checker",
        "daphne.server.Server.protocol_disconnected",
    ],
    "runtime/server/daphne_connection.py": [
        "daphne.http_protocol.WebRequest.process",
        "twisted.internet.abstract.FileDescriptor.doWrite",
    ],
    "runtime/server/granian.py": [
        "granian.server.mp.MPServer._spawn_asgi_lifespan_worker",
        "granian.server.mp.WorkerProcess.wrap_target",
    ],
    "runtime/server/uvicorn.py": [
        "uvicorn.server.Server._serve",
        "uvicorn.server.Server.capture_signals",
        "uvicorn.server.Server.main_loop",
        "uvicorn.supervisors.multiprocess.Multiprocess.handle_term",
        "uvicorn.supervisors.multiprocess.Multiprocess.init_processes",
        "uvicorn.supervisors.multiprocess.Multiprocess.keep_subprocess_alive",
        "uvicorn.supervisors.multiprocess.Multiprocess.terminate_all",
    ],
    "runtime/server/uvicorn_protocol.py": [
        "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_message_complete",
        "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_response_complete",
        "uvicorn.protocols.http.httptools_impl.RequestResponseCycle.receive",
        "uvicorn.protocols.http.httptools_impl.RequestResponseCycle.send",
    ],
    "runtime/server/uvicorn_websocket.py": [
        "uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol.handle_parser_exception",
        "uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol.receive",
        "uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol.run_asgi",
    ],
    "runtime/threads": [
        "asgiref.sync.AsyncToSync.__call__",
        "asgiref.sync.SyncToAsync.__call__",
        "asgiref.sync.ThreadSensitiveContext.__aenter__",
        "django.db.backends.base.base.BaseDatabaseWrapper.close_if_unusable_or_obsolete",
        "django.db.close_old_connections",
        "django.db.reset_queries",
    ],
    "runtime/requests/http_client.py": [
        "httpx_aiohttp.AiohttpTransport.__init__",
        "httpx_aiohttp.AiohttpTransport.handle_async_request",
    ],
    "runtime/websockets/auth.py": [
        "channels.auth.AuthMiddleware.__call__",
        "channels.auth.AuthMiddleware.populate_scope",
        "channels.auth.get_user",
        "channels.db.DatabaseSyncToAsync.thread_handler",
        "channels.sessions.SessionMiddleware.__call__",
        "django.contrib.auth.get_user",
    ],
    "runtime/websockets/channel_layer.py": [
        "channels.layers.BaseChannelLayer.non_local_name",
        "channels_redis.core.RedisChannelLayer._brpop_with_clean",
        "channels_redis.core.RedisChannelLayer.connection",
        "channels_redis.core.RedisChannelLayer.consistent_hash",
        "channels_redis.core.RedisChannelLayer.deserialize",
        "channels_redis.core.RedisChannelLayer.group_send",
        "channels_redis.core.RedisChannelLayer.new_channel",
        "channels_redis.core.RedisChannelLayer.receive_single",
        "channels_redis.core.RedisLoopLayer.get_connection",
        "redis.asyncio.connection.BlockingConnectionPool.get_connection",
    ],
}


def overridden() -> Iterator[tuple[str, str, Any]]:
    """Yield the file, the dotted path and the function of each overridden method of a dependency."""
    for info in walk_packages(import_module("runtime").__path__, "runtime."):
        if info.name.startswith("runtime.tests") or info.name.endswith(".__main__"):
            continue
        module = import_module(info.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == info.name:
                for name in vars(cls):
                    if base := first_definition(cls, name):
                        path = f"{base.__module__}.{base.__qualname__}.{name}"
                        yield f"{info.name.replace('.', '/')}.py", path, function_of(vars(base)[name])


def first_definition(cls: type, name: str) -> type | None:
    """Return the class of a dependency whose method of this name a class overrides, if there is one."""
    function = function_of(vars(cls)[name])
    # Skip functions that a metaclass of a dependency has added to the class.
    if function is None or not function.__module__.startswith("runtime."):
        return None
    for base in cls.__mro__[1:]:
        package = base.__module__.partition(".")[0]
        if package != "runtime" and package not in sys.stdlib_module_names and name in vars(base):
            return base if function_of(vars(base)[name]) else None
    return None


def function_of(member: Any) -> Any:
    """Return the function of a method, a static method or a property; None for anything else."""
    for attribute in ("__func__", "fget", "func"):
        member = getattr(member, attribute, None) or member
    return member if inspect.isfunction(member) else None


def resolve(path: str) -> Any:
    """Return the function at a dotted path, or None if the dependency has no such function."""
    try:
        return function_of(resolve_name(path))
    except (AttributeError, ImportError):
        return None


def hash_source(function: Any) -> str | None:
    """Return a hash of the source of a function, which ignores whitespace."""
    if function is None:
        return None
    return hashlib.sha256(" ".join(inspect.getsource(function).split()).encode()).hexdigest()[:16]


def collect() -> dict[str, Any]:
    """Return the versions of the dependencies, the hashes of the functions, and the files that use each function."""
    functions: dict[str, Any] = {}
    files = defaultdict(set)
    for file, path, function in overridden():
        functions[path] = function
        files[path].add(file)
    for file, paths in RELIED_ON.items():
        for path in paths:
            functions.setdefault(path, resolve(path))
            files[path].add(file)
    return {
        "versions": {package: version(package) for package in {path.partition(".")[0] for path in functions}},
        "hashes": {path: hash_source(function) for path, function in functions.items()},
        "files": {path: sorted(names) for path, names in files.items()},
    }


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(collect()))
