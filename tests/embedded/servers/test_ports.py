import socket

import pytest

from collector.embedded.servers import ports
from collector.embedded.servers.ports import LOOPBACK, free_port, is_free, reserve_port
from collector.process.lifecycle import StartError


def listening(port: int, *, is_shared: bool = False) -> socket.socket:
    """A listening server."""
    server = socket.socket()
    if is_shared:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind((LOOPBACK, port))
    server.listen()
    return server


def test_a_chosen_port_is_outside_the_ephemeral_range() -> None:
    """Otherwise a client that retries a dead server's port could be assigned that very port."""
    assert all(port < ports._first_ephemeral() for port in (free_port() for _ in range(20)))


def test_a_taken_port_is_not_free() -> None:
    with listening(free_port()) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_in_use_is_reported_in_one_line() -> None:
    """With advice."""
    with listening(free_port()) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            StartError,
            match=f"port {port} of 127.0.0.1 is in use; .*`PORT={port + 1} make up` or .*--port {port + 1}",
        ):
            reserve_port(LOOPBACK, port)


def test_a_port_that_another_process_shares_is_in_use() -> None:
    """Otherwise two installations would answer one another's clients."""
    with listening(free_port(), is_shared=True) as server, pytest.raises(StartError, match="is in use"):
        reserve_port(LOOPBACK, server.getsockname()[1])


def test_a_reserved_port_can_only_be_used_by_our_children() -> None:
    """Their connections never reach the reservation, which does not listen."""
    port = free_port()
    with reserve_port(LOOPBACK, port):
        assert not is_free(port)
        with listening(port, is_shared=True), listening(port, is_shared=True):
            for _ in range(20):
                socket.create_connection((LOOPBACK, port), timeout=5).close()


def test_an_address_of_another_machine_is_reported_in_one_line() -> None:
    """192.0.2.1 is reserved for documentation."""
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1.*HEADRACE_HOST"):
        reserve_port("192.0.2.1", free_port())
