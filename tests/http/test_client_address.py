"""The client's address and scheme, as reported by trusted proxies."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from structlog.testing import capture_logs

from collector.http.client_address import (
    client_address,
    client_scheme,
    counted_address,
    trusted_networks,
    trusted_proxies,
    warn_of_untrusted_proxy,
)
from collector.process.lifecycle import StartError

PROXY = "10.0.0.9"
OURS = ("10.0.0.0/8", "2001:db8:aaaa::/48")


def a_request(*headers: tuple[str, str], peer: str = PROXY) -> web.BaseRequest:
    """One with these lines in its head."""
    return make_mocked_request("POST", "/", headers=CIMultiDict(headers)).clone(remote=peer)


def found(*lines: str, name: str = "X-Forwarded-For", peer: str = PROXY, believed: str = "") -> str:
    """The client of a request with these lines of one header."""
    request = a_request(*((name, line) for line in lines), peer=peer)
    return client_address(request, trusted_proxies(OURS, believed or name))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["198.51.100.1"], "198.51.100.1", id="a trusted proxy"),
        pytest.param(["6.6.6.6, 198.51.100.1, 10.1.1.1"], "198.51.100.1", id="the last stranger"),
        pytest.param(["198.51.100.66", "203.0.113.9"], "203.0.113.9", id="lines are one list"),
        pytest.param(["6.6.6.6", "198.51.100.1, 10.1.1.1", "10.2.2.2"], "198.51.100.1", id="over lines"),
        pytest.param(["10.1.1.1"], "10.1.1.1", id="only proxies"),
        pytest.param([], PROXY, id="no header"),
        pytest.param(["", ", ,"], PROXY, id="empty entries"),
        pytest.param(["198.51.100.1,,"], "198.51.100.1", id="empty ones at the end"),
        pytest.param(["rubbish"], PROXY, id="garbage"),
        pytest.param(["198.51.100.1, rubbish"], PROXY, id="garbage from the proxy"),
        pytest.param(["6.6.6.6, unknown, 10.1.1.1"], "10.1.1.1", id="garbage before a proxy"),
        pytest.param(["6.6.6.6", "unknown"], PROXY, id="garbage in the last line"),
        pytest.param(["203.0.113.9:5123"], "203.0.113.9", id="with a port"),
        pytest.param(["203.0.113.9:5123, 10.1.1.1:80"], "203.0.113.9", id="proxies with ports"),
        pytest.param(["[2001:db8::1]:5123"], "2001:db8::1", id="version 6 with a port"),
        pytest.param(["[2001:db8::1]"], "2001:db8::1", id="in brackets"),
        pytest.param(["2001:DB8:0::1"], "2001:db8::1", id="one spelling"),
        pytest.param(['"[2001:db8::1]:5123"'], "2001:db8::1", id="in quotes"),
        pytest.param(['"203.0.113.9"'], "203.0.113.9", id="version 4 in quotes"),
        pytest.param(["fe80::1%eth0"], "fe80::1", id="with a zone"),
        pytest.param(["::ffff:203.0.113.9"], "203.0.113.9", id="a mapped one"),
        pytest.param(["[::ffff:203.0.113.9]:80"], "203.0.113.9", id="a mapped one with a port"),
        pytest.param(["6.6.6.6, 198.51.100.1, ::ffff:10.1.1.1"], "198.51.100.1", id="a mapped proxy"),
        pytest.param(["198.51.100.1, 2001:db8:aaaa::7"], "198.51.100.1", id="a proxy with version 6"),
        pytest.param(["203.0.113.9:port"], PROXY, id="no port"),
        pytest.param(["203.0.113.9:"], PROXY, id="an empty port"),
        pytest.param(["[203.0.113.9]:80"], PROXY, id="brackets around version 4"),
        pytest.param(["[2001:db8::1"], PROXY, id="an open bracket"),
        pytest.param(["[2001:db8::1]x"], PROXY, id="more behind the bracket"),
        pytest.param(["203.0.113.009"], PROXY, id="zeros in front"),
        pytest.param(["203.0.113.٩"], PROXY, id="digits of another script"),
        pytest.param(["1" * 8000], PROXY, id="a long one"),
        pytest.param([", ".join(["198.51.100.1", *["10.1.1.1"] * 40])], "10.1.1.1", id="endless proxies"),
    ],
)
def test_the_last_address_that_is_not_a_trusted_proxy_counts(lines: list[str], expected: str) -> None:
    """Everything before it was written by the client and may be anything."""
    assert found(*lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["for=203.0.113.9"], "203.0.113.9", id="one"),
        pytest.param(["For=203.0.113.9;Proto=https;by=10.0.0.9"], "203.0.113.9", id="in any case"),
        pytest.param(['for="203.0.113.9:5123"'], "203.0.113.9", id="a port"),
        pytest.param(['for="[2001:db8::1]:5123"'], "2001:db8::1", id="version 6"),
        pytest.param(["for=203.0.113.9:5123"], "203.0.113.9", id="a port without quotes"),
        pytest.param(["for=203.0.113.9:_hidden"], "203.0.113.9", id="a hidden port"),
        pytest.param(['for="[::ffff:203.0.113.9]"'], "203.0.113.9", id="mapped"),
        pytest.param(["for=6.6.6.6, for=203.0.113.9, for=10.1.1.1"], "203.0.113.9", id="a list"),
        pytest.param(["for=6.6.6.6", "for=203.0.113.9"], "203.0.113.9", id="lines"),
        pytest.param([" for=203.0.113.9 ; proto=https ; "], "203.0.113.9", id="blanks"),
        pytest.param(["for=203.0.113.9, "], "203.0.113.9", id="an empty element"),
        pytest.param(["for=6.6.6.6, for=unknown"], PROXY, id="unknown"),
        pytest.param(["for=6.6.6.6, for=_hidden, for=10.1.1.1"], "10.1.1.1", id="hidden"),
        pytest.param(["for=6.6.6.6, proto=https"], PROXY, id="no client named"),
        pytest.param(["for=6.6.6.6;for=203.0.113.9"], PROXY, id="two named"),
        pytest.param(['for="6.6.6.6, for=203.0.113.9'], "203.0.113.9", id="an open quote of the client's"),
        pytest.param(['for="6.6.6.6', 'for="[2001:db8::1]:1"'], "2001:db8::1", id="in a line before"),
        pytest.param(['for="6.6.6.6, for="[2001:db8::1]:1"'], "2001:db8::1", id="in front of a quote"),
        pytest.param(['for=203.0.113.9;host="a, for=6.6.6.6"'], "203.0.113.9", id="a comma in quotes"),
        pytest.param(
            [r'for=203.0.113.9;host="a, for=6.6.6.6;by=\"x\""'], "203.0.113.9", id="escapes in quotes"
        ),
        pytest.param(["for=6.6.6.6, rubbish"], PROXY, id="garbage"),
        pytest.param(['"' * 4000, "," * 4000, "for=6.6.6.6, " + ";" * 4000 + "!"], PROXY, id="much garbage"),
    ],
)
def test_forwarded_is_read_from_its_end_too(lines: list[str], expected: str) -> None:
    """RFC 7239: whatever a client writes into it, what a proxy has appended is found."""
    assert found(*lines, name="Forwarded") == expected


@pytest.mark.parametrize("name", ["X-Real-IP", "CF-Connecting-IP"])
def test_any_header_can_be_the_trusted_one(name: str) -> None:
    """Header names ignore case."""
    assert found("203.0.113.9", name=name, believed=name.swapcase()) == "203.0.113.9"


@pytest.mark.parametrize("believed", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_only_one_header_is_trusted(believed: str) -> None:
    """A proxy that writes one passes the client's own other ones through."""
    forged = {
        "x-forwarded-for": "6.6.6.6",
        "forwarded": "for=6.6.6.6;proto=https",
        "x-real-ip": "6.6.6.6",
    }
    del forged[believed]
    request = a_request(*forged.items())

    assert client_address(request, trusted_proxies(OURS, believed)) == PROXY
    assert client_scheme(request, trusted_proxies(OURS, believed)) == "http"


@pytest.mark.parametrize("networks", [[], ["192.0.2.1"]], ids=["no proxy is trusted", "another proxy is"])
def test_headers_from_other_peers_are_ignored(networks: list[str]) -> None:
    """Any client can write a header."""
    request = a_request(("X-Forwarded-For", "198.51.100.1"))

    assert client_address(request, trusted_proxies(networks, "x-forwarded-for")) == PROXY


@pytest.mark.parametrize("networks", [["10.0.0.0/8"], ["::ffff:10.0.0.0/104"]], ids=["IPv4", "mapped"])
@pytest.mark.parametrize("peer", [PROXY, f"::ffff:{PROXY}"], ids=["IPv4 peer", "mapped peer"])
def test_a_mapped_ipv4_address_counts_as_ipv4(peer: str, networks: list[str]) -> None:
    """A dual-stack socket reports IPv4 peers as mapped addresses."""
    believed = trusted_proxies(networks, "x-forwarded-for")

    assert client_address(a_request(("X-Forwarded-For", "203.0.113.9"), peer=peer), believed) == "203.0.113.9"
    assert client_address(a_request(peer=peer), believed) == PROXY
    assert client_address(a_request(peer=peer), trusted_proxies([], "x-forwarded-for")) == PROXY


@pytest.mark.parametrize("peer", ["", "/run/headrace.sock"])
def test_a_peer_without_an_ip_address_is_not_a_proxy(peer: str) -> None:
    """It is returned unchanged."""
    assert found("203.0.113.9", peer=peer) == peer


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        pytest.param("203.0.113.9", "203.0.113.9", id="IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6"),
        pytest.param("2001:db8:1:2::ffff", "2001:db8:1:2::/64", id="another address of the same client"),
        pytest.param("", "", id="unknown"),
    ],
)
def test_limits_count_a_clients_whole_network(peer: str, counted: str) -> None:
    """An IPv6 client has more addresses than any limit could count."""
    assert counted_address(a_request(peer=peer), trusted_proxies([], "x-forwarded-for")) == counted


def test_an_invalid_network_stops_the_start() -> None:
    """One line names the setting."""
    with pytest.raises(StartError, match="HEADRACE_TRUSTED_PROXIES holds 'lan'"):
        trusted_networks(["lan"])


@pytest.mark.parametrize(
    ("forwarded", "said", "scheme"),
    [
        pytest.param([], ["https"], "https", id="a trusted proxy"),
        pytest.param([], ["http, HTTPS"], "https", id="the last of several"),
        pytest.param([], ["https", "http"], "http", id="the last line"),
        pytest.param(["198.51.100.1, 10.1.1.1"], ["https, http"], "https", id="the hop that saw the client"),
        pytest.param(["198.51.100.1, 10.1.1.1"], ["http, https, http"], "https", id="no forged one before"),
        pytest.param(["198.51.100.1, 10.1.1.1"], ["https"], "https", id="one word for all hops"),
        pytest.param([], ["gopher"], "http", id="no scheme of ours"),
        pytest.param([], [""], "http", id="nothing"),
    ],
)
def test_a_trusted_proxy_reports_https(forwarded: list[str], said: list[str], scheme: str) -> None:
    """Links in answers begin with the scheme."""
    lines = [("X-Forwarded-For", line) for line in forwarded] + [("X-Forwarded-Proto", line) for line in said]
    believed = trusted_proxies(OURS, "x-forwarded-for")

    assert client_scheme(a_request(*lines), believed) == scheme
    assert client_scheme(a_request(*lines, peer="192.0.2.7"), believed) == "http"


@pytest.mark.parametrize(
    ("line", "scheme"),
    [
        pytest.param("for=203.0.113.9;proto=https", "https", id="one"),
        pytest.param("for=203.0.113.9;proto=https, for=10.1.1.1;proto=http", "https", id="two hops"),
        pytest.param("for=6.6.6.6;proto=https, for=203.0.113.9;proto=http", "http", id="a forged one"),
        pytest.param("for=unknown;proto=https", "https", id="a hidden client"),
        pytest.param("for=203.0.113.9", "http", id="not stated"),
    ],
)
def test_forwarded_reports_the_scheme_too(line: str, scheme: str) -> None:
    """`X-Forwarded-Proto` was sent by the client then."""
    request = a_request(("Forwarded", line), ("X-Forwarded-Proto", "https"))

    assert client_scheme(request, trusted_proxies(OURS, "forwarded")) == scheme


def test_an_untrusted_peer_that_names_clients_is_warned_of_once() -> None:
    """It may be a proxy that was forgotten: then all its clients would count as one."""
    proxies = trusted_proxies(OURS, "x-forwarded-for")
    named = ("X-Forwarded-For", "198.51.100.1")
    with capture_logs() as lines:
        for peer in (PROXY, "192.0.2.1", "192.0.2.1", ""):
            warn_of_untrusted_proxy(a_request(named, peer=peer), proxies)
        warn_of_untrusted_proxy(a_request(("Forwarded", "for=198.51.100.1"), peer="192.0.2.2"), proxies)

    assert [(line["log_level"], line["peer"]) for line in lines] == [("warning", "192.0.2.1")]
    assert "HEADRACE_TRUSTED_PROXIES" in lines[0]["event"]


def test_warnings_of_peers_are_bounded() -> None:
    """Strangers may send the header as well."""
    proxies = trusted_proxies([], "x-forwarded-for")
    with capture_logs() as lines:
        for number in range(100):
            request = a_request(("X-Forwarded-For", "198.51.100.1"), peer=f"192.0.2.{number}")
            warn_of_untrusted_proxy(request, proxies)

    assert len(lines) == 16
