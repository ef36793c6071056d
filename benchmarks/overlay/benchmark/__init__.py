"""Laid over a Django project named `config`: the same views for every contender that runs on Django.

It is copied into the rendered service and into what `django-admin startproject` makes; nothing of theirs is edited.
"""
