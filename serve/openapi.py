"""The OpenAPI description of a service, with types and an example that can be sent as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftc.tasks import TASKS
from serve.access import HEADER
from serve.bundle import form_of
from serve.example import EXAMPLE_IMAGE, EXAMPLE_PAIR, EXAMPLE_TEXT

if TYPE_CHECKING:
    from serve.bundle import Bundle

Schema = dict[str, Any]

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>ftc</title><link rel="stylesheet" href="./static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script src="./static_content/swagger-ui-standalone-preset.js"></script>
<script src="./static_content/swagger-initializer.js"></script>
</body></html>
"""
"""BentoML's own page reports who opens it to Google Tag Manager; this one has the same contents without that."""

_REFUSALS = {
    "400": "the request is malformed; `error` says where",
    "401": "a key is required and was not given",
    "405": "another method than POST",
    "408": "the body did not arrive in time",
    "413": "the body, or the number of items, is over the limit",
    "415": "a media type that is not taken",
    "503": "too much is waiting or arriving, or the service is not ready; Retry-After says when to try again",
}


def document(bundle: Bundle) -> Schema:
    """OpenAPI 3.0 for the paths of a service."""
    manifest = bundle.artifact.manifest
    is_text = TASKS.load(manifest.task).modality == "text"
    answer = _answer(manifest.labels, is_text)
    content = _texts(bundle) if is_text else _images(bundle)
    refused = {
        code: {"description": says, "content": {"application/json": {"schema": _reference("Refusal")}}}
        for code, says in _REFUSALS.items()
    }
    answered = {"type": "array", "items": _reference("Answer")}
    predict: Schema = {
        "summary": f"Classify {'texts' if is_text else 'images'}",
        "description": "One answer for each item, in their order.",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "answers", "content": {"application/json": {"schema": answered}}},
            **refused,
        },
    }
    if bundle.second is not None:
        named = {"schema": {"type": "string"}, "description": "the model that was chosen; see /metadata"}
        for status, response in predict["responses"].items():
            if status != "401":  # whoever has no key is told nothing of the models
                response["headers"] = {"X-FTC-Variant": named}
    if bundle.second is not None and bundle.second.role == "ab":
        predict["parameters"] = [
            {
                "name": "X-FTC-Session",
                "in": "header",
                "description": "requests with the same value are answered by the same model",
                "schema": {"type": "string"},
            }
        ]
    return {
        "openapi": "3.0.3",
        "info": {"title": manifest.name, "version": manifest.id, "description": f"{manifest.task}, made by ftc"},
        "paths": {
            "/predict": {"post": predict},
            "/metadata": {"get": _get("What is served: lineage, labels, settings, and what was measured")},
            "/livez": {"get": _get("Whether the threads that run the model live", 503)},
            "/readyz": {"get": _get("Whether the model answers its golden examples as it should", 503)},
            "/metrics": {"get": _get("Counters for Prometheus")},
        },
        "components": {
            "schemas": {"Answer": answer, "Refusal": _object({"error": {"type": "string"}}, ["error"])},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": HEADER}},
        },
        "security": [{}, {"key": []}],
    }


def _texts(bundle: Bundle) -> Schema:
    pair = _object({"text": {"type": "string"}, "text_pair": {"type": "string"}}, ["text", "text_pair"])
    one = {"oneOf": [{"type": "string"}, pair]}
    most = bundle.settings.max_items
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": most}
    example = EXAMPLE_PAIR if form_of(bundle.settings.measured) == "pair" else EXAMPLE_TEXT
    schema = _object({"texts": {"oneOf": [{"type": "string"}, pair, several]}, "all_scores": _FLAG}, ["texts"])
    return {"application/json": {"schema": schema, "example": {"texts": [example], "all_scores": True}}}


def _images(bundle: Bundle) -> Schema:
    def schema(kind: str) -> Schema:
        item = {"type": "string", "format": kind}
        several = {"type": "array", "items": item, "minItems": 1, "maxItems": bundle.settings.max_items}
        return _object({"images": several, "all_scores": _FLAG}, ["images"])

    example = {"images": [EXAMPLE_IMAGE], "all_scores": True}
    return {
        "application/json": {"schema": schema("byte"), "example": example},
        "multipart/form-data": {"schema": schema("binary")},
    }


def _answer(labels: tuple[str, ...], is_text: bool) -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    properties: Schema = {"label": {"type": "string", "enum": list(labels)}, "score": share}
    if is_text:
        properties["truncated"] = {"type": "boolean", "description": "longer than the model takes, and cut"}
    required = list(properties)
    properties["scores"] = {**_object(dict.fromkeys(labels, share), labels), "description": "on request"}
    return _object(properties, required)


_FLAG = {"type": "boolean", "default": False, "description": "every label's score, too"}


def _object(properties: Schema, required: list[str] | tuple[str, ...]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _get(summary: str, *refused: int) -> Schema:
    return {"summary": summary, "responses": {str(code): {"description": ""} for code in (200, *refused)}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
