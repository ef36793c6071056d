"""The settings of the rendered service, with a new database connection for each request."""

from benchmark.service_settings import *
from benchmark.service_settings import DATABASES

del DATABASES["default"]["OPTIONS"]["pool"]
