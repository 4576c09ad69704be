"""The demo as gunicorn serves it in the tests of the pages, on the database of ``MONGO_URI``.

``INSTANCE`` names a folder for what it keeps; ``SPA_ORIGIN`` an origin whose pages may call it.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, Response
from flask_cors import CORS
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from quickstart import create_app as create_demo


def create_app() -> Flask:
    app = create_demo(
        {"SECRET_KEY": "the same in all of the processes"},
        instance_path=Path(os.environ["INSTANCE"]),
    )
    if origin := os.environ.get("SPA_ORIGIN"):
        CORS(app, origins=[origin], allow_headers=["Content-Type", "Authorization"])

    @app.after_request
    def name_the_process(response: Response) -> Response:
        response.headers["X-Process"] = str(os.getpid())
        return response

    # Below a path too, as on a site of several applications.
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/shop": app.wsgi_app})  # type: ignore[method-assign]
    return app
