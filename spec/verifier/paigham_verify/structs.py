"""The draft's structures (§11 to §13, §15.2) and those of `spec/transparency.md` §9."""

from dataclasses import dataclass

from .errors import require
from .vrf import PROOF_BYTES

INCLUSION, LEAF, PARENT = 1, 2, 3
PLAIN, CANISTER = 0x0002, 0xF001
MAX_SIZE = 1 << 62


@dataclass
class Configuration:
    suite: int
    signature_key: bytes
    vrf_key: bytes
    max_ahead: int
    max_behind: int
    window: int
    encoded: bytes


def configuration(r):
    begin = r.at
    suite, mode = r.u16(), r.u8()
    require(suite in (PLAIN, CANISTER), "Malformed", "cipher suite")
    require(mode == 1, "Malformed", "mode")
    signature_key, vrf_key = r.opaque(2), r.opaque(2)
    ahead, behind, window = r.u64(), r.u64(), r.u64()
    require(r.optional(r.u64) is None, "Malformed", "maximum lifetime")
    return Configuration(suite, signature_key, vrf_key, ahead, behind, window, r.data[begin : r.at])


@dataclass
class PrefixResult:
    kind: int
    leaf: tuple
    depth: int


@dataclass
class PrefixProof:
    results: list
    elements: list


def prefix_leaf(r):
    return (r.hash(), r.hash())


def prefix_result(r):
    kind = r.u8()
    require(kind in (INCLUSION, LEAF, PARENT), "Malformed", "result type")
    leaf = prefix_leaf(r) if kind == LEAF else None
    return PrefixResult(kind, leaf, r.u8())


def prefix_proof(r):
    results = r.vector(1, lambda: prefix_result(r))
    return PrefixProof(results, r.vector(2, r.hash))


@dataclass
class CombinedProof:
    timestamps: list
    prefix_proofs: list
    prefix_roots: list
    inclusion: list


def combined_proof(r):
    return CombinedProof(
        r.vector(1, r.u64),
        r.vector(1, lambda: prefix_proof(r)),
        r.vector(1, r.hash),
        r.vector(2, r.hash),
    )


@dataclass
class TreeHead:
    size: int
    signature: bytes


def full_tree_head(r):
    """The updated head, or None for `same`."""
    kind = r.u8()
    require(kind in (1, 2), "Malformed", "head type")
    if kind == 1:
        return None
    size = r.u64()
    require(1 <= size <= MAX_SIZE, "Malformed", "tree size")
    return TreeHead(size, r.opaque(2))


def ladder_step(r):
    return (r.take(PROOF_BYTES), r.optional(r.hash))


@dataclass
class SearchRequest:
    last: int
    label: bytes
    version: int


def search_request(r):
    return SearchRequest(r.optional(r.u64), r.opaque(1), r.optional(r.u32))


@dataclass
class SearchResponse:
    head: TreeHead
    version: int
    opening: bytes
    value: bytes
    ladder: list
    proof: CombinedProof


def search_response(fixed):
    """Reader of a SearchResponse; `fixed` is the version that was asked for, or None."""

    def read(r):
        head = full_tree_head(r)
        version = r.u32() if fixed is None else fixed
        opening, value = r.take(16), r.opaque(4)
        return SearchResponse(
            head, version, opening, value, r.vector(1, lambda: ladder_step(r)), combined_proof(r)
        )

    return read


@dataclass
class AbsentResponse:
    head: TreeHead
    vrf_proof: bytes
    proof: CombinedProof


def absent_response(r):
    return AbsentResponse(full_tree_head(r), r.take(PROOF_BYTES), combined_proof(r))


@dataclass
class PlaceResponse:
    """`spec/transparency.md` §9."""

    head: TreeHead
    position: int
    opening: bytes
    vrf_proof: bytes
    proof: CombinedProof


def place_response(r):
    return PlaceResponse(
        full_tree_head(r), r.u64(), r.take(16), r.take(PROOF_BYTES), combined_proof(r)
    )


@dataclass
class ProofResponse:
    """ContactMonitor-, OwnerMonitor- and DistinguishedResponse are alike."""

    head: TreeHead
    proof: CombinedProof


def proof_response(r):
    return ProofResponse(full_tree_head(r), combined_proof(r))


def map_entries(r):
    return r.vector(1, lambda: (r.u64(), r.u32()))


@dataclass
class ContactRequest:
    last: int
    label: bytes
    entries: list


def contact_request(r):
    return ContactRequest(r.optional(r.u64), r.opaque(1), map_entries(r))


@dataclass
class OwnerInitRequest:
    last: int
    label: bytes
    start: int


def owner_init_request(r):
    return OwnerInitRequest(r.optional(r.u64), r.opaque(1), r.u64())


@dataclass
class OwnerInitResponse:
    head: TreeHead
    versions: list
    ladder: list
    proof: CombinedProof


def owner_init_response(r):
    return OwnerInitResponse(
        full_tree_head(r),
        r.vector(1, r.u32),
        r.vector(2, lambda: ladder_step(r)),
        combined_proof(r),
    )


@dataclass
class OwnerRequest:
    last: int
    label: bytes
    entries: list
    start: int
    greatest: int


def owner_request(r):
    return OwnerRequest(r.optional(r.u64), r.opaque(1), map_entries(r), r.u64(), r.optional(r.u32))


@dataclass
class UpdateRequest:
    last: int
    label: bytes
    greatest: int
    values: list


def update_request(r):
    return UpdateRequest(
        r.optional(r.u64), r.opaque(1), r.optional(r.u32), r.vector(1, lambda: r.opaque(4))
    )


@dataclass
class UpdateResponse:
    head: TreeHead
    position: int
    values: list
    openings: list
    ladder: list
    proof: CombinedProof


def update_response(r):
    return UpdateResponse(
        full_tree_head(r),
        r.u64(),
        r.vector(1, lambda: r.opaque(4)),
        r.vector(1, lambda: r.take(16)),
        r.vector(1, lambda: ladder_step(r)),
        combined_proof(r),
    )


@dataclass
class DistinguishedRequest:
    last: int
    stop: int


def distinguished_request(r):
    return DistinguishedRequest(r.optional(r.u64), r.optional(r.u64))


@dataclass
class AuditorUpdate:
    timestamp: int
    added: list
    removed: list
    proof: PrefixProof


def auditor_update(r):
    return AuditorUpdate(
        r.u64(),
        r.vector(2, lambda: prefix_leaf(r)),
        r.vector(2, lambda: prefix_leaf(r)),
        prefix_proof(r),
    )
