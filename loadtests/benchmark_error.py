"""What makes a benchmark worthless: it ends with this instead of figures."""


class BenchmarkError(Exception):
    """The benchmark could not be run, or its figures would mean nothing; the message says why."""
