"""The settings of startproject, with psycopg's pool and without middleware."""

from benchmark.startproject_with_pool import *

MIDDLEWARE = []
