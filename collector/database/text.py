"""What a Postgres `text` can hold, and how its case is folded."""


def storable(text: str) -> str:
    """The text with U+FFFD in place of NUL and lone surrogates, which Postgres refuses."""
    mended = text.replace("\0", "\ufffd")
    return mended.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def lowered(value: str) -> str:
    """SQL for a text in lower case, one code point at a time, whatever the database's own locale is."""
    return f'lower({value} COLLATE "pg_c_utf8")'
