"""One command runs all: ``nox``. Sessions whose Python is not installed are skipped."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "docs", "package", "tests"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the usual tests; arguments after ``--`` go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *(session.posargs or ["-n", "2", "--dist", "loadfile"]))


@nox.session
def slow(session: nox.Session) -> None:
    """Run the long tests."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, and the files that GitHub reads."""
    session.install("-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("bash", ".ci/check_github_files", external=True)


@nox.session
def audit(session: nox.Session) -> None:
    """Ask whether a package that the extension or an extra stands on has a known vulnerability."""
    session.install("pip-audit>=2.9", "-e", ".[phone,async,delivery,metrics]")
    session.run("pip-audit", "--skip-editable", "--progress-spinner", "off")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error. Its test with Sphinx is here as well."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", "-m", "slow or not slow", "tests/docs/test_http_page.py")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build")


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel and the sdist, and check what is in them."""
    session.install("-e", ".[dev]")
    dist = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", dist, ".")
    session.run("bash", "-c", f"twine check --strict {dist}/*", external=True)
    session.run("bash", "-c", f"check-wheel-contents {dist}/*.whl", external=True)
    session.run("python", ".ci/check_packages.py", dist, ".")
