"""The reference for ingest: a bare aiohttp application that reads each post and answers 202.

It checks nothing and stores nothing. Its server has ingest's options: uvloop, no access log, the same
keep-alive time and backlog.
"""

import sys
from typing import Final

from aiohttp import web

from collector.process.lifecycle import Stop, run_process
from loadtests.benchmarks.sender import PATH

_KEEPALIVE_SECONDS: Final = 75.0
_BACKLOG: Final = 1024


async def accept(request: web.Request) -> web.Response:
    """Read the body and discard it."""
    await request.read()
    return web.Response(status=202)


async def serve(port: int, stop: Stop) -> None:
    """Serve on loopback until stopped."""
    app = web.Application()
    app.router.add_post(PATH, accept)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEPALIVE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=_BACKLOG).start()
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    sys.exit(run_process(lambda stop: serve(int(sys.argv[1]), stop)))
