"""The page of the HTTP API has every operation, answer and error code of the description."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from documentation import ROOT

from flask_otp_auth.openapi import SHIPPED

pytest.importorskip("sphinx", reason="Sphinx is only in the extra dev")

PAGE = ROOT / "docs" / "http.rst"
DESCRIPTION = json.loads(SHIPPED.read_text(encoding="utf-8"))
SCHEMAS = DESCRIPTION["components"]["schemas"]
CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "docs" / "_ext")!r})
extensions = ["otp_openapi"]
smartquotes = False
suppress_warnings = ["ref.*"]  # the other pages are not here
"""


def build(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """Build the page alone, as XML."""
    source = folder / "source"
    source.mkdir()
    (source / "conf.py").write_text(CONF)
    (source / "index.rst").write_text(page)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "xml", str(source), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ElementTree.Element]:
    """The sections of the page, by their anchors."""
    folder = tmp_path_factory.mktemp("page")
    built = build(folder, PAGE.read_text())
    assert built.returncode == 0, built.stderr
    tree = ElementTree.parse(folder / "index.xml")
    return {
        anchor: section
        for section in tree.iter("section")
        for anchor in section.get("ids", "").split()
    }


def text_of(part: ElementTree.Element) -> str:
    return " ".join("".join(part.itertext()).split())


def definitions(section: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """Return the definitions of a section, by what they define."""
    return {text_of(item[0]): item for item in section.iter("definition_list_item")}


def examples_in(part: ElementTree.Element) -> list[Any]:
    return [json.loads("".join(block.itertext())) for block in part.iter("literal_block")]


def examples_of(described: Any) -> list[Any]:
    return [
        example["value"]
        for content in described.get("content", {}).values()
        for example in content["examples"].values()
    ]


@pytest.mark.parametrize("path", DESCRIPTION["paths"])
def test_the_page_has_every_answer_of_an_operation_and_its_codes(
    path: str, sections: dict[str, ElementTree.Element]
) -> None:
    operation = DESCRIPTION["paths"][path]["post"]
    section = sections[f"http-{path.rpartition('/')[2]}"]
    found = definitions(section)

    assert text_of(section[0]) == f"POST {path}"
    assert operation["summary"] in text_of(section)
    for status, answer in operation["responses"].items():
        text = text_of(found[status])
        assert answer["description"].replace("`", "") in text
        assert ("With the header Retry-After" in text) == ("Retry-After" in answer["headers"])
        examples = examples_of(answer)
        codes = {example["error"]["code"] for example in examples if "error" in example}
        assert codes <= set(text.replace(".", "").split())
        told = [example for example in examples if "error" not in example]
        assert examples_in(found[status]) == told


@pytest.mark.parametrize("path", DESCRIPTION["paths"])
def test_the_page_has_every_member_of_a_request_and_whether_it_is_needed(
    path: str, sections: dict[str, ElementTree.Element]
) -> None:
    operation = DESCRIPTION["paths"][path]["post"]
    section = sections[f"http-{path.rpartition('/')[2]}"]
    found = definitions(section)

    for parameter in operation.get("parameters", ()):
        assert parameter["description"] in text_of(found[parameter["name"]])
    if "requestBody" not in operation:
        return
    [content] = operation["requestBody"]["content"].values()
    schema = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]
    for name, member in schema["properties"].items():
        text = text_of(found[name])
        assert member["description"].replace("`", "") in text
        assert ("required" if name in schema["required"] else "optional") in text
        assert str(member.get("maxLength", "")) in text
    for example in examples_of(operation["requestBody"]):
        assert example in examples_in(section)


def test_the_page_has_every_error_code_with_an_example(
    sections: dict[str, ElementTree.Element],
) -> None:
    found = definitions(sections["errors"])
    codes = {
        code: when
        for schema in SCHEMAS.values()
        for code, when in schema.get("properties", {})
        .get("code", {})
        .get("x-enumDescriptions", {})
        .items()
    }

    assert len(codes) == 13
    for code, when in codes.items():
        assert when.replace("`", "") in text_of(found[code])
        [example] = examples_in(found[code])
        assert example["error"]["code"] == code


def test_the_page_has_every_header(sections: dict[str, ElementTree.Element]) -> None:
    found = text_of(sections["headers"])

    for header in DESCRIPTION["components"]["headers"].values():
        assert header["description"] in found


def test_the_page_says_what_each_of_several_examples_is(
    sections: dict[str, ElementTree.Element],
) -> None:
    for path, item in DESCRIPTION["paths"].items():
        operation = item["post"]
        section = sections[f"http-{path.rpartition('/')[2]}"]
        captions = [text_of(caption) for caption in section.iter("caption")]
        several = [
            example["summary"]
            for part in (operation.get("requestBody", {}), *operation["responses"].values())
            for content in part.get("content", {}).values()
            if len(content["examples"]) > 1
            for example in content["examples"].values()
            if "error" not in example["value"]
        ]
        assert sorted(captions) == sorted(several)
    assert "A code sent by SMS" in text_of(sections["http-initiate"])


def test_the_page_has_words_for_every_pattern(sections: dict[str, ElementTree.Element]) -> None:
    patterned = list(schemas_with("pattern", DESCRIPTION))
    page = " ".join(text_of(section) for section in sections.values())

    assert len(patterned) >= 5
    for schema in patterned:
        assert schema["description"].replace("`", "") in page
        assert schema["pattern"] not in page


def schemas_with(keyword: str, part: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema in a part of the description that has a keyword."""
    if isinstance(part, dict):
        if isinstance(part.get(keyword), str):
            yield part
        for value in part.values():
            yield from schemas_with(keyword, value)
    elif isinstance(part, list):
        for value in part:
            yield from schemas_with(keyword, value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "directive", [".. otp-operation:: logout", ".. otp-errors::", ".. otp-headers::"]
)
def test_a_page_without_a_part_of_the_description_is_not_built(
    directive: str, tmp_path: Path
) -> None:
    page = PAGE.read_text()
    assert directive in page

    built = build(tmp_path, page.replace(directive, ""))

    assert "no page describes it" in built.stderr
    assert built.returncode != 0
