"""The settings of startproject, with the pool options of the rendered service (`DATABASE_POOL`, JSON)."""

import json
import os

from benchmark.startproject_settings import *
from benchmark.startproject_settings import DATABASES

DATABASES["default"]["OPTIONS"]["pool"] = json.loads(os.environ["DATABASE_POOL"])
