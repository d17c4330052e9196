"""Certificates and canister signatures of the Internet Computer (`spec/transparency.md` §2)."""

from dataclasses import dataclass
from hashlib import sha256

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import (
    FQ12,
    G2,
    curve_order,
    final_exponentiate,
    is_inf,
    multiply,
    neg,
    pairing,
)

from .cbor import MAX_DEPTH, Item
from .errors import require

BLS_DER_PREFIX = bytes.fromhex(
    "308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100"
)
BLS_DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
SIGNATURE_OID = bytes.fromhex("060a2b0601040183b8430102")
DELEGATION_MAX_AGE_NS = 30 * 24 * 3600 * 10**9
FRESH_NS = 5 * 60 * 10**9
AHEAD_NS = 2 * 60 * 10**9
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Trust:
    """What a reader is given: the root key (DER) and the canister that speaks."""

    root_key: bytes
    canister: bytes


# Hash trees: ("empty",) ("fork", l, r) ("label", name, tree) ("leaf", data) ("pruned", hash)


def hash_tree(item, depth=0):
    require(depth <= MAX_DEPTH, "Malformed", "hash tree too deep")
    count, kind = item.expect(4), item.number()
    require((kind, count) in ((0, 1), (1, 3), (2, 3), (3, 2), (4, 2)), "Malformed", "hash tree")
    if kind == 0:
        return ("empty",)
    if kind == 1:
        return ("fork", hash_tree(item, depth + 1), hash_tree(item, depth + 1))
    if kind == 2:
        return ("label", item.bytes(), hash_tree(item, depth + 1))
    data = item.bytes()
    require(kind == 3 or len(data) == 32, "Malformed", "pruned hash")
    return ("leaf" if kind == 3 else "pruned", data)


def _domain(name, *parts):
    return sha256(bytes([len(name)]) + name + b"".join(parts)).digest()


def digest(tree):
    kind = tree[0]
    if kind == "empty":
        return _domain(b"ic-hashtree-empty")
    if kind == "fork":
        return _domain(b"ic-hashtree-fork", digest(tree[1]), digest(tree[2]))
    if kind == "label":
        return _domain(b"ic-hashtree-labeled", tree[1], digest(tree[2]))
    return _domain(b"ic-hashtree-leaf", tree[1]) if kind == "leaf" else tree[1]


def subtree(tree, label):
    """What stands below a label, or None."""
    if tree[0] == "fork":
        found = subtree(tree[1], label)
        return subtree(tree[2], label) if found is None else found
    return tree[2] if tree[0] == "label" and tree[1] == label else None


def lookup(tree, *path):
    """The leaf at a path, or None where the tree shows none."""
    for label in path:
        tree = subtree(tree, label)
        if tree is None:
            return None
    return tree[1] if tree[0] == "leaf" else None


def leaves_below(tree):
    if tree[0] == "fork":
        return leaves_below(tree[1]) + leaves_below(tree[2])
    if tree[0] == "label":
        return leaves_below(tree[2])
    return [tree[1]] if tree[0] == "leaf" else []


@dataclass
class Certificate:
    tree: tuple
    signature: bytes
    delegation: tuple

    @property
    def time_ns(self):
        leaf = lookup(self.tree, b"time")
        require(leaf is not None and 0 < len(leaf) <= 10, "Signature", "certificate without time")
        require(leaf[-1] < 0x80 and all(b >= 0x80 for b in leaf[:-1]), "Signature", "time")
        value = sum((b & 0x7F) << (7 * i) for i, b in enumerate(leaf))
        require(value < 1 << 64, "Signature", "time")
        return value


def certificate(data):
    """Reads a certificate in its one encoding."""
    require(len(data) <= MAX_BYTES, "Malformed", "certificate too long")
    item = Item(data)
    item.self_described()
    tree = signature = delegation = None
    for name in item.fields(["tree", "signature", "delegation"], ("delegation",)):
        if name == "tree":
            tree = hash_tree(item)
        elif name == "signature":
            signature = item.bytes()
        else:
            parts = [item.bytes() for _ in item.fields(["subnet_id", "certificate"])]
            delegation = tuple(parts)
    item.end()
    return Certificate(tree, signature, delegation)


_verified = set()


def _verify_bls(key, message, signature):
    """BLS12-381, signatures in G1 (48 bytes), keys in G2 (96 bytes)."""
    if (key, message, signature) in _verified:
        return
    require(len(signature) == 48 and len(key) == 96, "Signature", "BLS lengths")
    try:
        point = decompress_G1(int.from_bytes(signature, "big"))
        public = decompress_G2((int.from_bytes(key[:48], "big"), int.from_bytes(key[48:], "big")))
    except (ValueError, AssertionError):
        require(False, "Signature", "BLS encoding")
    require(not is_inf(point) and not is_inf(public), "Signature", "BLS infinity")
    require(is_inf(multiply(point, curve_order)), "Signature", "BLS subgroup")
    require(is_inf(multiply(public, curve_order)), "Signature", "BLS key's subgroup")
    hashed = hash_to_G1(message, BLS_DOMAIN, sha256)
    product = pairing(G2, neg(point), False) * pairing(public, hashed, False)
    require(final_exponentiate(product) == FQ12.one(), "Signature", "BLS signature")
    _verified.add((key, message, signature))


def _bls_key(der):
    require(der is not None and der.startswith(BLS_DER_PREFIX), "Signature", "DER of a BLS key")
    return der[len(BLS_DER_PREFIX) :]


def _check_signature(cert, key):
    _verify_bls(key, b"\x0dic-state-root" + digest(cert.tree), cert.signature)


def _holds(leaf, canister):
    """Whether a CBOR list of ranges [low, high] holds a canister."""
    item = Item(leaf)
    if leaf.startswith(b"\xd9\xd9\xf7"):
        item.self_described()
    found = False
    for _ in range(item.expect(4)):
        require(item.expect(4) == 2, "Malformed", "canister range")
        low, high = item.bytes(), item.bytes()
        found = found or low <= canister <= high
    item.end()
    return found


def verify_certificate(trust, data):
    """Checks encoding, signature and delegation; gives the certificate."""
    cert = certificate(data)
    key = _bls_key(trust.root_key)
    if cert.delegation is not None:
        subnet, encoded = cert.delegation
        root = certificate(encoded)
        require(root.delegation is None, "Signature", "delegation below a delegation")
        _check_signature(root, key)
        age = cert.time_ns - root.time_ns
        require(age <= DELEGATION_MAX_AGE_NS, "Signature", "delegation older than 30 days")
        flat = lookup(root.tree, b"subnet", subnet, b"canister_ranges")
        shards = subtree(root.tree, b"canister_ranges")
        shards = subtree(shards, subnet) if shards is not None else None
        ranges = ([flat] if flat is not None else []) + (leaves_below(shards) if shards else [])
        require(any(_holds(r, trust.canister) for r in ranges), "Signature", "canister range")
        key = _bls_key(lookup(root.tree, b"subnet", subnet, b"public_key"))
    _check_signature(cert, key)
    return cert


def certified_data(trust, data):
    """(certified data of the trusted canister, certificate time in ns)."""
    cert = verify_certificate(trust, data)
    leaf = lookup(cert.tree, b"canister", trust.canister, b"certified_data")
    require(leaf is not None and len(leaf) == 32, "Signature", "another canister")
    return leaf, cert.time_ns


def signature_key(canister, seed):
    """DER of a canister-signature key."""
    bits = b"\x00" + bytes([len(canister)]) + canister + seed
    inner = b"\x30" + bytes([len(SIGNATURE_OID)]) + SIGNATURE_OID + b"\x03" + bytes([len(bits)])
    return b"\x30" + bytes([len(inner) + len(bits)]) + inner + bits


SEED = b"kt1"


def verify_canister_signature(trust, key, message, signature):
    """Checks a canister signature by the trusted canister; gives the certificate's time (ns)."""
    require(key == signature_key(trust.canister, SEED), "Signature", "key of another canister")
    require(len(signature) <= MAX_BYTES, "Malformed", "signature too long")
    item = Item(signature)
    item.self_described()
    encoded = tree = None
    for name in item.fields(["certificate", "tree"]):
        if name == "certificate":
            encoded = item.bytes()
        else:
            tree = hash_tree(item)
    item.end()
    data, time_ns = certified_data(trust, encoded)
    require(digest(tree) == data, "Signature", "tree is not the certified one")
    path = (b"sig", sha256(SEED).digest(), sha256(message).digest())
    require(lookup(tree, *path) == b"", "Signature", "the message is not signed")
    return time_ns


def check_fresh(time_ns, now_ns):
    """A certificate counts 5 minutes, and at most 2 minutes ahead."""
    require(now_ns - time_ns <= FRESH_NS, "StaleCertificate", f"{(now_ns - time_ns) // 10**9} s")
    require(time_ns - now_ns <= AHEAD_NS, "AheadOfTime", f"{(time_ns - now_ns) // 10**9} s")
