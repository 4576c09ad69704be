"""Check what is in the wheel and in the sdist: check_packages.py DIST SOURCE [--repository URL].

With ``--repository`` it is a release: its metadata must lead to that repository.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

DIST_INFO = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "top_level.txt",
}
TOP_LEVEL = {"CHANGES.rst", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml"}
TOP_LEVEL |= {"CONTRIBUTING.rst", "SECURITY.md", "noxfile.py"}
STRAY = {"__pycache__", "instance", ".venv", "_build", "node_modules", "dist", ".expo"}

URLS = {"Source", "Documentation", "Changes", "Issues"}
ADD_URLS = (
    "Set [project.urls] in pyproject.toml, as CONTRIBUTING.rst says under 'Making a release', "
    "and move the tag to that commit."
)


def check_wheel(wheel: Path, source: Path) -> None:
    """Expect the package, its typing marker and the metadata, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    expect_none(
        "the wheel differs from the package in", (names - info) ^ files(source, "flask_otp_auth")
    )
    expect_none("the wheel lacks", {"flask_otp_auth/py.typed"} - names)
    expect_none("dist-info differs in", {name.split("/", 1)[1] for name in info} ^ DIST_INFO)


def check_sdist(sdist: Path, source: Path) -> None:
    """Expect the package, and the tests, docs, examples and benchmarks whole."""
    with tarfile.open(sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    wanted = TOP_LEVEL | files(source, "flask_otp_auth", "tests", "docs", "examples", "benchmarks")
    expect_none("the sdist lacks", wanted - names)
    expect_none("the sdist has", {n for n in names if STRAY & set(PurePosixPath(n).parts)})


def check_urls(metadata: str, repository: str) -> None:
    """Expect the URLs that a page of PyPI should have, and the source where the release is made."""
    lines = HeaderParser().parsestr(metadata).get_all("Project-URL", [])
    urls = dict(line.split(", ", 1) for line in lines)
    if missing := sorted(URLS - urls.keys()):
        sys.exit(f"the metadata has no URL for {', '.join(missing)}. {ADD_URLS}")
    if urls["Source"].rstrip("/") != repository.rstrip("/"):
        sys.exit(f"Source of the metadata is not {repository}, but {urls['Source']}. {ADD_URLS}")
    for label, url in urls.items():
        if not url.startswith("https://"):
            sys.exit(f"{label} is not https: {url}. {ADD_URLS}")


def metadata_of(wheel: Path) -> str:
    """Return the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name).decode()


def files(source: Path, *folders: str) -> set[str]:
    """Return the files in folders of the source, by their paths in it."""
    found = (file for folder in folders for file in (source / folder).rglob("*"))
    return {
        file.relative_to(source).as_posix()
        for file in found
        if file.is_file() and not STRAY & set(file.parts)
    }


def expect_none(what: str, names: set[str]) -> None:
    """Fail if there are names, and say which."""
    if names:
        sys.exit(f"{what} {', '.join(sorted(names))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("dist", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--repository", help="where a release is made")
    arguments = parser.parse_args()
    (wheel,) = arguments.dist.glob("*.whl")
    (sdist,) = arguments.dist.glob("*.tar.gz")
    check_wheel(wheel, arguments.source)
    check_sdist(sdist, arguments.source)
    if arguments.repository is not None:
        check_urls(metadata_of(wheel), arguments.repository)
