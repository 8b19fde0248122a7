"""The examples for Caddy and nginx, run on loopback with certificates of their own."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from collector.embedded.servers.ports import free_port
from tests.deploy.composed import stopped
from tests.deploy.tools import ROOT, run, tool
from tests.support.waiting import until

CLIENT = "127.0.0.9"
"""The address of the clients, which is not that of the proxy."""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ports behind the proxy."""

    ingest: Sequence[int]
    api: int


@asynccontextmanager
async def proxied(name: str, folder: Path, upstreams: Upstreams) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the base address of a running proxy that serves HTTPS on loopback."""
    port = free_port()
    command = _caddy(folder, port, upstreams) if name == "caddy" else _nginx(folder, port, upstreams)
    log = folder / "proxy.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=output, stderr=output)
    try:
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        connector = aiohttp.TCPConnector(ssl=unchecked, local_addr=(CLIENT, 0))
        async with aiohttp.ClientSession(f"https://localhost:{port}", connector=connector) as session:

            async def serves() -> bool:
                assert process.returncode is None, log.read_text()
                try:
                    async with session.get("/metrics") as answer:
                        return answer.status == 404
                except aiohttp.ClientError:
                    return False

            await until(serves, 20, f"{name}, serving")
            yield session
    finally:
        await stopped(process)


def _caddy(folder: Path, port: int, upstreams: Upstreams) -> list[str]:
    """Caddy with deploy/caddy/Caddyfile, its own certificate, and nothing outside of the folder."""
    caddy = tool("caddy")
    adapted = run(
        *(caddy, "adapt", "--adapter", "caddyfile", "--config", str(ROOT / "deploy/caddy/Caddyfile")),
        HEADRACE_SITE="localhost",
        HEADRACE_INGEST=" ".join(f"127.0.0.1:{each}" for each in upstreams.ingest),
        HEADRACE_API=f"127.0.0.1:{upstreams.api}",
    )
    config = json.loads(next(line for line in adapted.splitlines() if line.startswith('{"apps"')))
    [server] = config["apps"]["http"]["servers"].values()
    server["listen"] = [f"127.0.0.1:{port}"]
    server["automatic_https"] = {"disable_redirects": True}
    config["apps"]["pki"] = {"certificate_authorities": {"local": {"install_trust": False}}}
    config["admin"] = {"disabled": True}
    config["storage"] = {"module": "file_system", "root": str(folder / "caddy")}
    path = folder / "caddy.json"
    path.write_text(json.dumps(config))
    return [caddy, "run", "--config", str(path)]


def _nginx(folder: Path, port: int, upstreams: Upstreams) -> list[str]:
    """The system's nginx with deploy/nginx/headrace.conf, and nothing outside of the folder."""
    nginx = tool("nginx")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    run(
        *(tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)),
    )
    example = (ROOT / "deploy/nginx/headrace.conf").read_text()
    tls = f"listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
    servers = "".join(f"server 127.0.0.1:{each};" for each in upstreams.ingest)
    for ours, theirs in (
        ("listen 80;", tls),
        ("server 127.0.0.1:8080;", servers),
        ("server 127.0.0.1:8081;", f"server 127.0.0.1:{upstreams.api};"),
    ):
        assert example.count(ours) == 1, ours
        example = example.replace(ours, theirs)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Workers would run as another user, who may not write here.
    user = "user root;\n" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{example}}}\n"
    )
    return [nginx, "-e", "stderr", "-c", str(path)]
