"""The rendered service, with a new connection to the database for every request that needs one."""

from benchmark.service_settings import *
from benchmark.service_settings import DATABASES

del DATABASES["default"]["OPTIONS"]["pool"]
