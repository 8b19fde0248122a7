"""URLs in answers, whatever host the client named."""

import pytest
from aiohttp.test_utils import make_mocked_request

from collector.api.core.absolute_urls import absolute_url
from tests.api.running_api import RunningApi
from tests.database.rows import PROJECT

NO_HOSTS = [
    pytest.param("x:abc", id="a port that is no number"),
    pytest.param("x:99999", id="a port that is too high"),
    pytest.param("::1", id="an IPv6 address without brackets"),
    pytest.param("[::1", id="half a bracket"),
    pytest.param("h\u00ff", id="a letter beyond ASCII"),
    pytest.param("a b", id="a blank"),
    pytest.param("me@host", id="a user"),
    pytest.param('x>; rel="next", <y', id="a character that would end a link"),
    pytest.param("host/path", id="a path"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize("host", ["example.com", "localhost:8080", "127.0.0.1:1", "[::1]:80", "my_host"])
def test_a_url_is_absolute_on_the_host_that_the_client_named(host: str) -> None:
    """Following it reaches the same load balancer."""
    request = make_mocked_request("GET", "/a", headers={"Host": host})

    assert absolute_url(request, "/b?c=d") == f"http://{host}/b?c=d"


@pytest.mark.parametrize("host", NO_HOSTS)
def test_an_invalid_host_gives_a_relative_reference(host: str) -> None:
    """It leads to the same resource."""
    request = make_mocked_request("GET", "/a", headers={"Host": host})

    assert absolute_url(request, "/b?c=d") == "/b?c=d"


@pytest.mark.integration
@pytest.mark.parametrize("host", ["x:abc", "x:99999", "::1", "h\u00ff"])
async def test_an_odd_host_never_breaks_an_answer(api: RunningApi, host: str) -> None:
    """Above all not the one that shows a token's secret for the only time."""
    headers = {"Host": host}

    listed = await api.get("/api/v2/projects?page=2", api.people.user, headers=headers)
    made = await api.post(f"/api/v2/projects/{PROJECT.hex}/tokens", api.people.user, {}, headers=headers)

    assert listed.status == 200
    assert listed.headers["Link"] == '</api/v2/projects?page=1>; rel="previous"'
    assert made.status == 201
    assert made.headers["Location"] == f"/api/v2/tokens/{made.json['id'][:24]}"
