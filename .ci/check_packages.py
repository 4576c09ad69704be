"""Check what is in the wheel and in the sdist: check_packages.py DIST SOURCE."""

from __future__ import annotations

import sys
import tarfile
import zipfile
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
    """Expect the package, and the tests, the docs and the examples whole."""
    with tarfile.open(sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    wanted = TOP_LEVEL | files(source, "flask_otp_auth", "tests", "docs", "examples")
    expect_none("the sdist lacks", wanted - names)
    expect_none("the sdist has", {n for n in names if STRAY & set(PurePosixPath(n).parts)})


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
    dist, source = (Path(argument) for argument in sys.argv[1:])
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    check_wheel(wheel, source)
    check_sdist(sdist, source)
