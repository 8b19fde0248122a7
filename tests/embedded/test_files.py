"""The files in the data directory are private, complete, and created once."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.embedded.credentials import load_credentials, save_credentials
from collector.embedded.data_directory import locked_directory
from collector.embedded.private_files import make_private_directory, write_private
from collector.embedded.ready_file import clear_ready_file
from collector.embedded.servers.ports import LOOPBACK
from collector.embedded.servers.server_credentials import load_server_credentials
from collector.process.lifecycle import StartError


def mode_of(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_readable_by_its_owner_only_and_replaced_atomically(tmp_path: Path) -> None:
    """A process that has the old file open keeps reading the old contents."""
    path = tmp_path / "file"
    write_private(path, b"old")
    with path.open("rb") as reader:
        write_private(path, b"new")
        assert reader.read() == b"old"

    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_data_directory_is_accessible_by_its_owner_only(tmp_path: Path) -> None:
    """Missing parents are created; an existing one keeps its mode."""
    existing = tmp_path / "existing"
    existing.mkdir(mode=0o750)

    make_private_directory(tmp_path / "new" / "deep")
    make_private_directory(existing)

    assert mode_of(tmp_path / "new" / "deep") == 0o700
    assert mode_of(existing) == 0o750


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("file", id="a file is in the way"),
        pytest.param("file/below", id="a file is above it"),
    ],
)
def test_a_directory_that_cannot_be_created_is_reported_in_one_line(tmp_path: Path, path: str) -> None:
    """With the option that names another."""
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match=r"`DATA_DIR=... make up` or `headrace up --data-dir"):
        make_private_directory(tmp_path / path)


def test_only_one_up_can_use_a_data_directory(tmp_path: Path) -> None:
    """The second one says which process has it. Once the first has ended, it is free."""
    with locked_directory(tmp_path), pytest.raises(StartError, match=f"process {os.getpid()}"):
        locked_directory(tmp_path).__enter__()

    with locked_directory(tmp_path) as path:
        assert path == tmp_path


def test_a_servers_port_and_password_are_created_once(tmp_path: Path) -> None:
    """So a URL stays valid."""
    path = tmp_path / "access.json"

    first = load_server_credentials(path)

    assert load_server_credentials(path) == first
    assert mode_of(path) == 0o600


def test_a_port_that_another_program_took_is_replaced(tmp_path: Path) -> None:
    """The password stays, because it is in the server's data."""
    path = tmp_path / "access.json"
    first = load_server_credentials(path)
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, first.port))
        stranger.listen()

        second = load_server_credentials(path)

    assert second.port != first.port
    assert second.password == first.password


def test_credentials_are_random_and_private_and_created_once(tmp_path: Path) -> None:
    """Two installations share none."""
    first, other = load_credentials(tmp_path / "a.json"), load_credentials(tmp_path / "b.json")

    assert load_credentials(tmp_path / "a.json") == first
    assert mode_of(tmp_path / "a.json") == 0o600
    secrets = {first.password, first.user_token, first.client_token, first.organization_id, first.project_id}
    assert not secrets & {
        other.password,
        other.user_token,
        other.client_token,
        other.organization_id,
        other.project_id,
    }
    assert len(first.user_token) == len(first.client_token) == 40


@pytest.mark.parametrize("load", [load_server_credentials, load_credentials])
def test_an_unreadable_file_is_reported_in_one_line_and_kept(
    tmp_path: Path, load: Callable[[Path], object]
) -> None:
    """It may be the only copy."""
    path = tmp_path / "file.json"
    path.write_bytes(b"{")

    with pytest.raises(StartError, match=r"file\.json cannot be read"):
        load(path)

    assert path.read_bytes() == b"{"


def test_changed_credentials_are_kept(tmp_path: Path) -> None:
    """The database decides."""
    path = tmp_path / "credentials.json"
    save_credentials(path, load_credentials(tmp_path / "others.json"))

    assert load_credentials(path) == load_credentials(tmp_path / "others.json")


def test_an_older_ready_file_is_removed(tmp_path: Path) -> None:
    """A program that waits for it waits for this run."""
    path = tmp_path / "ready.json"
    path.touch()

    clear_ready_file(path)
    clear_ready_file(path)

    assert not path.exists()


def test_a_ready_file_that_cannot_be_written_is_reported_at_the_start(tmp_path: Path) -> None:
    """Not after a minute of work."""
    with pytest.raises(StartError, match="see --ready-file"):
        clear_ready_file(tmp_path / "nowhere" / "ready.json")
