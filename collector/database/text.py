"""What a Postgres `text` can hold."""


def storable(text: str) -> str:
    """The text with U+FFFD in place of NUL and lone surrogates, which Postgres refuses."""
    mended = text.replace("\0", "\ufffd")
    return mended.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
