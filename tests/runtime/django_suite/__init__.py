"""Django's own tests, run in a greenlet on the event loop, against PostgreSQL (`make django-tests`)."""
