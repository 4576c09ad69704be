"""Writes the OpenAPI file as reStructuredText, which ``otp_openapi`` puts on a page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

Schema = dict[str, Any]
Lines = list[str]

_BOUNDS = {
    "minLength": "It has at least {} characters.",
    "maxLength": "It has at most {} characters.",
    "minimum": "It is at least {}.",
    "maximum": "It is at most {}.",
    "maxProperties": "It has at most {} members.",
}
# What is said of a member that is required, and of one that is not.
_OF_REQUEST = ("required", "optional")
_OF_ANSWER = ("always present", "may be absent")


@dataclass(frozen=True)
class Api:
    """An OpenAPI 3.1 description."""

    description: Schema

    @classmethod
    def read(cls, file: Path) -> Api:
        """Read it from a file."""
        return cls(json.loads(file.read_text(encoding="utf-8")))

    @property
    def operations(self) -> dict[str, tuple[str, str, Schema]]:
        """The method, path and operation object of each operation, by the last part of its path."""
        return {
            path.rpartition("/")[2]: (method.upper(), path, operation)
            for path, item in self.description["paths"].items()
            for method, operation in item.items()
        }

    def resolve(self, schema: Schema) -> Schema:
        """Follow a reference; keywords beside it override those of its target."""
        if "$ref" not in schema:
            return schema
        found: Any = self.description
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return {**self.resolve(found), **{k: v for k, v in schema.items() if k != "$ref"}}

    def operation(self, name: str, more: Lines) -> Lines:
        """Return the section about an operation.

        :param more: the text that the page adds to the description.
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
        if operation["security"]:
            lines += ["The request has one of these:", ""]
        for scheme in operation["security"]:
            lines += [f"- {prose(schemes[name]['description'])}" for name in scheme]
            lines += [] if scheme else ["- No token at all."]
        lines += [""]
        for parameter in operation.get("parameters", ()):
            about = f"{type_of(parameter['schema'])} in the {parameter['in']}"
            about += f", {_OF_REQUEST[not parameter['required']]}"
            lines += member(parameter["name"], about, parameter)
        if "requestBody" in operation:
            for media_type, content in operation["requestBody"]["content"].items():
                lines += [f"The body is a JSON object (``{media_type}``) with these members:", ""]
                lines += self._members(self.resolve(content["schema"]), "", _OF_REQUEST)
                lines += examples(content["examples"])
        return lines

    def _answer(self, answer: Schema) -> Lines:
        lines = [prose(answer["description"])]
        if "Retry-After" in answer["headers"]:
            lines += ["", "With the header ``Retry-After``, which says how long to wait."]
        lines += [""]
        for content in answer.get("content", {}).values():
            values = [example["value"] for example in content["examples"].values()]
            codes = {value["error"]["code"]: None for value in values if "error" in value}
            for schema in self._alternatives(content["schema"]):
                if "error" not in schema["properties"]:
                    lines += self._members(schema, "", _OF_ANSWER)
                    told = content["examples"].items()
                    lines += examples({k: one for k, one in told if "error" not in one["value"]})
            if codes:
                links = [f":ref:`{code} <http-error-{code.lower()}>`" for code in codes]
                lines += [f"The ``error.code`` is {' or '.join(links)}.", ""]
        return lines

    def _alternatives(self, schema: Schema) -> list[Schema]:
        """Return the schemas of the bodies that an answer may have."""
        return [self.resolve(one) for one in schema.get("oneOf", [schema])]

    def _members(self, schema: Schema, above: str, presence: tuple[str, str]) -> Lines:
        """Return a definition of each member of an object and of the objects in it.

        :param above: the path of the object, with a dot at its end, or nothing.
        :param presence: what is said of members that are required, and of the others.
        """
        lines: Lines = []
        required = schema.get("required", ())
        ordered = sorted(schema["properties"], key=lambda name: name not in required)
        for name in ordered:
            value, path = self.resolve(schema["properties"][name]), f"{above}{name}"
            if "oneOf" in value:
                lines += self._cases(value, path, presence)
                continue
            if "properties" in value:
                lines += self._members(value, f"{path}.", presence)
                continue
            choices = [self.resolve(one) for one in value.get("anyOf", (value,))]
            about = " or ".join(type_of(choice) for choice in choices)
            lines += member(path, f"{about}, {presence[name not in required]}", value)
            for choice in choices:
                if choice is not value and "description" in choice:
                    lines += indented([*meaning(choice)])
            lines += indented(self._conditions(schema, name))
        return lines

    def _cases(self, schema: Schema, path: str, presence: tuple[str, str]) -> Lines:
        """Return the members of an object that depend on the value of one of them."""
        lines: Lines = []
        by = f"{path}.{schema['discriminator']['propertyName']}"
        for value, reference in schema["discriminator"]["mapping"].items():
            one = self.resolve({"$ref": reference})
            case = f"Then ``{by}`` is ``{value}``, and the answer has these members:"
            lines += [f"{prose(one['description'])} {case}", ""]
            lines += self._members(one, f"{path}.", presence)
        return lines

    def _conditions(self, schema: Schema, name: str) -> Lines:
        """Return what applies to a member only if another member has a certain value."""
        lines: Lines = []
        for rule in schema.get("allOf", ()):
            [(other, value)] = rule["if"]["properties"].items()
            if then := rule["then"]["properties"].get(name):
                lines += [f"- If ``{other}`` is ``{value['const']}``: {meaning(then)[0]}"]
        return lines

    def _answers(self) -> list[tuple[str, str, Schema]]:
        return [
            (name, status, answer)
            for name, (_, _, operation) in self.operations.items()
            for status, answer in operation["responses"].items()
        ]

    def headers(self) -> Lines:
        """Return a definition of each header of the answers."""
        found: dict[str, set[str]] = {}
        about: dict[str, Schema] = {}
        for _, status, answer in self._answers():
            for header, schema in answer["headers"].items():
                about[header] = self.resolve(schema)
                found.setdefault(header, set()).add(status)
        lines: Lines = []
        common = set.intersection(*(set(answer["headers"]) for _, _, answer in self._answers()))
        for header, statuses in found.items():
            where = "every answer" if header in common else listed(sorted(statuses), "and")
            said = {**about[header]["schema"], "description": about[header]["description"]}
            lines += member(header, where, said)
        return lines

    def errors(self) -> Lines:
        """Return the form of errors, and a definition of each code with an example."""
        schemas: dict[str, Schema] = {}
        shown: dict[str, list[tuple[str, Schema]]] = {}
        for name, status, answer in self._answers():
            for content in answer.get("content", {}).values():
                for schema in self._alternatives(content["schema"]):
                    if "error" in schema["properties"]:
                        schemas[status] = self.resolve(schema["properties"]["error"])
                for example in content["examples"].values():
                    if "error" in example["value"]:
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
            required = all(name in schema["required"] for schema in schemas.values())
            about = f"{type_of(value)}, {_OF_ANSWER[not required]}"
            lines += member(f"error.{name}", about, {"description": value["description"]})
        return lines


def _shown(examples: list[tuple[str, Schema]]) -> Lines:
    """Return which operations answer with an error code, with which texts, and an example."""
    operations = [f":ref:`{name} <http-{name}>`" for name in dict.fromkeys(n for n, _ in examples)]
    details = dict.fromkeys(value["error"]["detail"] for _, value in examples)
    texts = listed([f"``{detail}``" for detail in details], "or")
    who = listed(operations, "and")
    lines = [f"It is returned by {who}. The ``error.detail`` is a text such as {texts}."]
    return [*lines, "", *code(examples[0][1])]


def heading(text: str) -> Lines:
    """Return a heading that does not appear in the table of contents."""
    return [f".. rubric:: {text}", "   :heading-level: 3", ""]


def examples(found: dict[str, Schema]) -> Lines:
    """Return the examples of one body; if there are several, each has its summary as a caption."""
    alone = len(found) == 1
    return [
        line
        for example in found.values()
        for line in code(example["value"], None if alone else example["summary"])
    ]


def code(value: Any, caption: str | None = None) -> Lines:
    """Return a block of JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    options = [] if caption is None else [f"   :caption: {caption}"]
    return [".. code-block:: json", *options, "", *(f"   {line}" for line in text), ""]


def listed(words: Lines, conjunction: str) -> str:
    """Return words as they are listed in a sentence."""
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def indented(lines: Lines) -> Lines:
    """Return lines as the body of a definition."""
    return [*(f"   {line}" if line else "" for line in lines), ""] if lines else []


def prose(text: str) -> str:
    """Return a text of the description, which is Markdown, as reStructuredText."""
    return re.sub(r"`([^`]+)`", r"``\1``", text)


def member(name: str, about: str, schema: Schema) -> Lines:
    """Return the definition of a member.

    :param about: its type, and whether it is required.
    """
    return [f"``{name}`` : {about}", *indented(meaning(schema))]


def meaning(schema: Schema) -> Lines:
    """Return what a value means and its bounds, in sentences."""
    return [" ".join([prose(schema.get("description", "")), *bounds(schema)]).strip()]


def type_of(schema: Schema) -> str:
    """Return the type of a value in words."""
    name = schema.get("type", "any value")
    return f"{name} ({schema['format']})" if "format" in schema else str(name)


def bounds(schema: Schema) -> Lines:
    """Return the bounds of a value besides its type, each as a sentence.

    A pattern is for programs, so the description of the value has to say what it means.
    """
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    shown = listed([f"``{value}``" for value in values], "or") if values else ""
    found = [f"The value is {shown}."] if shown else []
    found += [words.format(schema[bound]) for bound, words in _BOUNDS.items() if bound in schema]
    if "propertyNames" in schema:
        names = schema["propertyNames"]
        found.append(" ".join(["Their names:", *bounds(names), prose(names["description"])]))
    return found
