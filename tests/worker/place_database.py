"""A database of places in MaxMind's format, as small as it can be: one network of IPv4, one record.

The format: a binary tree of 24-bit records, 16 zero bytes, the data section, a marker, the metadata.
"""

import struct
from ipaddress import IPv4Network
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"
_DATA_SEPARATOR = 16
_INTEGERS = {"node_count": 6, "build_epoch": 9}
_SIZES = {5: 2, 6: 4, 9: 8}


def place_database(network: str, record: Any) -> bytes:
    """The bytes of a file in which all addresses of the network have the record."""
    at = IPv4Network(network)
    nodes = at.prefixlen
    bits = int(at.network_address)
    tree = b""
    for depth in range(nodes):
        found = depth + 1 if depth + 1 < nodes else nodes + _DATA_SEPARATOR
        pair = (nodes, found) if bits >> (31 - depth) & 1 else (found, nodes)
        tree += b"".join(target.to_bytes(3, "big") for target in pair)
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000,
        "database_type": "Test-City",
        "description": {"en": "A test"},
        "ip_version": 4,
        "languages": ["en"],
        "node_count": nodes,
        "record_size": 24,
    }
    return tree + bytes(_DATA_SEPARATOR) + _encoded(record) + _MARKER + _encoded(metadata)


def _encoded(value: Any, name: str = "") -> bytes:
    match value:
        case str():
            text = value.encode()
            return _control(2, len(text)) + text
        case float():
            return _control(3, 8) + struct.pack(">d", value)
        case int():
            kind = _INTEGERS.get(name, 5)
            return _control(kind, _SIZES[kind]) + value.to_bytes(_SIZES[kind], "big")
        case dict():
            members = (_encoded(key) + _encoded(item, key) for key, item in value.items())
            return _control(7, len(value)) + b"".join(members)
        case _:
            return _control(11, len(value)) + b"".join(map(_encoded, value))


def _control(kind: int, size: int) -> bytes:
    """The type and the size, which here is below 29; types above 7 are in a second byte."""
    return bytes([kind << 5 | size]) if kind <= 7 else bytes([size, kind - 7])
