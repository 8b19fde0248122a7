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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from collector.embedded.servers.ports import free_port
from loadtests.figures import Report, Threshold, judge, read_report

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
RESULTS: Final = Path(__file__).with_name("results")
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
    return on_a_collector("load", parse(sys.argv[1:]), run_load)


def on_a_collector(
    name: str, arguments: argparse.Namespace, work: Callable[[Target, argparse.Namespace, Path], int]
) -> int:
    """Do the work on the collector of the environment, or on one that is started for it; the exit status."""
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that being stopped also stops the collector
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-load-", ignore_cleanup_errors=True) as folder:
            given = target_from_environment(os.environ, is_remote_allowed=arguments.anywhere)
            if given:
                return work(given, arguments, Path(folder))
            with started_collector(Path(folder)) as target:
                return work(target, arguments, Path(folder))
    except LoadError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--shape",
        choices=("steady", "ramp", "burst", "soak"),
        default="steady",
        help="how the number of senders changes (%(default)s)",
    )
    parser.add_argument(
        "--fail-above",
        metavar="FIGURE=MS",
        type=Threshold.parse,
        action="append",
        default=[],
        help="fail if p50, p95, p99 or max of posts (or found.p99 ...: until one is found) is above this",
    )
    parser.add_argument("--ui", action="store_true", help="open Locust's page on a loopback port instead")
    parser.add_argument("--ui-port", type=int, default=8089, help="its port (%(default)s)")
    return parser.parse_args(words)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every load."""
    parser.add_argument("--users", type=int, default=20, help="senders at the same time (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="length of the run (%(default)s)")
    parser.add_argument(
        "--rate", type=float, default=10, help="tasks a second of each sender, 0 for no limit (%(default)s)"
    )
    parser.add_argument("--processes", type=int, default=0, help="spread the senders over local workers")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="where reports are written (%(default)s)"
    )
    parser.add_argument("--anywhere", action="store_true", help="let HEADRACE_URL be another machine")


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
    """Run locust against `target`, print what it came to, and write its reports."""
    if arguments.ui:
        return show_page(target, arguments)
    print(f"{arguments.users} users for {arguments.seconds} s on {target.url} ...", flush=True)
    report = run_locust(target, arguments, folder, {"HEADRACE_LOAD_SHAPE": arguments.shape})
    verdict = judge(report, arguments.fail_above)
    print(verdict.text)
    return 0 if verdict.is_good else 1


def run_locust(
    target: Target, arguments: argparse.Namespace, folder: Path, settings: Mapping[str, str]
) -> Report:
    """Run locust headless and return its report; HTML and CSV files stay in the folder of results.

    Raises LoadError when it left no report, or a token was refused.
    """
    report_file = folder / "report.json"
    arguments.results.mkdir(parents=True, exist_ok=True)
    files = arguments.results / f"load-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    command = [
        *locust_command(target, arguments),
        *("--headless", "--spawn-rate", str(arguments.users), "--run-time", f"{arguments.seconds}s"),
        *("--stop-timeout", "60", "--only-summary", "--loglevel", "WARNING"),
        *("--html", f"{files}.html", "--csv", str(files)),
    ]
    if arguments.processes:
        command += ["--processes", str(arguments.processes), "--master-bind-host", "127.0.0.1"]
    environment = {**locust_environment(target, arguments), **settings}
    environment["HEADRACE_LOAD_REPORT_FILE"] = str(report_file)
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
    report = read_report(report_file.read_bytes())
    if report.refused:
        raise LoadError(report.refused)
    print(f"Reports: {files}.html and {files}_*.csv", flush=True)
    return report


def show_page(target: Target, arguments: argparse.Namespace) -> int:
    """Serve Locust's page until Ctrl-C; runs are begun and ended there."""
    print(f"Open http://127.0.0.1:{arguments.ui_port} (Ctrl-C ends it).", flush=True)
    command = [
        *locust_command(target, arguments),
        *("--web-host", "127.0.0.1", "--web-port", str(arguments.ui_port), "--loglevel", "WARNING"),
    ]
    environment = locust_environment(target, arguments) | {"HEADRACE_LOAD_SHAPE": arguments.shape}
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - ours
    try:
        return process.wait()
    finally:
        stop(process)


def locust_command(target: Target, arguments: argparse.Namespace) -> list[str]:
    """The words that every run of locust begins with."""
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE)),
        *("--host", target.url, "--users", str(arguments.users)),
    ]


def locust_environment(target: Target, arguments: argparse.Namespace) -> dict[str, str]:
    """What the locustfile reads."""
    return os.environ | {
        "HEADRACE_CLIENT_TOKEN": target.client_token,
        "HEADRACE_USER_TOKEN": target.user_token,
        "HEADRACE_LOAD_RATE": str(arguments.rate),
    }


if __name__ == "__main__":
    sys.exit(main())
