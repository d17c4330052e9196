"""Auditing (§15.2) and the audit file (`spec/transparency.md` §8)."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

from . import structs, trees
from .edwards import verify as verify_ed25519
from .errors import require
from .view import View
from .wire import Reader, decode, uint

MAGIC = b"NKTA1"
RECORD_MAX = 4 << 20


class Auditor:
    """Size, newest timestamp, prefix root and full subtrees of a log."""

    def __init__(self, size=0, timestamp=0, prefix_root=trees.EMPTY_PREFIX_ROOT, subtrees=()):
        self.size, self.timestamp, self.prefix_root = size, timestamp, prefix_root
        self.subtrees = list(subtrees)

    @property
    def root(self):
        return trees.fold(self.size, self.subtrees)

    def encode(self):
        out = uint(self.size, 8) + uint(self.timestamp, 8) + self.prefix_root
        return out + uint(len(self.subtrees), 1) + b"".join(self.subtrees)

    def apply(self, encoded):
        """Takes the AuditorUpdate of the next entry."""
        update = decode(encoded, structs.auditor_update)
        require(update.timestamp >= self.timestamp, "TimeRegression", f"entry {self.size}")
        require(not update.removed, "Removal", f"entry {self.size}")
        keys = [key for key, _ in update.added]
        require(all(a < b for a, b in pairwise(keys)), "Order", f"entry {self.size}")
        require(
            all(r.kind != structs.INCLUSION for r in update.proof.results),
            "LabelPresent",
            f"entry {self.size}",
        )
        nothing = [None] * len(keys)
        before = trees.evaluate(update.proof, keys, nothing)
        require(before == self.prefix_root, "Fork", f"prefix tree before entry {self.size}")
        added = dict(update.added)
        self.prefix_root = trees.evaluate(update.proof, keys, nothing, added)
        self.timestamp = update.timestamp
        self._append(trees.log_leaf(self.timestamp, self.prefix_root))
        return len(keys)

    def _append(self, leaf):
        shapes, heads = trees.full_subtrees(self.size), self.subtrees
        batch = trees.BatchProof(self.size + 1, self.size, heads, {self.size: leaf}, [])
        assert len(shapes) == len(heads)
        self.size, self.subtrees = self.size + 1, batch.heads


def auditor(r):
    size, timestamp, prefix_root = r.u64(), r.u64(), r.hash()
    require(size <= structs.MAX_SIZE, "Malformed", "size")
    subtrees = r.vector(1, r.hash)
    require(len(subtrees) == len(trees.full_subtrees(size)), "Malformed", "subtrees")
    empty = size > 0 or (timestamp == 0 and prefix_root == trees.EMPTY_PREFIX_ROOT)
    require(empty, "Malformed", "state of an empty log")
    return Auditor(size, timestamp, prefix_root, subtrees)


def statement_tbs(config, timestamp, size, root):
    """AuditorTreeHeadTBS (§11.3)."""
    return config.encoded + uint(timestamp, 8) + uint(size, 8) + root


def verify_statement(config, key, timestamp, size, root, signature):
    return verify_ed25519(key, statement_tbs(config, timestamp, size, root), signature)


@dataclass
class Header:
    config: structs.Configuration
    canister: bytes
    root_key_hash: bytes
    start: Auditor
    records: Reader


def header(data):
    """The beginning of a file, and a cursor over its records."""
    r = Reader(data)
    require(r.take(5) == MAGIC, "Malformed", "magic")
    h = Reader(r.opaque(4))
    out = Header(structs.configuration(h), h.opaque(1), h.hash(), auditor(h), r)
    h.end()
    return out


class AuditFile:
    """Reads a file and checks every entry and checkpoint in it.

    `check_head(config, view, signature)` checks the signature of a checkpoint; without it they
    are counted as `skipped`.
    """

    def __init__(self, data, check_head=None):
        head = header(data)
        self.config, self.state, r = head.config, head.start, head.records
        self.start, self.versions, self.checkpoints, self.skipped = self.state.size, 0, 0, 0
        while r.at < len(r.data):
            kind, length = r.u8(), r.u32()
            require(length <= RECORD_MAX, "Malformed", "record too long")
            body = r.take(length)
            if kind == 1:
                self.versions += self.state.apply(body)
            else:
                require(kind == 2, "Malformed", "record kind")
                self._checkpoint(body, check_head)

    def _checkpoint(self, body, check_head):
        r = Reader(body)
        size, root, signature, _code = r.u64(), r.hash(), r.opaque(2), r.opaque(4)
        r.end()
        require(size == self.state.size, "Malformed", "checkpoint out of place")
        require(root == self.state.root, "Fork", f"checkpoint at {size}")
        self.checkpoints += 1
        if check_head is None:
            self.skipped += 1
        else:
            check_head(self.config, View(size, self.state.subtrees, {}), signature)


def key_hash(root_key):
    return sha256(root_key).digest()
