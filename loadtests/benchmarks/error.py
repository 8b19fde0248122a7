"""The error that ends a benchmark without figures."""


class BenchmarkError(Exception):
    """The benchmark could not be run, or its figures would mean nothing; the message says why."""
