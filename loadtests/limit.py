"""`make load-limit`: more senders with every step, until the p99 of posts or a refusal says stop.

It starts a collector, or uses a running one, as `make load` does.
"""

import argparse
import sys
from pathlib import Path

from loadtests.figures import limit_text
from loadtests.run import Target, add_options, on_a_collector, run_locust


def main() -> int:
    """Return the exit status: 0 if the limit was found, 1 if nothing said stop, 2 if it could not be run."""
    return on_a_collector("limit", parse(sys.argv[1:]), find_limit)


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.limit", description=__doc__)
    add_options(parser)
    parser.set_defaults(users=100, seconds=300)
    parser.add_argument("--p99", type=float, default=500, help="the highest p99 of posts in ms (%(default)s)")
    parser.add_argument("--step", type=float, default=10, help="seconds of each step (%(default)s)")
    return parser.parse_args(words)


def find_limit(target: Target, arguments: argparse.Namespace, folder: Path) -> int:
    """Add a tenth of the users with every step, and print all steps and the best one."""
    print(
        f"Steps of {max(1, arguments.users // 10)} users and {arguments.step:g} s on {target.url},"
        f" until the p99 of posts is above {arguments.p99:g} ms or one fails ...",
        flush=True,
    )
    settings = {
        "HEADRACE_LOAD_SHAPE": "limit",
        "HEADRACE_LOAD_LIMIT_P99_MS": str(arguments.p99),
        "HEADRACE_LOAD_STEP_SECONDS": str(arguments.step),
    }
    report = run_locust(target, arguments, folder, settings)
    print(limit_text(report))
    return 0 if report.stopped else 1


if __name__ == "__main__":
    sys.exit(main())
