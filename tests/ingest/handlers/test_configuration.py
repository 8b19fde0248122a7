"""The settings that clients ask for."""

import pytest

from collector.domain.access.projection import ProjectEntry
from tests.ingest.projections import LOGIN, LOST_PROJECT, OTHER_PROJECT, READER, SETTINGS, SISTER_PROJECT
from tests.ingest.running_ingest import BEARER, RunningIngest
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT
from tests.support.waiting import until_equal

pytestmark = pytest.mark.integration

PATHS = ["/api/v2/projects/config", "/api/v1/project/config", f"/api/v2/projects/{PROJECT.hex()}/config"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "query", ["", "?v=", "?v=0", "?v=8", "?v=undefined", "?v=7.0", "?v=99999999999999999999", "?v=-7"]
)
async def test_the_settings_are_sent_unless_the_client_has_that_version(
    any_ingest: RunningIngest, path: str, query: str
) -> None:
    """Also to a client that is ahead, or that has no version and says so in its own way."""
    response = await any_ingest.request("GET", path + query)

    assert response.status == 200
    assert await response.json() == {"version": 7, "settings": SETTINGS}
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["v" if "/v1/" in path else "X-Exceptionless-ConfigVersion"] == "7"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["?v=7", "?V=7", "?v=%207"])
async def test_a_client_that_is_up_to_date_gets_an_empty_304(
    any_ingest: RunningIngest, path: str, query: str
) -> None:
    response = await any_ingest.request("GET", path + query)

    assert (response.status, await response.text()) == (304, "")


async def test_a_changed_setting_is_sent_immediately(any_ingest: RunningIngest) -> None:
    """Ingest evicts its cached value when the change is announced."""
    assert (await any_ingest.request("GET", PATHS[0])).status == 200
    entry = ProjectEntry(ORGANIZATION, config_version=8, settings={"a": "b"})
    await any_ingest.projection.put_project(PROJECT, entry)

    async def answer() -> object:
        return await (await any_ingest.request("GET", PATHS[0])).json()

    await until_equal(answer, {"version": 8, "settings": {"a": "b"}})


async def test_characters_with_a_meaning_in_html_are_escaped_in_settings(any_ingest: RunningIngest) -> None:
    """A JSON parser reads the values that were set."""
    settings = {"@@log:<b>": "it's <b>R&D</b> für uns"}
    entry = ProjectEntry(ORGANIZATION, config_version=8, settings=settings)
    await any_ingest.projection.put_project(PROJECT, entry)

    response = await any_ingest.request("GET", PATHS[0])

    assert await response.json() == {"version": 8, "settings": settings}
    text = await response.text()
    assert r'"it\u0027s \u003Cb\u003ER\u0026D\u003C/b\u003E für uns"' in text
    assert not set("<>&'") & set(text)


async def test_a_page_may_read_its_settings(any_ingest: RunningIngest) -> None:
    """The preflight has no token; the answer exposes the version."""
    origin = {"Origin": "https://shop.example"}
    asked = origin | {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = await any_ingest.request("OPTIONS", PATHS[0], headers=asked)
    response = await any_ingest.request("GET", PATHS[0], headers=BEARER | origin)

    assert preflight.status == 204
    for answer in (preflight, response):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "X-Exceptionless-ConfigVersion" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        pytest.param(PATHS[0], None, 401, id="no token"),
        pytest.param(PATHS[0], "x" * 40, 401, id="an unknown token"),
        pytest.param(PATHS[0], LOGIN, 401, id="no project"),
        pytest.param(PATHS[1], LOGIN, 401, id="no project in version 1"),
        pytest.param(PATHS[0], LOST_PROJECT, 404, id="project gone"),
        pytest.param(PATHS[2], LOGIN, 200, id="a person"),
        pytest.param(f"/api/v2/projects/{SISTER_PROJECT.hex()}/config", READER, 200, id="a sister project"),
        pytest.param(
            f"/api/v2/projects/{SISTER_PROJECT.hex()}/config", CLIENT_TOKEN, 404, id="but not for clients"
        ),
        pytest.param(f"/api/v2/projects/{OTHER_PROJECT.hex()}/config", LOGIN, 404, id="a stranger's project"),
        pytest.param("/api/v2/projects/" + "f" * 24 + "/config", LOGIN, 404, id="an id of another kind"),
        pytest.param("/api/v2/projects/short/config", LOGIN, 404, id="no id"),
    ],
)
async def test_settings_are_for_clients_of_the_project(
    any_ingest: RunningIngest, path: str, token: str | None, status: int
) -> None:
    """Contract 6; every error is JSON."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = await any_ingest.request("GET", path, headers=headers)

    assert response.status == status
    assert isinstance(await response.json(content_type=None), dict)
