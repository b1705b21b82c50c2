"""A small stand-in for the Jobs REST API of Ray's dashboard, over HTTP on the loopback device.

It speaks what Ray 2.60's JobSubmissionClient asks for; tests say when it loses a connection.
"""

import asyncio
import threading
from typing import Any

from aiohttp import web


class FakeJobs:
    """Jobs by id; a test changes `status`, `log` and the faults while it runs."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.log = ["one\n", "two\n", "three\n"]
        self.end = "SUCCEEDED"
        """Status after the log was sent as a whole."""
        self.lost_requests = 0
        """So many requests to come are cut without an answer."""
        self.lost_tails: list[int] = []
        """How many pieces the next readers of a log get before the connection is cut."""
        self.lost_answers = 0
        """So many submissions are taken, and their answers lost."""
        self.hangs = False
        self.stays = False
        """The log stays open at its end and the job runs on until it is stopped."""
        self.stopped: list[str] = []
        self.tails = 0
        self.address = ""
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "FakeJobs":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add(self, job_id: str, metadata: dict[str, str], status: str = "RUNNING") -> None:
        """Have a job, as if somebody had submitted it."""
        self.jobs[job_id] = {"type": "SUBMISSION", "entrypoint": "x", "submission_id": job_id}
        self.jobs[job_id] |= {"status": status, "metadata": metadata, "message": f"it {status}"}

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(middlewares=[self._faults], client_max_size=2**29)
        app.add_routes(
            [
                web.get("/api/version", self._version),
                web.get("/api/packages/{protocol}/{name}", self._package),
                web.put("/api/packages/{protocol}/{name}", self._package),
                web.post("/api/jobs/", self._submit),
                web.get("/api/jobs/{id}", self._info),
                web.get("/api/jobs/{id}/logs", self._logs),
                web.get("/api/jobs/{id}/logs/tail", self._tail),
                web.post("/api/jobs/{id}/stop", self._stop),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    @web.middleware
    async def _faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.hangs:
            await asyncio.sleep(30)
        if self.lost_requests > 0:
            self.lost_requests -= 1
            _cut(request)
        found: web.StreamResponse = await handler(request)
        return found

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "x"})

    async def _package(self, request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    async def _submit(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["submission_id"] in self.jobs:
            return web.Response(status=500, text="Job with submission_id x already exists.")
        self.add(asked["submission_id"], asked["metadata"])
        self.jobs[asked["submission_id"]]["entrypoint"] = asked["entrypoint"]
        if self.lost_answers > 0:
            self.lost_answers -= 1
            _cut(request)
        return web.json_response({"job_id": "", "submission_id": asked["submission_id"]})

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(self._job(request))

    async def _logs(self, request: web.Request) -> web.Response:
        self._job(request)
        return web.json_response({"logs": "".join(self.log)})

    async def _stop(self, request: web.Request) -> web.Response:
        self._job(request)["status"] = "STOPPED"
        self.stopped.append(request.match_info["id"])
        return web.json_response({"stopped": True})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        job = self._job(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.tails += 1
        pieces = self.lost_tails.pop(0) if self.lost_tails else len(self.log)
        for piece in self.log[:pieces]:
            await socket.send_str(piece)
        if pieces < len(self.log):
            assert request.transport
            await asyncio.sleep(0.05)
            request.transport.abort()
            return socket
        while self.stays and job["status"] == "RUNNING":
            await asyncio.sleep(0.02)
        if job["status"] == "RUNNING":
            job["status"], job["message"] = self.end, f"it {self.end}"
        await socket.close()
        return socket

    def _job(self, request: web.Request) -> dict[str, Any]:
        try:
            return self.jobs[request.match_info["id"]]
        except KeyError:
            raise web.HTTPNotFound(text="Job does not exist") from None


def _cut(request: web.Request) -> None:
    assert request.transport
    request.transport.abort()
    raise web.HTTPServiceUnavailable
