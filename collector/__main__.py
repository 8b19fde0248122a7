"""Where the `headrace` command begins: health checks take milliseconds, all else is `collector.cli`."""

import sys


def main() -> None:
    """Run the command that the arguments name."""
    # Container engines check each process every few seconds; the other commands take half a second to import.
    if sys.argv[1:] in (["health"], ["health", "--ready"]):
        import os  # noqa: PLC0415

        from collector.process.probe import health_problem  # noqa: PLC0415

        if problem := health_problem(os.environ, is_ready="--ready" in sys.argv):
            sys.stderr.write(f"headrace: {problem}\n")
            sys.exit(1)
        return
    from collector.cli import main as run_command  # noqa: PLC0415

    run_command()


if __name__ == "__main__":
    main()
