"""Hooks of MkDocs: pages that are not in docs/, and links that lead out of it.

The documents at the root of the repository become pages, the HTTP calls are written from ``/openapi.json``,
and the library's reference from its docstrings. A link to a source file becomes its text, as the site has no
sources.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "README.md": "start.md",
    "WEBSOCKET_README.md": "kani-protocol.md",
    "examples/README.md": "examples.md",
}
"""Documents that are not in docs/, and their pages."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")

LIBRARY = """# The library's reference

What `from kani import …` offers, with an example of each on the [library's page](library.md).

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    # MkDocs takes back what a hook's module adds to the path.
    sys.path.insert(0, str(ROOT))
    import kani

    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    references = "\n".join(f"::: kani.{name}\n" for name in kani.__all__)
    files.append(File.generated(config, "library-reference.md", content=LIBRARY + references))
    files.append(File.generated(config, "http-reference.md", content=http_reference()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    sources = {to: source for source, to in OUTSIDE.items()}
    source = PurePosixPath(sources.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def link(found: re.Match[str]) -> str:
        image, text, target, anchor = found.groups()
        path = os.path.normpath(source.parent / target)
        if path in OUTSIDE:
            to = OUTSIDE[path]
        elif path.startswith("docs/") and not path.endswith(".yml"):
            to = path.removeprefix("docs/")
        else:
            return str(text)
        relative = os.path.relpath(to, PurePosixPath(page.file.src_uri).parent)
        return f"{image}[{text}]({relative}{anchor or ''})"

    if page.file.src_uri in sources:
        # The address of a page is a folder.
        markdown = markdown.replace('src="docs/', 'src="../')
    blocks = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(block if number % 2 else LINK.sub(link, block) for number, block in enumerate(blocks))


def http_reference() -> str:
    """Return the page of all HTTP calls."""
    from kani.composition import settings
    from kani.server.app import access_rules, protocols_for
    from kani.server.calls import call_group
    from kani.server.openapi import build_document

    defaults = settings.load({}, {}, Path("no file"))
    protocols = protocols_for(defaults)
    rules = access_rules(defaults, protocols)
    document = build_document(call_group("text/plain"), protocols, rules, "")
    lines = [
        "# HTTP reference",
        "",
        "Every HTTP call, made from `/openapi.json`, which the server serves.",
        "",
    ]
    for tag in document["tags"]:
        lines += [f"## {tag['name']}", "", tag["description"], ""]
        for path, methods in document["paths"].items():
            for method, call in methods.items():
                if call["tags"][0] == tag["name"]:
                    lines += _call(f"{method.upper()} {path}", call, document["components"]["schemas"])
    return "\n".join(lines)


def _call(name: str, call: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    lines = [f"### `{name}`", "", f"{call['summary']}. {call.get('description', '')}".strip(), ""]
    for parameter in call.get("parameters", ()):
        lines.append(_field(parameter["name"], parameter.get("schema", {}), parameter.get("description", "")))
    for media_type, body in call.get("requestBody", {}).get("content", {}).items():
        schema = body["schema"]
        schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        lines += ["", f"Body, `{media_type}`:", ""]
        for field, about in schema.get("properties", {}).items():
            lines.append(_field(field, about, about.get("description", "")))
    statuses = ", ".join(f"`{status}`" for status in call["responses"])
    return [*lines, "", f"Answers: {statuses}", ""]


def _field(name: str, schema: dict[str, Any], about: str) -> str:
    kinds = schema.get("type") or "value"
    kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
    limits = {
        "minimum": "from {}",
        "maximum": "to {}",
        "maxLength": "at most {} characters",
        "default": "default {}",
    }
    told = [text.format(schema[key]) for key, text in limits.items() if key in schema]
    # A bracket of a description is no link.
    description = about.replace("\n", " ").replace("[", "\\[")
    return f"- `{name}` ({', '.join([kind, *told])}) {description}".rstrip()
