#!/usr/bin/python3
"""Holds daemon/routes.c, config/openapi.json, docs/API.md and what the daemon answered to each other.

    tests/contract/check.py [REPLIES]

REPLIES has one JSON object a line: {"method", "path", "status", "type", "body"}, as tests/support/http_client.c writes
it. Each reply must be one that the description knows, with a body that its schema allows, and every operation that can
succeed must have done so. Says every disagreement; exits 1 where there is one.
"""
import json
import re
import sys
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker, RefResolver

ROOT = Path(__file__).resolve().parents[2]
disagreements = []


def disagree(text):
    disagreements.append(text)
    print(text)


def shape(path):
    """/v1/people/{id} -> /v1/people/{}"""
    return re.sub(r"\{[^}]*\}", "{}", path)


def operations(document):
    """(method, path) -> operation, with the parameters of its path."""
    methods = ("get", "put", "post", "patch", "delete")
    return {(method.upper(), path): item[method]
            for path, item in document["paths"].items() for method in methods if method in item}


def routes():
    table = (ROOT / "daemon/routes.c").read_text()
    return set(re.findall(r'^\s*\{"([A-Z]+)",\s*"([^"]+)"', table, re.M))


def same(what, left_name, left, right_name, right):
    for item in sorted(left - right):
        disagree(f"{what} {' '.join(item)} is in {left_name}, not in {right_name}")
    for item in sorted(right - left):
        disagree(f"{what} {' '.join(item)} is in {right_name}, not in {left_name}")


def check_documents(document):
    described = operations(document)
    same("route", "daemon/routes.c", routes(), "config/openapi.json", {(m, shape(p)) for m, p in described})

    page = (ROOT / "docs/API.md").read_text()
    prose = {(method, shape(path.split("?")[0]))
             for method, path in re.findall(r"`(GET|POST|PATCH|PUT|DELETE) (/[^` ]*)`", page)}
    same("route", "docs/API.md", prose, "config/openapi.json", {(m, shape(p)) for m, p in described})

    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    source = re.findall(r'\] = \{(\d+), "([a-z_0-9]+)"', (ROOT / "daemon/reply.c").read_text())
    same("code", "daemon/reply.c", {(c,) for _, c in source if c != "none"}, "config/openapi.json", {(c,) for c in codes})
    for code in codes:
        if f"`{code}`" not in page:
            disagree(f"code {code} is not in docs/API.md")

    names = [operation["operationId"] for operation in described.values()]
    for name in {n for n in names if names.count(n) > 1}:
        disagree(f"operationId {name} is used twice")
    Draft202012Validator.check_schema({"$defs": document["components"]["schemas"]})
    check_references(document, document)


def check_references(document, node):
    if isinstance(node, list):
        for item in node:
            check_references(document, item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            try:
                resolve(document, node)
            except KeyError:
                disagree(f"{node['$ref']} leads nowhere")
        for item in node.values():
            check_references(document, item)


def resolve(document, node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def match(described, method, path):
    """The operation whose path fits; fixed segments win over parameters."""
    found = [(p.count("{"), (m, p)) for m, p in described
             if m == method and re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(p)), path)]
    return min(found)[1] if found else None


def check_reply(document, described, reply):
    """Returns the operation that has succeeded, if one has."""
    method = "GET" if reply["method"] == "HEAD" else reply["method"]
    path = reply["path"].split("?")[0]
    key = match(described, method, path)
    name = f"{reply['method']} {path}: {reply['status']}"
    media = reply["type"].split(";")[0]
    if key:
        response = described[key]["responses"].get(str(reply["status"]))
        if response is None:
            return disagree(f"{name} is not described")
        content = resolve(document, response).get("content", {})
    else:
        content = {media: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if reply["method"] == "HEAD":
        return None
    if not content:
        if reply["body"]:
            disagree(f"{name} has a body")
    elif media not in content:
        disagree(f"{name} is {media or 'without a type'}, not {', '.join(content)}")
    elif media in ("application/json", "application/problem+json"):
        validator = Draft202012Validator(content[media]["schema"], resolver=RefResolver("", document),
                                         format_checker=FormatChecker())
        for error in validator.iter_errors(json.loads(reply["body"])):
            disagree(f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message}")
    return key if reply["status"] < 300 else None


def main():
    document = json.loads((ROOT / "config/openapi.json").read_text())
    check_documents(document)
    if len(sys.argv) > 1:
        described = operations(document)
        succeeded = set()
        for line in Path(sys.argv[1]).read_text().splitlines():
            succeeded.add(check_reply(document, described, json.loads(line)))
        can = {key for key in described if any(status < "300" for status in described[key]["responses"])}
        for key in sorted(can - succeeded):
            disagree(f"{' '.join(key)} never succeeded")
    return 1 if disagreements else 0


sys.exit(main())
