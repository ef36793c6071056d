"""An app with the same views for every contender on Django.

It is copied into the rendered service and into the project of `django-admin startproject`. Their own files stay as they
are.
"""
