"""Protects the OpenAPI document: every endpoint and verb is in it, references lead somewhere, and it is JSON."""

from __future__ import annotations

import json
import re

from one_bridge.server import docs_page, schema
from one_bridge.server.endpoints import ENDPOINTS

VERBS = {"create": ("", "post"), "read": ("/{id}", "get"), "update": ("/{id}", "patch"), "delete": ("/{id}", "delete")}


def test_each_verb_of_each_endpoint_is_an_operation():
    paths = schema.openapi("1.2.3")["paths"]
    for name, endpoint in ENDPOINTS.items():
        assert "get" in paths[f"/{name}"]
        for verb, (suffix, method) in VERBS.items():
            if verb in (*endpoint.verbs, *endpoint.own_verbs):
                assert method in paths[f"/{name}{suffix}"], (name, verb)


def test_references_lead_to_schemas_and_parameters_of_paths_are_declared():
    document = schema.openapi("1.2.3")
    text = json.dumps(document)
    assert set(re.findall(r"#/components/schemas/([\w-]+)", text)) <= set(document["components"]["schemas"])
    for path, operations in document["paths"].items():
        common = operations.get("parameters", [])
        for method, operation in operations.items():
            if method != "parameters":
                declared = {
                    item["name"] for item in [*common, *operation.get("parameters", [])] if item["in"] == "path"
                }
                assert declared == set(re.findall(r"{(\w+)}", path)), (path, method)
                assert {"400", "403", "404", "409", "413", "500", "503"} < set(operation["responses"])


def test_what_is_read_only_says_so():
    weighing = schema.openapi("0")["components"]["schemas"][ENDPOINTS["weighings"].label]["properties"]
    assert weighing["url"]["readOnly"] and "readOnly" not in weighing["weight"]


def test_the_page_of_the_document_brings_its_script():
    assert "1.2.3" in docs_page.page("1.2.3") and "&lt;" in docs_page.page("<")
    assert docs_page.script().is_file()
