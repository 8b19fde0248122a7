"""Whose word counts for where a request came from."""

import pytest
from aiohttp.test_utils import make_mocked_request

from collector.http.client_address import client_address, client_scheme, trusted_networks
from collector.process.lifecycle import StartError


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        pytest.param([], "198.51.100.1", "10.0.0.9", id="nobody is trusted"),
        pytest.param(["10.0.0.0/8"], "198.51.100.1", "198.51.100.1", id="a trusted proxy"),
        pytest.param(["192.0.2.1"], "198.51.100.1", "10.0.0.9", id="another proxy is trusted"),
        pytest.param(
            ["10.0.0.0/8"], "6.6.6.6, 198.51.100.1, 10.1.1.1", "198.51.100.1", id="the last stranger"
        ),
        pytest.param(["10.0.0.0/8"], "10.1.1.1", "10.1.1.1", id="only proxies"),
        pytest.param(["10.0.0.0/8"], "rubbish", "10.0.0.9", id="rubbish"),
        pytest.param(["10.0.0.0/8"], "198.51.100.1, rubbish", "10.0.0.9", id="rubbish from the proxy"),
        pytest.param(
            ["10.0.0.0/8", "2001:db8::/32"], "2001:db9::1, 2001:db8::1", "2001:db9::1", id="version 6"
        ),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_counts(
    trusted: list[str], forwarded: str, expected: str
) -> None:
    """What stands left of it was written by the client and may be anything."""
    request = make_mocked_request("POST", "/", headers={"X-Forwarded-For": forwarded})
    request = request.clone(remote="10.0.0.9")

    assert client_address(request, trusted_networks(trusted)) == expected


def test_a_network_that_is_none_stops_the_start() -> None:
    """One line that names the variable."""
    with pytest.raises(StartError, match="HEADRACE_TRUSTED_PROXIES holds 'lan'"):
        trusted_networks(["lan"])


@pytest.mark.parametrize(
    ("said", "trusted", "scheme"),
    [
        pytest.param("https", "10.0.0.0/8", "https", id="a trusted proxy"),
        pytest.param("http, HTTPS", "10.0.0.0/8", "https", id="the last of several"),
        pytest.param("https", "192.0.2.0/24", "http", id="somebody else"),
        pytest.param("gopher", "10.0.0.0/8", "http", id="no scheme of ours"),
        pytest.param("", "10.0.0.0/8", "http", id="nothing"),
    ],
)
def test_only_a_trusted_proxy_is_believed_that_it_took_https(said: str, trusted: str, scheme: str) -> None:
    """Addresses in answers begin with it."""
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-Proto": said}).clone(remote="10.0.0.9")

    assert client_scheme(request, trusted_networks([trusted])) == scheme
