"""`make load`: runs the locustfile against a collector, prints the figures, exits with 1 if anything failed.

It starts `headrace up` in a temporary directory and stops it again, or uses the running collector that
HEADRACE_URL, HEADRACE_CLIENT_TOKEN and HEADRACE_USER_TOKEN name. Only on loopback, without `--anywhere`.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from collector.embedded.servers.ports import free_port
from loadtests.figures import judge, read_report

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
BIN: Final = Path(sys.executable).parent
START_SECONDS: Final = 90
STOP_SECONDS: Final = 30
LOCUST_SPARE_SECONDS: Final = 90
"""What locust may take beyond its run: its start, and the last events that are read back."""


class Target(msgspec.Struct, frozen=True):
    """A running collector; also what we read of the file that `headrace up --ready-file` writes."""

    url: str
    client_token: str
    user_token: str


class LoadError(Exception):
    """The load could not be run; the message says why."""


def main() -> int:
    """Return the exit status: 0 if nothing failed, 1 if something did, 2 if the load could not be run."""
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that being stopped also stops the collector
    arguments = parse(sys.argv[1:])
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-load-", ignore_cleanup_errors=True) as folder:
            given = target_from_environment(os.environ, is_remote_allowed=arguments.anywhere)
            if given:
                return run_load(given, arguments, Path(folder))
            with started_collector(Path(folder)) as target:
                return run_load(target, arguments, Path(folder))
    except LoadError as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    parser.add_argument("--users", type=int, default=20, help="senders at the same time (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="length of the run (%(default)s)")
    parser.add_argument(
        "--rate", type=float, default=10, help="tasks a second of each user, 0 for no limit (%(default)s)"
    )
    parser.add_argument("--anywhere", action="store_true", help="let HEADRACE_URL be another machine")
    return parser.parse_args(words)


def target_from_environment(environ: Mapping[str, str], *, is_remote_allowed: bool) -> Target | None:
    """The running collector that the environment names, if any."""
    url = environ.get("HEADRACE_URL", "").rstrip("/")
    if not url:
        return None
    if not (is_remote_allowed or is_loopback(url)):
        raise LoadError(f"{url} is not on this machine; add --anywhere if you mean it.")
    client_token = environ.get("HEADRACE_CLIENT_TOKEN", "")
    user_token = environ.get("HEADRACE_USER_TOKEN", "")
    if not (client_token and user_token):
        raise LoadError("HEADRACE_URL also needs HEADRACE_CLIENT_TOKEN and HEADRACE_USER_TOKEN.")
    return Target(url, client_token, user_token)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine, by name or address."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def started_collector(folder: Path) -> Iterator[Target]:
    """Start `headrace up` with its data in `folder`, and stop it at the end."""
    ready_file, log_file = folder / "ready.json", folder / "up.log"
    command = [
        *(str(BIN / "headrace"), "up", "--port", str(free_port())),
        *("--data-dir", str(folder / "data"), "--ready-file", str(ready_file)),
    ]
    print("Starting a collector ...", flush=True)
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - ours
    try:
        yield wait_until_ready(process, ready_file, log_file)
    finally:
        stop(process)


def wait_until_ready(process: subprocess.Popen[bytes], ready_file: Path, log_file: Path) -> Target:
    """Wait until the collector has written its ready file, which it does once events would be stored."""
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log_file.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise LoadError(f"the collector did not start within {START_SECONDS} s. It said:\n{said}")
        time.sleep(0.05)
    return msgspec.json.decode(ready_file.read_bytes(), type=Target)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate the collector, and kill it after a bounded wait."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def run_load(target: Target, arguments: argparse.Namespace, folder: Path) -> int:
    """Run locust headless against `target` and print what it came to."""
    print(f"{arguments.users} users for {arguments.seconds} s on {target.url} ...", flush=True)
    report_file = folder / "report.json"
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", target.url),
        *("--headless", "--users", str(arguments.users), "--spawn-rate", str(arguments.users)),
        *("--run-time", f"{arguments.seconds}s", "--stop-timeout", "60"),
        *("--only-summary", "--loglevel", "WARNING"),
    ]
    environment = os.environ | {
        "HEADRACE_CLIENT_TOKEN": target.client_token,
        "HEADRACE_USER_TOKEN": target.user_token,
        "HEADRACE_LOAD_RATE": str(arguments.rate),
        "HEADRACE_LOAD_REPORT_FILE": str(report_file),
    }
    try:
        done = subprocess.run(  # noqa: S603 - ours
            command,
            env=environment,
            check=False,
            capture_output=True,
            timeout=arguments.seconds + LOCUST_SPARE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise LoadError("locust did not come to an end.") from None
    if not report_file.exists():
        said = done.stderr.decode(errors="replace")[-2000:]
        raise LoadError(f"locust ended with {done.returncode} and left no report. It said:\n{said}")
    verdict = judge(read_report(report_file.read_bytes()))
    print(verdict.text)
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
