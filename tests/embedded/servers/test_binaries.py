import os
from pathlib import Path

import pytest

from collector.embedded.servers.binaries import Tree, reachable_root
from collector.embedded.servers.os_user import OsUser, server_user
from collector.process.lifecycle import StartError
from tests.support.enterable import make_enterable

STRANGER = OsUser(12_345, 12_345)
PROGRAM = Path("package", "bin", "program")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers another user")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An installed package that only its owner can enter, in a folder that everybody can."""
    root = tmp_path / "installed"
    (root / PROGRAM).parent.mkdir(parents=True)
    (root / PROGRAM).write_text("#!/bin/sh\n")
    (root / PROGRAM).chmod(0o700)
    (root / "package" / "share").mkdir()
    (root / "package" / "share" / "file").touch(mode=0o600)
    make_enterable(tmp_path)
    root.chmod(0o700)
    return Tree("package-1.0", root, (PROGRAM, Path("package", "share"), Path("package.libs")))


def test_servers_under_ones_own_account_run_in_place(tree: Tree, tmp_path: Path) -> None:
    """Nothing is copied."""
    assert reachable_root(tree, None, tmp_path / "copies") == tree.root
    assert not (tmp_path / "copies").exists()


@as_root
def test_a_package_that_the_account_can_enter_is_used_in_place(tree: Tree, tmp_path: Path) -> None:
    """The usual case: a virtual environment that everybody can read."""
    for directory in (tree.root, tree.root / "package", tree.root / "package" / "bin", tree.root / PROGRAM):
        directory.chmod(0o755)

    assert reachable_root(tree, STRANGER, tmp_path / "copies") == tree.root


@as_root
def test_a_package_that_the_account_cannot_enter_is_copied_once(tree: Tree, tmp_path: Path) -> None:
    """A virtual environment below /root, for example. Everybody can read the copy, only root can write it."""
    copies = tmp_path / "copies"

    copy = reachable_root(tree, STRANGER, copies)
    made = (copy / PROGRAM).stat()

    assert copy == copies / "package-1.0"
    assert reachable_root(tree, STRANGER, copies) == copy
    assert (copy / PROGRAM).stat() == made
    assert (made.st_uid, made.st_mode & 0o777) == (0, 0o755)
    assert (copy / "package" / "share" / "file").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in copies.iterdir()] == ["package-1.0"]


@as_root
@pytest.mark.parametrize("place", [".", "package-1.0"])
def test_a_copy_that_others_may_write_is_not_run(tree: Tree, tmp_path: Path, place: str) -> None:
    """Root must not run files that others can replace."""
    copies = tmp_path / "copies"
    reachable_root(tree, STRANGER, copies)
    (copies / place).chmod(0o777)

    with pytest.raises(StartError, match="can be written by users other than root"):
        reachable_root(tree, STRANGER, copies)


@as_root
def test_if_no_copy_can_be_reached_the_error_names_both_places(tree: Tree, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)

    with pytest.raises(StartError, match="can be entered by user 12345"):
        reachable_root(tree, STRANGER, hidden / "copies")


def test_a_package_without_a_server_for_this_machine_is_reported(tree: Tree) -> None:
    """The error says how to use other servers."""
    (tree.root / PROGRAM).unlink()

    with pytest.raises(StartError, match="no server for this machine; set REDIS_URL"):
        reachable_root(tree, None)


@as_root
def test_root_runs_servers_as_the_owner_of_their_data(tmp_path: Path) -> None:
    """New data have no owner yet."""
    own, others = tmp_path / "own", tmp_path / "others"
    own.mkdir()
    others.mkdir()
    os.chown(others, STRANGER.uid, STRANGER.gid)

    assert server_user(others) == STRANGER
    assert server_user(own) == server_user(tmp_path / "new") != OsUser(0, 0)
