"""The image, built and run: migrate, ingest, api and worker against real servers (`make image-test`)."""

import asyncio
import os
import re
from pathlib import Path

import aiohttp
import pytest

from collector.database.owners.seed import seed
from collector.embedded.credentials import load_credentials
from collector.embedded.servers.ports import free_port
from tests.deploy.image import Image, found_image
from tests.support.waiting import until

WANTED = "HEADRACE_TEST_IMAGE" in os.environ


@pytest.fixture(scope="module")
def image() -> Image:
    """Built once; skips all tests where nothing can build it, and says so."""
    if not WANTED:
        pytest.skip("`make image-test` runs these")
    found = found_image()
    if found is None:
        pytest.skip(
            "no docker, no podman, and HEADRACE_TEST_IMAGE_BUILDER names no program that builds images"
        )
    found.build()
    return found


@pytest.fixture
def environ(redis_url: str, key_prefix: str, empty_database_url: str) -> dict[str, str]:
    return {
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_DATABASE_URL": empty_database_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
        "HEADRACE_HOST": "127.0.0.1",
    }


async def test_the_image_takes_stores_and_shows_an_event(
    image: Image, environ: dict[str, str], tmp_path: Path
) -> None:
    migrated = await image.start(environ, "migrate")
    output, _ = await asyncio.wait_for(migrated.communicate(), 120)
    assert migrated.returncode == 0, output.decode()
    credentials = await seed(
        environ["HEADRACE_DATABASE_URL"], load_credentials(tmp_path / "credentials.json")
    )
    ports = {name: free_port() for name in ("ingest", "api", "worker")}
    running = {
        name: await image.start({**environ, "HEADRACE_PORT": str(port)}, name) for name, port in ports.items()
    }
    try:
        async with aiohttp.ClientSession() as session:
            for port in ports.values():
                await until(lambda: _is_ready(session, port), 120, f"port {port}, ready")  # noqa: B023
            check = await image.start({"HEADRACE_PORT": str(ports["api"])}, "health", "--ready")
            output, _ = await asyncio.wait_for(check.communicate(), 60)
            assert check.returncode == 0, output.decode()
            event = {"type": "log", "message": "from the image", "reference_id": "image-0001"}
            async with session.post(
                f"http://127.0.0.1:{ports['ingest']}/api/v2/events",
                json=event,
                headers={"Authorization": f"Bearer {credentials.client_token}"},
            ) as answer:
                assert answer.status == 202, await answer.text()

            async def is_found() -> bool:
                async with session.get(
                    f"http://127.0.0.1:{ports['api']}/api/v2/events/by-ref/image-0001",
                    headers={"Authorization": f"Bearer {credentials.user_token}"},
                ) as answer:
                    return answer.status == 200 and "from the image" in await answer.text()

            await until(is_found, 60, "the event")
    finally:
        for process in running.values():
            image.stop(process)
        ended = {name: await asyncio.wait_for(process.communicate(), 60) for name, process in running.items()}
    for name, (output, _) in ended.items():
        assert running[name].returncode == 0, output.decode()
        assert re.search(r'"stopping"', output.decode()), output.decode()


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
