"""Sessions of Flask-Login for the users of Flask-SQLAlchemy, instead of tokens.

Set ``FLASK_SECRET_KEY`` and ``FLASK_MONGO_URI`` as in the README, add a user, and start the
application, which prints its codes::

    flask --app examples/login_sessions shell <<'END'
    from login_sessions import User, db
    db.session.add(User(identifier="reader@example.com"))
    db.session.commit()
    END
    flask --app examples/login_sessions run --debug
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    login_required,
    login_user,
    logout_user,
)
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_otp_auth import FlaskOtpAuth
from flask_otp_auth.delivery import Delivery


class Base(DeclarativeBase):
    """What the models have in common."""


db = SQLAlchemy(model_class=Base)


class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
    """Somebody who may sign in."""

    id: Mapped[int] = mapped_column(primary_key=True)
    identifier: Mapped[str] = mapped_column(unique=True)
    # False keeps them out, and throws out whoever is in.
    is_active: Mapped[bool] = mapped_column(default=True)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app.

    :param config: settings; they win over the environment's ``FLASK_...``.
    """
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite:///users.db",
        SESSION_COOKIE_SAMESITE="Lax",  # so that no other site can post with it
        SESSION_COOKIE_SECURE=not app.debug,  # HTTPS alone, but for the server of your own machine
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    db.init_app(app)
    logins = LoginManager(app)
    otp = FlaskOtpAuth(app)
    Delivery(otp)

    @logins.user_loader
    def load_user(user_id: str) -> User | None:
        user: User | None = db.session.get(User, int(user_id))
        return user if user is not None and user.is_active else None

    @otp.get_user_handler
    def get_user(identifier: str, method: str, payload: Any) -> User | None:
        wanted = db.select(User).filter_by(identifier=identifier, is_active=True)
        user: User | None = db.session.scalar(wanted)
        return user

    @otp.verify_success_handler
    def sign_in(user: User, identifier: str, method: str, payload: Any) -> dict[str, Any]:
        login_user(user)
        return {"user": {"id": user.id}}  # no token: the session cookie is the login

    @app.get("/me")
    @login_required
    def me() -> dict[str, Any]:
        return {"id": current_user.id, "identifier": current_user.identifier}

    @app.post("/logout")
    @login_required
    def logout() -> tuple[str, int]:
        logout_user()
        return "", 204

    with app.app_context():
        db.create_all()
    return app
