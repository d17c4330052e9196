"""Writing what the verifier reads: a forger needs it, the verifier does not."""

from paigham_verify.structs import LEAF
from paigham_verify.wire import optional, uint, vbytes


def vector(length_bytes, items):
    return uint(len(items), length_bytes) + b"".join(items)


def opaque(length_bytes, data):
    return uint(len(data), length_bytes) + data


def prefix_proof(proof):
    results = [
        uint(r.kind, 1) + (b"".join(r.leaf) if r.kind == LEAF else b"") + uint(r.depth, 1)
        for r in proof.results
    ]
    return vector(1, results) + vector(2, proof.elements)


def combined_proof(proof):
    return (
        vector(1, [uint(t, 8) for t in proof.timestamps])
        + vector(1, [prefix_proof(p) for p in proof.prefix_proofs])
        + vector(1, proof.prefix_roots)
        + vector(2, proof.inclusion)
    )


def head(tree_head):
    if tree_head is None:
        return b"\x01"
    return b"\x02" + uint(tree_head.size, 8) + opaque(2, tree_head.signature)


def search_response(s):
    steps = [proof + optional(commitment, lambda c: c) for proof, commitment in s.ladder]
    return (
        head(s.head)
        + uint(s.version, 4)
        + s.opening
        + opaque(4, s.value)
        + vector(1, steps)
        + combined_proof(s.proof)
    )


def place_response(p):
    return head(p.head) + uint(p.position, 8) + p.opening + p.vrf_proof + combined_proof(p.proof)


def found(search, earlier, times):
    return (
        b"\x02"
        + vbytes(search)
        + vbytes(b"".join(vbytes(e) for e in earlier))
        + vbytes(b"".join(uint(v, 4) + vbytes(place) for v, place in times))
    )


def reply(answers, beside):
    return vbytes(b"".join(answers)) + vbytes(beside)


# Certificates.


def cbor_head(major, value):
    for short, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 24:
            return bytes([major << 5 | value])
        if value < 1 << (8 * size):
            return bytes([major << 5 | short]) + uint(value, size)
    raise ValueError("too large")


def cbor_bytes(data):
    return cbor_head(2, len(data)) + data


def cbor_text(text):
    return cbor_head(3, len(text)) + text.encode()


def hash_tree(tree):
    kind = tree[0]
    if kind == "empty":
        return b"\x81\x00"
    if kind == "fork":
        return b"\x83\x01" + hash_tree(tree[1]) + hash_tree(tree[2])
    if kind == "label":
        return b"\x83\x02" + cbor_bytes(tree[1]) + hash_tree(tree[2])
    return b"\x82" + (b"\x03" if kind == "leaf" else b"\x04") + cbor_bytes(tree[1])


def certificate(c):
    out = b"\xd9\xd9\xf7" + cbor_head(5, 2 if c.delegation is None else 3)
    out += cbor_text("tree") + hash_tree(c.tree) + cbor_text("signature") + cbor_bytes(c.signature)
    if c.delegation is not None:
        subnet, inner = c.delegation
        out += cbor_text("delegation") + cbor_head(5, 2)
        out += cbor_text("subnet_id") + cbor_bytes(subnet)
        out += cbor_text("certificate") + cbor_bytes(inner)
    return out


def canister_signature(encoded_certificate, tree):
    return (
        b"\xd9\xd9\xf7\xa2"
        + cbor_text("certificate")
        + cbor_bytes(encoded_certificate)
        + cbor_text("tree")
        + hash_tree(tree)
    )
