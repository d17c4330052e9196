"""Log tree, prefix tree, implicit binary search tree, ladders: hashes and proofs."""

import hmac
from hashlib import sha256

from .errors import require
from .structs import INCLUSION, LEAF
from .wire import uint

EMPTY = bytes(32)
COMMITMENT_KEY = bytes.fromhex("d821f8790d97709796b4d7903357c3f5")
MAX_DEPTH = 255


def _hash(*parts):
    return sha256(b"".join(parts)).digest()


def log_leaf(timestamp, prefix_root):
    return _hash(uint(timestamp, 8), prefix_root)


def prefix_leaf(output, commitment):
    return _hash(b"\x02", output, commitment)


def prefix_parent(left, right):
    return _hash(b"\x03", left, right)


EMPTY_PREFIX_ROOT = prefix_parent(EMPTY, EMPTY)


def commitment(opening, label, version, value):
    body = opening + uint(len(label), 1) + label + uint(version, 4) + uint(len(value), 4) + value
    return hmac.new(COMMITMENT_KEY, body, sha256).digest()


# Implicit binary search tree (appendix A).


def level(x):
    k = 0
    while (x >> k) & 1:
        k += 1
    return k


def root(size):
    return (1 << (size.bit_length() - 1)) - 1


def left(x):
    k = level(x)
    return None if k == 0 else x ^ (1 << (k - 1))


def right(x, size):
    k = level(x)
    if k == 0 or x == size - 1:
        return None
    x ^= 3 << (k - 1)
    while x >= size:
        x = left(x)
    return x


def frontier(size):
    path = [root(size)]
    while path[-1] != size - 1:
        path.append(right(path[-1], size))
    return path


def path_to(x, size):
    """The entries from the root to x, x included."""
    path = [root(size)]
    while path[-1] != x:
        path.append(left(path[-1]) if x < path[-1] else right(path[-1], size))
    return path


# Binary ladders (appendix B).


def base_ladder(n):
    out = []
    while not out or out[-1] <= n:
        out.append((1 << len(out)) - 1)
    low, high = out[-2], out[-1]
    while low + 1 < high:
        middle = (low + high) // 2
        out.append(middle)
        if middle <= n:
            low = middle
        else:
            high = middle
    return out


def monitoring_ladder(target):
    return [v for v in base_ladder(target) if v <= target]


# Log tree (§11.8, §12.1).


def full_subtrees(size):
    """(start, entries) of each full subtree, left to right."""
    out, start = [], 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            out.append((start, 1 << bit))
            start += 1 << bit
    return out


def _log_parent(left_value, left_is_leaf, right_value, right_is_leaf):
    tag = {True: b"\x00", False: b"\x01"}
    return _hash(tag[left_is_leaf], left_value, tag[right_is_leaf], right_value)


def fold(size, heads):
    """The root of a log from the heads of its full subtrees."""
    shapes = full_subtrees(size)
    value, is_leaf = heads[-1], shapes[-1][1] == 1
    for (_, entries), head in list(zip(shapes, heads))[-2::-1]:
        value, is_leaf = _log_parent(head, entries == 1, value, is_leaf), False
    return value


class BatchProof:
    """Verifies inclusion and consistency together (`spec/transparency.md` §5)."""

    def __init__(self, size, last, retained, leaves, elements):
        self.last = last
        self.retained = dict(zip(full_subtrees(last), retained)) if last else {}
        self.leaves = leaves
        self.elements = list(elements)
        self.nodes = dict(self.retained)
        self.heads = [self._subtree(start, entries) for start, entries in full_subtrees(size)]
        require(not self.elements, "Count", "inclusion elements left over")
        self.root = fold(size, self.heads)

    def _subtree(self, start, entries):
        kept = self.retained.get((start, entries))
        value = self._value(start, entries, kept)
        if kept is not None:
            require(value == kept, "Fork", "a retained subtree differs")
        self.nodes[start, entries] = value
        return value

    def _value(self, start, entries, kept):
        end = start + entries
        if entries == 1 and start in self.leaves:
            return self.leaves[start]
        if not any(start <= x < end for x in self.leaves):
            if kept is not None:
                return kept
            if not start < self.last < end:
                require(self.elements, "Count", "inclusion elements lack")
                return self.elements.pop(0)
        half = entries // 2
        one = half == 1
        return _log_parent(self._subtree(start, half), one, self._subtree(start + half, half), one)

    def root_at(self, size):
        """The root when the log had `size` entries, where the proof shows it."""
        return fold(size, [self.nodes[shape] for shape in full_subtrees(size)])


# Prefix tree (§11.9, §12.2).


def bit(key, index):
    return key[index // 8] >> (7 - index % 8) & 1


class _Search:
    def __init__(self, key, result, found):
        self.key, self.depth = key, result.depth
        require(1 <= result.depth <= MAX_DEPTH, "PrefixProof", "depth")
        if result.kind == INCLUSION:
            require(found is not None, "PrefixProof", "inclusion without commitment")
            self.leaf = (key, found)
        elif result.kind == LEAF:
            self.leaf = result.leaf
            other = self.leaf[0]
            require(other != key, "PrefixProof", "the leaf is the key")
            require(
                all(bit(other, i) == bit(key, i) for i in range(result.depth)),
                "PrefixProof",
                "a leaf off its path",
            )
        else:
            self.leaf = None


def evaluate(proof, keys, commitments, added=()):
    """The root of a prefix tree from a proof.

    `keys` are those of the results in order, `commitments` what an inclusion of each would hold.
    With `added` leaves (output -> commitment) it is the root after they were inserted.
    """
    require(len(proof.results) == len(keys), "PrefixProof", "number of results")
    searches = [_Search(k, r, c) for k, r, c in zip(keys, proof.results, commitments)]
    elements = list(proof.elements)
    if not searches:
        require(len(elements) == 1, "PrefixProof", "elements")
        return elements[0]
    value = _node(searches, 0, elements, dict(added))
    require(not elements, "PrefixProof", "elements left over")
    return value


def _node(searches, depth, elements, added):
    if not searches:
        require(elements, "PrefixProof", "elements lack")
        return elements.pop(0)
    if any(s.depth == depth for s in searches):
        first = searches[0].leaf
        require(
            all(s.depth == depth and s.leaf == first for s in searches),
            "PrefixProof",
            "searches that meet end differently",
        )
        leaves = [] if first is None else [first]
        leaves += [(s.key, added[s.key]) for s in searches if s.key in added]
        return build(leaves, depth)
    sides = ([], [])
    for s in searches:
        sides[bit(s.key, depth)].append(s)
    return prefix_parent(*(_node(side, depth + 1, elements, added) for side in sides))


def build(leaves, depth=0):
    """The value of the node at `depth` above these leaves (key, commitment)."""
    if depth > 0:
        if not leaves:
            return EMPTY
        if len(leaves) == 1:
            return prefix_leaf(*leaves[0])
    require(depth <= MAX_DEPTH, "PrefixProof", "equal keys")
    sides = ([], [])
    for leaf in leaves:
        sides[bit(leaf[0], depth)].append(leaf)
    return prefix_parent(*(build(side, depth + 1) for side in sides))
