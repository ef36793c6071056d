"""The settings of the rendered service, without middleware."""

from benchmark.service_settings import *

MIDDLEWARE = []
