"""The group of edwards25519 (RFC 8032 §5.1), and strict Ed25519 signatures.

Arithmetic is here because the VRF needs it; signatures go through libsodium, which refuses
small-order keys and unreduced `s`, after the one-encoding checks of `spec/transparency.md` §4.
"""

import nacl.exceptions
import nacl.signing

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
ZERO = (0, 1, 1, 0)


def add(a, b):
    """Unified addition in extended coordinates (RFC 8032 §5.1.4)."""
    p = (a[1] - a[0]) * (b[1] - b[0]) % P
    q = (a[1] + a[0]) * (b[1] + b[0]) % P
    r = 2 * a[3] * b[3] * D % P
    s = 2 * a[2] * b[2] % P
    e, f, g, h = q - p, s - r, s + r, q + p
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def negate(a):
    return (-a[0] % P, a[1], a[2], -a[3] % P)


def multiply(scalar, point):
    result = ZERO
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def is_zero(a):
    return a[0] == 0 and a[1] == a[2]


def encode(a):
    inverse = pow(a[2], P - 2, P)
    x, y = a[0] * inverse % P, a[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    """The point of an encoding, or None: y below p, no negative zero, on the curve."""
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * ROOT_OF_MINUS_ONE % P
        if v * x * x % P != u:
            return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode(bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666"))


def small_order(a):
    return is_zero(multiply(8, a))


def verify(key, message, signature):
    """Whether an Ed25519 signature holds, strictly."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    for encoded in (key, signature[:32]):
        point = decode(encoded)
        if point is None or small_order(point):
            return False
    try:
        nacl.signing.VerifyKey(key).verify(message, signature)
    except nacl.exceptions.BadSignatureError:
        return False
    return True
