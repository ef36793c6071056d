"""Checks several services, and prints the name and the home page of each as a line of JSON.

Each service runs in a process of its own, forked from one that has already imported Django.
"""

import json
import os
import sys

import django
import django.contrib.admin.options
import django.core.management.commands.check
import django.test
from django.conf import settings
from django.core.management import call_command
from django.template.loader import render_to_string


def describe(service: str) -> list[str]:
    """Run the system checks of a service; return its name and its home page."""
    os.chdir(service)
    sys.path.insert(0, service)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    call_command("check", fail_level="WARNING", stdout=sys.stderr)
    return [settings.PROJECT_NAME, render_to_string("catalog/home.html", {"project_name": settings.PROJECT_NAME})]


for service in sys.argv[1:]:
    child = os.fork()
    if not child:
        print(json.dumps(describe(service)))
        sys.exit()
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{service} has failed")
