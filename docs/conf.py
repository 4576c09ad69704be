"""Sphinx configuration."""

from importlib.metadata import version as installed_version

project = "Flask-OTP-Auth"
author = "The Flask-OTP-Auth developers"
copyright = "2026, The Flask-OTP-Auth developers"
release = version = installed_version("Flask-OTP-Auth")

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Flask-OTP-Auth {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
