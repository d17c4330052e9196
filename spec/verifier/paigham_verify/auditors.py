"""What auditors say of a head (`spec/review.md` §4, `spec/transparency.md` §9)."""

from dataclasses import dataclass

from . import trees
from .audit import verify_statement
from .errors import Refused, require
from .structs import MAX_SIZE
from .wire import Reader, decode

MAX_LAG_MS = 48 * 3600 * 1000


@dataclass
class Statement:
    key: bytes
    head: bytes  # AuditorTreeHead
    consistency: bytes


def cosignatures(r):
    """The directory's reply."""
    return r.vlist(lambda r: Statement(r.hash(), r.vbytes(), r.vbytes()))


def auditor_head(r):
    """(timestamp, size, signature): the draft's AuditorTreeHead."""
    return r.u64(), r.u64(), r.opaque(2)


def consistency(encoded, smaller, larger):
    """The roots (smaller, larger) that a proof leads to."""
    require(1 <= smaller <= larger <= MAX_SIZE, "Malformed", "sizes")
    r = Reader(encoded)
    subtrees, elements = r.vector(1, r.hash), r.vector(2, r.hash)
    r.end()
    require(len(subtrees) == len(trees.full_subtrees(smaller)), "Malformed", "subtrees")
    batch = trees.BatchProof(larger, smaller, subtrees, {}, elements)
    return trees.fold(smaller, subtrees), batch.root


def judge(config, size, root, newest_ms, statement):
    """What one statement is worth for a head: "vouches", "late" or "disagrees"."""
    try:
        timestamp, signed, signature = decode(statement.head, auditor_head)
        first, second = consistency(statement.consistency, min(signed, size), max(signed, size))
        own, signed_root = (second, first) if signed <= size else (first, second)
        require(own == root, "Fork", "the proof is of another head")
        fits = verify_statement(config, statement.key, timestamp, signed, signed_root, signature)
        require(fits, "Signature", "statement")
    except Refused:
        return "disagrees"
    return "late" if newest_ms - timestamp > MAX_LAG_MS else "vouches"


def report(config, policy, view, statements):
    """What each auditor that a network names says; `policy` is (keys, how many)."""
    keys, required = policy
    by_key = {}
    for statement in statements:
        by_key.setdefault(statement.key, statement)
    words = {}
    for key in keys:
        said = by_key.get(key)
        head = (view.size, view.root, view.newest)
        words[key.hex()] = judge(config, *head, said) if said else "nothing"
    vouching = sum(word == "vouches" for word in words.values())
    return {"required": required, "vouching": vouching, "met": vouching >= required, "says": words}
