"""Worker threads for blocking calls."""

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from runtime.compat import require

require(AsyncToSync, "executors", "loop_thread_executors")
require(SyncToAsync, "thread_sensitive_context")
require(ThreadSensitiveContext, "token")
