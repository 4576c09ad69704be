"""django-allauth: headless login by e-mailed code for apps, answered with a JWT."""

from __future__ import annotations

import cryptography.hazmat.primitives.ciphers  # noqa: F401 - allauth takes it for imported
from base import CODE_TTL, SECRET, configure
from django.urls import include, path

configure(
    ["django.contrib.sessions", "allauth", "allauth.account", "allauth.headless"],
    [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    ROOT_URLCONF="allauth_app",
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    ACCOUNT_ADAPTER="allauth_adapter.Adapter",
    ACCOUNT_LOGIN_METHODS={"email"},
    ACCOUNT_SIGNUP_FIELDS=["email*"],
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_LOGIN_BY_CODE_ENABLED=True,
    ACCOUNT_LOGIN_BY_CODE_TIMEOUT=CODE_TTL,
    ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS=3,
    ACCOUNT_RATE_LIMITS=False,
    HEADLESS_ONLY=True,
    HEADLESS_CLIENTS=("app",),
    HEADLESS_TOKEN_STRATEGY="allauth.headless.tokens.strategies.jwt.JWTTokenStrategy",
    HEADLESS_JWT_ALGORITHM="HS256",
    HEADLESS_JWT_PRIVATE_KEY=SECRET,
)

urlpatterns = [path("_allauth/", include("allauth.headless.urls"))]

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
