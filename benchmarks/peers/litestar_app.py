"""litestar without middleware."""

from litestar import Litestar, get
from litestar.di import Provide
from peers import sqlalchemy_answers as answers

application = Litestar(
    [
        get("/json")(answers.hello),
        get("/row", dependencies={"database": Provide(answers.session)})(answers.row),
        get("/fan-out")(answers.fan_out),
        get("/sleep")(answers.sleep),
    ]
)
