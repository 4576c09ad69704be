"""Sphinx configuration."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Flask-OTP-Auth"
author = "The Flask-OTP-Auth developers"
copyright = "2026, The Flask-OTP-Auth developers"
release = version = installed_version("Flask-OTP-Auth")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "otp_options",
    "otp_openapi",
    "otp_benchmarks",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Flask-OTP-Auth {release}"
html_static_path = ["_static"]
html_css_files = ["otp.css"]
html_copy_source = False
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True

# Every name that stands for something of ours must lead somewhere.
nitpicky = True
_THEIRS = (
    r"(flask|flask_limiter|flask_pymongo|werkzeug|marshmallow|blinker|collections|datetime"
    r"|typing|_typeshed|uuid|bson|pymongo|limits|prometheus_client)\..*"
)
_BUILTIN = r"(str|int|float|bool|bytes|dict|list|None|object|Exception|ValueError|TypeError)"
# Type variables of the decorators, by the names that a reader of a signature sees.
_VARIABLES = r"(flask_otp_auth\.[a-z_.]+\.)?(SendCode|GetUser|VerifySuccess|View)"
_OTHERS = (
    r"(Fields|RuntimeError|UserWarning|HTTPException|datetime|Flask|PyMongo|Limiter|Any|optional"
    r"|HandlerDecorators)"
)
# Set DOCS_INTERSPHINX=1 where there is a network: then names of other projects are links as well.
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3/", None),
        "flask": ("https://flask.palletsprojects.com/", None),
        "flask_jwt_extended": ("https://flask-jwt-extended.readthedocs.io/en/stable/", None),
        "flask_limiter": ("https://flask-limiter.readthedocs.io/en/stable/", None),
        "pymongo": ("https://pymongo.readthedocs.io/en/stable/", None),
    }
nitpick_ignore_regex = [(r"py:.*", pattern) for pattern in (_THEIRS, _BUILTIN, _VARIABLES, _OTHERS)]
