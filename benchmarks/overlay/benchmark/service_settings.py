"""The settings of the rendered service, with the URLs of the workloads."""

from config.settings import *
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmark"]
ROOT_URLCONF = "benchmark.service_urls"
# Every contender gets the same requests, with the same cookies.
SESSION_COOKIE_NAME = "sessionid"
BENCHMARK_HTTP_CLIENT = "runtime.requests.http_client.get_client"
