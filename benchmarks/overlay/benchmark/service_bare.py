"""The rendered service without middleware."""

from benchmark.service_settings import *

MIDDLEWARE = []
