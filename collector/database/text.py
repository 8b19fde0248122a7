"""Text in Postgres: which characters it can store, and how its case is folded."""


def storable(text: str) -> str:
    """The text with U+FFFD in place of NUL and lone surrogates, which Postgres refuses."""
    without_nul = text.replace("\0", "\ufffd")
    return without_nul.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def lowered(value: str) -> str:
    """SQL for a text in lower case, one code point at a time, independent of the database's locale."""
    return f'lower({value} COLLATE "pg_c_utf8")'
