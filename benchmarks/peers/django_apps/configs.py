"""The parts of Django that need a primary key which MongoDB can make."""

from __future__ import annotations

from base import OBJECT_ID
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig


class Auth(AuthConfig):
    """``django.contrib.auth``."""

    default_auto_field = OBJECT_ID


class ContentTypes(ContentTypesConfig):
    """``django.contrib.contenttypes``."""

    default_auto_field = OBJECT_ID
