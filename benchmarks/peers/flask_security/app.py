"""Flask-Security: unified sign-in by e-mailed code, users in MongoDB by way of MongoEngine."""

from __future__ import annotations

import os
from typing import Any

import mongoengine
from flask import Flask, Response, g
from flask_security import MailUtil, MongoEngineUserDatastore, RoleMixin, Security, UserMixin
from flask_security.utils import uia_email_mapper
from werkzeug.middleware.proxy_fix import ProxyFix

SECRET = "a secret of the benchmark, 32 bytes or more"


class Role(mongoengine.Document, RoleMixin):  # type: ignore[misc]
    """Needed by Flask-Security; empty."""

    name = mongoengine.StringField(max_length=80, unique=True)


class User(mongoengine.Document, UserMixin):  # type: ignore[misc]
    """A user whose e-mail address is set up for codes."""

    email = mongoengine.StringField(max_length=255, unique=True)
    password = mongoengine.StringField(max_length=255)
    active = mongoengine.BooleanField(default=True)
    fs_uniquifier = mongoengine.StringField(max_length=64, unique=True)
    us_totp_secrets = mongoengine.StringField()
    us_phone_number = mongoengine.StringField()
    roles = mongoengine.ListField(mongoengine.ReferenceField(Role), default=list)


class Sink(MailUtil):
    """Hands the code over instead of mailing it."""

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: Any,
        sender: Any,
        body: Any,
        html: Any,
        **kwargs: Any,
    ) -> None:
        """Hand the code over."""
        g.code = kwargs["login_token"]


mongoengine.connect(
    host=os.environ["BENCH_MONGO_URI"], uuidRepresentation="standard", connect=False
)
datastore = MongoEngineUserDatastore(mongoengine, User, Role)

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=0)  # type: ignore[method-assign]
app.config.update(
    SECRET_KEY=SECRET,
    WTF_CSRF_ENABLED=False,
    SECURITY_PASSWORD_SALT="a salt of the benchmark",
    SECURITY_PASSWORD_REQUIRED=False,
    SECURITY_UNIFIED_SIGNIN=True,
    SECURITY_US_ENABLED_METHODS=["email"],
    SECURITY_US_MFA_REQUIRED=[],
    SECURITY_US_TOKEN_VALIDITY=300,
    SECURITY_TOTP_SECRETS={"1": SECRET},
    SECURITY_TOTP_ISSUER="benchmark",
    # A search that ignores case is a regular expression over all users; addresses are normalised.
    SECURITY_USER_IDENTITY_ATTRIBUTES=[
        {"email": {"mapper": uia_email_mapper, "case_insensitive": False}}
    ],
    SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
    SECURITY_EMAIL_PLAINTEXT=False,
    SECURITY_EMAIL_HTML=False,
)
security = Security(app, datastore, mail_util_cls=Sink)


@app.after_request
def finish(response: Response) -> Response:
    """Hand the code over."""
    if "code" in g:
        response.headers["X-Bench-Code"] = g.code
    return response
