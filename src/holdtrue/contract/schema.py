"""The JSON Schemas that are published: of the contract document and of the report. Both derive from the models."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from holdtrue.contract.document import Document
from holdtrue.contract.report import Report

Schema = dict[str, Any]


def document_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of ``holdtrue.toml``; editors complete and check the file with it.

    It says what a part may look like; whether the parts fit together only the reader can say.
    """
    schema = Document.model_json_schema(by_alias=True, mode="validation")
    return _published(schema, "The contract document of holdtrue (holdtrue.toml)")


def report_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of the report that ``holdtrue check --json`` writes."""
    return _published(Report.model_json_schema(by_alias=True, mode="serialization"), "The report of holdtrue check")


def _published(schema: Schema, title: str) -> Schema:
    tidy: Schema = _tidy(schema)
    return {"$schema": GenerateJsonSchema.schema_dialect} | tidy | {"title": title}


def _tidy(node: Any) -> Any:
    """Close what pydantic leaves open, and write descriptions as Markdown on one line."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items()}
    if "patternProperties" in tidy:
        # A key that does not match is refused by the models, but pydantic's schema lets it pass.
        tidy.setdefault("additionalProperties", False)
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split()).replace("``", "`")
    return tidy
