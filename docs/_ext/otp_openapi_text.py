"""The OpenAPI file in words: the reStructuredText that ``otp_openapi`` puts on a page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

Schema = dict[str, Any]
Lines = list[str]

# A longer pattern is for machines; what it means is in the description beside it.
_PATTERN_MAX = 40


@dataclass(frozen=True)
class Api:
    """A description of OpenAPI 3.1."""

    description: Schema

    @classmethod
    def read(cls, file: Path) -> Api:
        """Read it from a file."""
        return cls(json.loads(file.read_text(encoding="utf-8")))

    @property
    def operations(self) -> dict[str, tuple[str, str, Schema]]:
        """The method, the path and the description of each operation, by the end of its path."""
        return {
            path.rpartition("/")[2]: (method.upper(), path, operation)
            for path, item in self.description["paths"].items()
            for method, operation in item.items()
        }

    def resolve(self, schema: Schema) -> Schema:
        """Follow a reference; what stands beside it counts more."""
        if "$ref" not in schema:
            return schema
        found: Any = self.description
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return {**self.resolve(found), **{k: v for k, v in schema.items() if k != "$ref"}}

    def operation(self, name: str, more: Lines) -> Lines:
        """Return the section about an operation.

        :param more: what the page adds to it.
        """
        method, path, operation = self.operations[name]
        title = f"``{method} {path}``"
        lines = [f".. _http-{name}:", "", title, "-" * len(title), "", prose(operation["summary"])]
        lines += ["", prose(operation["description"]), "", *more, "", *heading("Request")]
        lines += self._request(operation)
        lines += heading("Answers")
        for status, answer in sorted(operation["responses"].items()):
            lines += [f"``{status}`` : {HTTP_STATUS_CODES[int(status)]}"]
            lines += indented(self._answer(answer))
        return lines

    def _request(self, operation: Schema) -> Lines:
        lines: Lines = []
        schemes = self.description["components"]["securitySchemes"]
        for asked in operation["security"]:
            lines += [f"- {prose(schemes[name]['description'])}" for name in asked]
            lines += [] if asked else ["- Neither."]
        lines += [""]
        for parameter in operation.get("parameters", ()):
            about = f"{type_of(parameter['schema'])} in the {parameter['in']}"
            lines += member(parameter["name"], about, parameter, parameter["required"])
        if "requestBody" in operation:
            for media_type, content in operation["requestBody"]["content"].items():
                lines += [f"A body of ``{media_type}``:", ""]
                lines += self._members(self.resolve(content["schema"]), "")
                for example in content["examples"].values():
                    lines += code(example["value"])
        return lines

    def _answer(self, answer: Schema) -> Lines:
        lines = [prose(answer["description"])]
        own = [header for header in answer["headers"] if header not in self._common_headers()]
        if own:
            lines += ["", "With the header " + ", ".join(f"``{header}``" for header in own) + "."]
        lines += [""]
        for content in answer.get("content", {}).values():
            examples = [example["value"] for example in content["examples"].values()]
            codes = {value["error"]["code"]: None for value in examples if "error" in value}
            if codes:
                links = [f":ref:`{code} <http-error-{code.lower()}>`" for code in codes]
                lines += [f"``error.code``: {' or '.join(links)}.", ""]
                continue
            lines += self._members(self.resolve(content["schema"]), "")
            for value in examples:
                lines += code(value)
        return lines

    def _members(self, schema: Schema, above: str) -> Lines:
        """Return a definition for each member of an object, and of those inside it."""
        lines: Lines = []
        required = schema.get("required", ())
        ordered = sorted(schema["properties"], key=lambda name: name not in required)
        for name in ordered:
            value, path = self.resolve(schema["properties"][name]), f"{above}{name}"
            alternatives = [self.resolve(one) for one in value.get("oneOf", ())]
            for number, one in enumerate(alternatives):
                lines += [f"{'Or' if number else 'Either'}: {prose(one['description'])}", ""]
                lines += self._members(one, f"{path}.")
            if alternatives:
                continue
            if "properties" in value:
                lines += self._members(value, f"{path}.")
                continue
            choices = [self.resolve(one) for one in value.get("anyOf", (value,))]
            about = " or ".join(type_of(choice) for choice in choices)
            lines += member(path, about, value, name in required)
            for choice in choices:
                if choice is not value and "description" in choice:
                    lines += indented([*meaning(choice)])
            lines += indented(self._conditions(schema, name))
        return lines

    def _conditions(self, schema: Schema, name: str) -> Lines:
        """Return what is asked of a member only if another one has a certain value."""
        lines: Lines = []
        for rule in schema.get("allOf", ()):
            for other, value in rule["if"]["properties"].items():
                then = rule["then"]["properties"].get(name)
                if then is not None:
                    words = " ".join(meaning(then)).strip()
                    lines += [f"- With ``{other}`` ``{value['const']}``: {words}"]
        return lines

    def _answers(self) -> list[tuple[str, str, Schema]]:
        return [
            (name, status, answer)
            for name, (_, _, operation) in self.operations.items()
            for status, answer in operation["responses"].items()
        ]

    def _common_headers(self) -> set[str]:
        return set.intersection(*(set(answer["headers"]) for _, _, answer in self._answers()))

    def headers(self) -> Lines:
        """Return a definition for each header of the answers."""
        lines: Lines = []
        common = self._common_headers()
        found: dict[str, Schema] = {}
        statuses: dict[str, set[str]] = {}
        for _, status, answer in self._answers():
            for header, schema in answer["headers"].items():
                found[header] = self.resolve(schema)
                statuses.setdefault(header, set()).add(status)
        for header, about in found.items():
            where = "every answer" if header in common else " and ".join(sorted(statuses[header]))
            value = about["schema"].get("const")
            name = header if value is None else f"{header}: {value}"
            lines += [f"``{name}`` : {where}", *indented([prose(about["description"])])]
        return lines

    def errors(self) -> Lines:
        """Return the form of errors, and a definition with an example for each code."""
        schemas: dict[str, Schema] = {}
        shown: dict[str, list[tuple[str, Schema]]] = {}
        for name, status, answer in self._answers():
            for content in answer.get("content", {}).values():
                schema = self.resolve(content["schema"])
                if "error" in schema["properties"]:
                    schemas[status] = self.resolve(schema["properties"]["error"])
                    for example in content["examples"].values():
                        code_ = example["value"]["error"]["code"]
                        shown.setdefault(code_, []).append((name, example["value"]))
        lines = self._error_members(schemas)
        for status, schema in sorted(schemas.items()):
            for code_, when in schema["properties"]["code"]["x-enumDescriptions"].items():
                lines += [f".. _http-error-{code_.lower()}:", ""]
                lines += [f"``{code_}`` : {status} {HTTP_STATUS_CODES[int(status)]}"]
                lines += indented([prose(when), "", *_shown(shown[code_])])
        return lines

    def _error_members(self, schemas: dict[str, Schema]) -> Lines:
        lines: Lines = []
        members = {
            name: value
            for schema in schemas.values()
            for name, value in schema["properties"].items()
        }
        for name, value in members.items():
            having = [status for status, schema in schemas.items() if name in schema["properties"]]
            required = all(name in schemas[status].get("required", ()) for status in having)
            about = type_of(value)
            if len(having) < len(schemas):
                about += f", with {' and '.join(sorted(having))}"
            told = {"description": value["description"]}
            lines += member(f"error.{name}", about, told, required)
        return lines


def _shown(examples: list[tuple[str, Schema]]) -> Lines:
    """Return which operations answer with a code, with which texts, and the first example."""
    operations = [f":ref:`{name} <http-{name}>`" for name in dict.fromkeys(n for n, _ in examples)]
    details = dict.fromkeys(value["error"]["detail"] for _, value in examples)
    texts = " or ".join(f"``{detail}``" for detail in details)
    lines = [f"``error.detail`` is {texts}. From {', '.join(operations)}."]
    return [*lines, "", *code(examples[0][1])]


def heading(text: str) -> Lines:
    """Return a heading that is in no table of contents."""
    return [f".. rubric:: {text}", "   :heading-level: 3", ""]


def code(value: Any) -> Lines:
    """Return an example."""
    text = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    return [".. code-block:: json", "", *(f"   {line}" for line in text), ""]


def indented(lines: Lines) -> Lines:
    """Return lines as they stand in a definition."""
    return [*(f"   {line}" if line else "" for line in lines), ""] if lines else []


def prose(text: str) -> str:
    """Return a text of the description, which marks code as Markdown does."""
    return re.sub(r"`([^`]+)`", r"``\1``", text)


def member(name: str, about: str, schema: Schema, is_required: bool) -> Lines:
    """Return the definition of a member."""
    needed = "required" if is_required else "optional"
    return [f"``{name}`` : {about}, {needed}", *indented(meaning(schema))]


def meaning(schema: Schema) -> Lines:
    """Return what a value is for and its bounds, in words."""
    words = ", ".join(bounds(schema))
    sentences = [prose(schema.get("description", "")), f"{words[:1].upper()}{words[1:]}."]
    return [" ".join(sentence for sentence in sentences if sentence.strip("."))]


def type_of(schema: Schema) -> str:
    """Return the type of a value in words."""
    name = schema.get("type", "any value")
    return f"{name} ({schema['format']})" if "format" in schema else str(name)


def bounds(schema: Schema) -> list[str]:
    """Return what is asked of a value besides its type, in words."""
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    found = [" or ".join(f"``{value}``" for value in values)] if values else []
    if len(values) == 1:
        found = [f"always {found[0]}"]
    for least, most, unit in (
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
        ("minProperties", "maxProperties", " members"),
    ):
        if words := _between(schema.get(least), schema.get(most)):
            found.append(words + unit)
    if 0 < len(schema.get("pattern", "")) < _PATTERN_MAX:
        found.append(f"of the form ``{schema['pattern']}``")
    if "propertyNames" in schema:
        names = ", ".join(bounds(schema["propertyNames"]))
        found.append(f"whose names have {names}")
    return found


def _between(least: int | None, most: int | None) -> str:
    if least is not None and least == most:
        return f"always {least}"
    if least is not None and most is not None:
        return f"{least} to {most}"
    if least is not None:
        return f"at least {least}"
    return "" if most is None else f"at most {most}"
