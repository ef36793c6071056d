"""The service's settings, with every call of the ORM in a worker thread."""

from benchmark.service_settings import *

RUNTIME_ORM_ON_LOOP = False
