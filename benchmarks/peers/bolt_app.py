"""django-bolt, with the middleware of the settings."""

from benchmark import answers
from django.conf import settings
from django_bolt import BoltAPI

api = BoltAPI(django_middleware=bool(settings.MIDDLEWARE), enable_logging=False)
api.get("/json")(answers.hello)
api.get("/row")(answers.row)
api.get("/session")(answers.session)
api.get("/fan-out")(answers.fan_out)
api.get("/sleep")(answers.sleep)
