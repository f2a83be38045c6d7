"""A relay between playwright and Debian's Firefox: playwright 1.65 sends BiDi commands that it does not know.

Run as the browser's executable: ``python -m tests.page.firefox.bidi FIREFOX ARGUMENTS``. It starts Firefox,
relays the BiDi socket, and answers the commands of ``UNKNOWN`` itself, as done. Those emulate colours and
motion, so a test in Firefox sees the defaults. Downloads get the id that playwright knows them by.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

# Firefox answers no pings.
SOCKET: dict[str, Any] = {"max_size": None, "compression": None, "ping_interval": None}

UNKNOWN = frozenset({"emulation.setMediaFeaturesOverride"})

DOWNLOAD = '"browsingContext.download'
"""Stands in each event of a download."""

LONGEST_LINE = 2**24
"""Bytes of a line that Firefox writes: of an error it writes all of the script."""

_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://[^\s]+)")


async def main(executable: str, arguments: list[str]) -> int:
    """Run Firefox to its end; returns its exit status."""
    firefox = await asyncio.create_subprocess_exec(
        executable, *arguments, stderr=asyncio.subprocess.PIPE, limit=LONGEST_LINE
    )
    assert firefox.stderr is not None
    async for line in firefox.stderr:
        if found := _LISTENING.search(line):
            port = await _relay(found[1].decode())
            line = b"WebDriver BiDi listening on ws://127.0.0.1:%d\n" % port
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
    return await firefox.wait()


async def _relay(address: str) -> int:
    """Open a socket that leads to Firefox's; returns its port."""

    async def handle(playwright: ServerConnection) -> None:
        assert playwright.request is not None
        async with connect(address + playwright.request.path, **SOCKET) as firefox:
            upwards = asyncio.create_task(_answers(playwright, firefox))
            try:
                async for message in playwright:
                    await _command(playwright, firefox, message)
            except ConnectionClosed:
                pass
            finally:
                upwards.cancel()

    server = await serve(handle, "127.0.0.1", 0, **SOCKET)
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


async def _command(playwright: ServerConnection, firefox: ClientConnection, message: str | bytes) -> None:
    command = json.loads(message)
    if command["method"] in UNKNOWN:
        await playwright.send(json.dumps({"type": "success", "id": command["id"], "result": {}}))
    else:
        await firefox.send(message)


async def _answers(playwright: ServerConnection, firefox: ClientConnection) -> None:
    names: dict[str, str] = {}
    async for message in firefox:
        assert isinstance(message, str)
        if DOWNLOAD in message:
            message = json.dumps(_download(json.loads(message), names))
        await playwright.send(message)
    await playwright.close()


def _download(event: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Give the event of a download its id, and the file the name under which playwright reads it.

    A download that a link starts is no navigation, and Firefox has no other id for it; each has an address of
    its own on this page. Where a file of its name is there already, Firefox chooses another.
    """
    facts = event.get("params", {})
    if event.get("method") == "browsingContext.downloadWillBegin":
        names[facts["url"]] = facts["suggestedFilename"]
    elif event.get("method") == "browsingContext.downloadEnd" and facts["status"] == "complete":
        saved = Path(facts["filepath"])
        saved.replace(saved.with_name(names[facts["url"]]))
    else:
        return event
    facts["download"] = facts["url"]
    return event


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
