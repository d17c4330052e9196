"""The network file (`spec/network.md`): whose log it is."""

from dataclasses import dataclass

from .cbor import Item
from .edwards import verify as verify_ed25519
from .errors import require

DIRECTORY = 1
MAX_BYTES = 65_536
LABEL = b"paigham/1 network file"


@dataclass
class Network:
    name: str
    sequence: int
    expires_at: int
    root_key: bytes
    directory: bytes
    transparency: bytes
    auditors: tuple = None  # (keys, how many of them), or None


def _value(item, depth=0):
    """Any value of the few types that the file uses; maps with ascending keys."""
    require(depth < 8, "Malformed", "network file too deep")
    first = item.data[item.at : item.at + 1]
    if first in (b"\xf4", b"\xf5"):
        item.take(1)
        return first == b"\xf5"
    major, count = item.head()
    if major == 0:
        return count
    if major == 2:
        return item.take(count)
    if major == 3:
        return item.take(count).decode(errors="strict")
    if major == 4:
        return [_value(item, depth + 1) for _ in range(count)]
    require(major == 5, "Malformed", "type in a network file")
    out = {}
    for _ in range(count):
        key = item.number()
        require(not out or key > max(out), "Malformed", "keys ascend")
        out[key] = _value(item, depth + 1)
    return out


def _whole(data):
    item = Item(data)
    value = _value(item)
    item.end()
    return value


def network(published):
    """Reads a published file; enough of its own release keys must have signed it (NET-01 to 06)."""
    require(len(published) <= MAX_BYTES, "Malformed", "network file too long")
    encoded, signatures = _whole(published)
    keys = [key for key, _ in signatures]
    require(keys == sorted(set(keys)), "Signature", "signatures ascend")
    message = bytes([len(LABEL)]) + LABEL + encoded
    for key, signature in signatures:
        require(verify_ed25519(key, message, signature), "Signature", "network file")
    file = _whole(encoded)
    require(file[1] == 1, "Malformed", "version of the network file")
    release = file[13]
    signed = len(set(keys) & set(release[1]))
    require(1 <= release[2] <= signed, "Signature", "too few release keys signed")
    directories = [canister[2] for canister in file[8] if canister[1] == DIRECTORY]
    require(len(directories) >= 1, "Malformed", "no directory")
    require(file.get(15) is not None, "Malformed", "the network file names no log")
    named = file.get(16)
    auditors = (named[1], named[2]) if named and named[1] else None
    return Network(file[3], file[4], file[6], file[7], directories[0], file[15], auditors)
