"""Reading bytes: TLS presentation language with both kinds of vectors that are in use.

The draft puts the *number of elements* before a vector (`spec/transparency.md` §3), our own
structures a minimal QUIC varint with the *number of bytes* (`spec/protocol.md` §1).
"""

from .errors import require


class Reader:
    """A cursor over bytes; whatever ends too early is Malformed."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    def take(self, count):
        require(0 <= count <= len(self.data) - self.at, "Malformed", "ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def uint(self, count):
        return int.from_bytes(self.take(count), "big")

    def u8(self):
        return self.uint(1)

    def u16(self):
        return self.uint(2)

    def u32(self):
        return self.uint(4)

    def u64(self):
        return self.uint(8)

    def hash(self):
        return self.take(32)

    def optional(self, read):
        present = self.u8()
        require(present in (0, 1), "Malformed", "presence octet")
        return read() if present else None

    def opaque(self, length_bytes):
        return self.take(self.uint(length_bytes))

    def vector(self, length_bytes, read):
        return [read() for _ in range(self.uint(length_bytes))]

    def varint(self):
        first = self.u8()
        size = 1 << (first >> 6)
        require(size <= 4, "Malformed", "length")
        value = int.from_bytes(bytes([first & 0x3F]) + self.take(size - 1), "big")
        require(
            size == 1 or value >= 1 << (8 * (size // 2) - 2), "Malformed", "length is not minimal"
        )
        return value

    def vbytes(self):
        return self.take(self.varint())

    def vlist(self, read):
        inner = Reader(self.vbytes())
        items = []
        while inner.at < len(inner.data):
            items.append(read(inner))
        return items

    def end(self):
        require(self.at == len(self.data), "Malformed", "bytes follow")


def decode(data, read):
    """Reads a whole structure."""
    reader = Reader(data)
    value = read(reader)
    reader.end()
    return value


def uint(value, size):
    return value.to_bytes(size, "big")


def optional(value, write):
    return b"\x00" if value is None else b"\x01" + write(value)


def varint(value):
    """Minimal QUIC varint."""
    for power, size in ((0, 1), (1, 2), (2, 4)):
        if value < 1 << (8 * size - 2):
            return ((power << (8 * size - 2)) | value).to_bytes(size, "big")
    raise ValueError("too long")


def vbytes(data):
    return varint(len(data)) + data
