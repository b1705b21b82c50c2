"""A real browser, driven over its DevTools protocol: headless Chromium on a loopback socket."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
START_S = 60.0
"""A browser that has not opened its port by then is broken."""
QUIET = ("gpu", "background-networking", "component-update", "sync", "extensions", "dev-shm-usage")


def chromium() -> str:
    """Return the browser's path; skip the test where none is installed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed: `apt-get install -y chromium`")
    return found


class Browser:
    """One page of a running browser."""

    def __init__(self, port: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.calls = 0
        self._run(self._connect(port))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    async def _connect(self, port: int) -> None:
        import aiohttp

        self.session = aiohttp.ClientSession()
        async with self.session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [one for one in await answer.json() if one["type"] == "page"]
        address = pages[0]["webSocketDebuggerUrl"]
        self.socket = await self.session.ws_connect(address, max_msg_size=0)

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self.calls += 1
        await self.socket.send_json({"id": self.calls, "method": method, "params": params})
        while True:
            answer = json.loads(await self.socket.receive_str())
            if answer.get("id") == self.calls:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method of the protocol."""
        return self._run(self._call(method, **params))

    def run(self, script: str) -> Any:
        """Evaluate a script, as a person's click would, await its promise, return its value."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.until(
            f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'"
        )

    def until(self, condition: str) -> None:
        """Wait until a condition of the page holds.

        Raises:
            AssertionError: it does not within 30 s.
        """
        for _ in range(600):
            if self.run(condition):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {condition}")

    def press(self, key: str) -> None:
        """Press and release a key of one letter, or a named one such as `Backspace`."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def close(self) -> None:
        """Leave the socket."""
        self._run(self.socket.close())
        self._run(self.session.close())
        self.loop.close()


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it with all its processes."""
    command = [chromium(), "--headless=new", "--no-sandbox", "--no-first-run"]
    command += [f"--disable-{name}" for name in QUIET]
    command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        page = Browser(_port(profile / "DevToolsActivePort"))
        try:
            yield page
        finally:
            page.close()
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _port(file: Path) -> int:
    for _ in range(round(START_S / 0.1)):
        if file.exists() and (lines := file.read_text().split()):
            return int(lines[0])
        time.sleep(0.1)
    raise AssertionError("the browser does not open its port")
