"""django-ninja, with the middleware of the settings."""

from django.conf import settings
from django.core.asgi import get_asgi_application

settings.ROOT_URLCONF = __name__
application = get_asgi_application()

from benchmark import answers  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI  # noqa: E402

api = NinjaAPI()
api.get("/json")(answers.hello)
api.get("/row")(answers.row)
api.get("/session")(answers.session)
api.get("/fan-out")(answers.fan_out)
api.get("/sleep")(answers.sleep)
urlpatterns = [path("", api.urls)]
