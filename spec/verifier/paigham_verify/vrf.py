"""ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381 §5.3, §5.5), output truncated to 32 bytes."""

from hashlib import sha512

from . import edwards
from .errors import require
from .wire import uint

PROOF_BYTES = 80


def vrf_input(label, version):
    return uint(len(label), 1) + label + uint(version, 4)


def _to_curve(key, alpha):
    for attempt in range(256):
        digest = sha512(b"\x03\x01" + key + alpha + bytes([attempt, 0])).digest()
        point = edwards.decode(digest[:32])
        if point is not None:
            point = edwards.multiply(8, point)
            if not edwards.is_zero(point):
                return point
    require(False, "Vrf", "no point")


def public_key(key):
    """The point of a VRF public key; refuses small order and other encodings."""
    point = edwards.decode(key)
    require(point is not None and not edwards.small_order(point), "Vrf", "public key")
    return point


def verify(key, alpha, proof):
    """The output that a proof shows for an input."""
    require(len(proof) == PROOF_BYTES, "Vrf", "length")
    y = public_key(key)
    gamma = edwards.decode(proof[:32])
    challenge = int.from_bytes(proof[32:48], "little")
    s = int.from_bytes(proof[48:], "little")
    require(gamma is not None and s < edwards.ORDER, "Vrf", "encoding")
    h = _to_curve(key, alpha)
    minus = edwards.negate
    u = edwards.add(edwards.multiply(s, edwards.BASE), minus(edwards.multiply(challenge, y)))
    v = edwards.add(edwards.multiply(s, h), minus(edwards.multiply(challenge, gamma)))
    points = b"".join(edwards.encode(p) for p in (h, gamma, u, v))
    expected = sha512(b"\x03\x02" + key + points + b"\x00").digest()[:16]
    require(int.from_bytes(expected, "little") == challenge, "Vrf", "proof")
    return sha512(b"\x03\x03" + edwards.encode(edwards.multiply(8, gamma)) + b"\x00").digest()[:32]
