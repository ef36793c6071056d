"""The settings of `django-admin startproject`, changed for production, with the URLs of the workloads."""

import os

import dj_database_url
from config.settings import *
from config.settings import INSTALLED_APPS

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": dj_database_url.config()}
INSTALLED_APPS = [*INSTALLED_APPS, "benchmark"]
ROOT_URLCONF = "benchmark.urls"
BENCHMARK_HTTP_CLIENT = "benchmark.clients.shared_client"
