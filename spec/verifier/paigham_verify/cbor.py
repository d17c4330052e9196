"""CBOR as certificates use it: definite, shortest lengths; byte strings, texts, arrays, maps.

Whatever has another form is refused while it is read, so that what was read has one encoding.
"""

from .errors import Refused, require
from .wire import Reader

SELF_DESCRIBED = b"\xd9\xd9\xf7"
MAX_DEPTH = 512


class Item(Reader):
    """A cursor over CBOR."""

    def head(self):
        first = self.u8()
        major, short = first >> 5, first & 0x1F
        if short < 24:
            return major, short
        require(short <= 27, "Malformed", "CBOR length")
        size = 1 << (short - 24)
        value = self.uint(size)
        least = 24 if size == 1 else 1 << (4 * size)
        require(value >= least, "Malformed", "CBOR length is not the shortest")
        return major, value

    def expect(self, major):
        found, value = self.head()
        require(found == major, "Malformed", f"CBOR type {found} instead of {major}")
        return value

    def number(self):
        return self.expect(0)

    def bytes(self):
        return self.take(self.expect(2))

    def text(self):
        try:
            return self.take(self.expect(3)).decode()
        except UnicodeDecodeError as e:
            raise Refused("Malformed", "text") from e

    def self_described(self):
        require(self.take(3) == SELF_DESCRIBED, "Malformed", "CBOR tag")

    def fields(self, names, optional=()):
        """The keys of a map in exactly this order, each followed by what the caller reads."""
        count = self.expect(5)
        for index, name in enumerate(names):
            if index >= count:
                require(name in optional, "Malformed", f"{name} lacks")
                return
            require(self.text() == name, "Malformed", f"{name} expected")
            yield name
        require(count == len(names), "Malformed", "fields")
