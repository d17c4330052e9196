"""What a reader keeps of the log, and one answer being consumed (§4.2, §12.3, appendix C)."""

from bisect import bisect_left, insort

from . import trees
from .errors import Refused, require
from .structs import INCLUSION, MAX_SIZE
from .wire import uint


class View:
    """A verified tree: size, heads of full subtrees, frontier {position: (timestamp, root)}."""

    def __init__(self, size, subtrees, frontier):
        self.size, self.subtrees, self.frontier = size, subtrees, frontier

    @property
    def root(self):
        return trees.fold(self.size, self.subtrees)

    @property
    def newest(self):
        """Timestamp of the newest entry, in milliseconds."""
        return self.frontier[self.size - 1][0]

    def encode(self):
        out = uint(self.size, 8) + uint(len(self.subtrees), 1) + b"".join(self.subtrees)
        out += uint(len(self.frontier), 1)
        for position in sorted(self.frontier):
            timestamp, root = self.frontier[position]
            out += uint(timestamp, 8) + root
        return out


def view(r):
    """Reads a kept view (`spec/transparency.md` §10)."""
    size = r.u64()
    require(1 <= size <= MAX_SIZE, "Malformed", "view size")
    subtrees = r.vector(1, r.hash)
    entries = r.vector(1, lambda: (r.u64(), r.hash()))
    positions = trees.frontier(size)
    require(len(subtrees) == len(trees.full_subtrees(size)), "Malformed", "view subtrees")
    require(len(entries) == len(positions), "Malformed", "view frontier")
    return View(size, subtrees, dict(zip(positions, entries)))


class Answer:
    """One CombinedTreeProof, handed out in the order in which the algorithms ask."""

    def __init__(self, config, view, head, proof):
        require(head is not None or view is not None, "Malformed", "same, but nothing is known")
        if head is not None and view is not None:
            require(head.size > view.size, "Rollback", f"{head.size} after {view.size}")
        self.config, self.view, self.head, self.proof = config, view, head, proof
        self.size = head.size if head else view.size
        self.times = {} if view is None else {x: t for x, (t, _) in view.frontier.items()}
        self.roots = {} if view is None else {x: r for x, (_, r) in view.frontier.items()}
        self.order = sorted(self.times)
        self.given = []
        self._timestamps = list(proof.timestamps)
        self._prefix_proofs = list(proof.prefix_proofs)
        self._update_view()
        self.newest = self.times[self.size - 1]

    def _update_view(self):
        frontier = trees.frontier(self.size)
        if self.view is None:
            wanted = frontier
        elif self.view.size == self.size:
            wanted = []
        else:
            last = self.view.size - 1
            path = trees.path_to(last, self.size)[-2::-1]
            wanted = [x for x in path if x > last]
            end = wanted[-1] if wanted else last
            wanted += [x for x in frontier if x > end]
        for x in wanted:
            self.timestamp(x)

    def timestamp(self, x):
        """The timestamp of an entry: known, retained, or the next one given."""
        if x in self.times:
            return self.times[x]
        require(self._timestamps, "Count", "timestamps lack")
        time = self._timestamps.pop(0)
        at = bisect_left(self.order, x)
        if at > 0:
            require(self.times[self.order[at - 1]] <= time, "TimeRegression", f"entry {x}")
        if at < len(self.order):
            require(time <= self.times[self.order[at]], "TimeRegression", f"entry {x}")
        insort(self.order, x)
        self.times[x] = time
        self.given.append(x)
        return time

    def next_includes(self):
        """Whether the next prefix proof says that anything is included."""
        return any(r.kind == INCLUSION for p in self._prefix_proofs[:1] for r in p.results)

    def has_more_proofs(self):
        return bool(self._prefix_proofs)

    def next_proof(self, x):
        """The next prefix proof, which is of entry x."""
        self.timestamp(x)
        require(self._prefix_proofs, "Count", "prefix proofs lack")
        return self._prefix_proofs.pop(0)

    def settle(self, x, root):
        """Two prefix trees for one entry contradict each other."""
        known = self.roots.setdefault(x, root)
        if known != root:
            retained = self.view is not None and x in self.view.frontier
            raise Refused("Fork" if retained else "TwoRoots", f"entry {x}")

    def distinguished_depth(self, x):
        """The path from the root to x, and how many of it from the root are distinguished."""
        path = trees.path_to(x, self.size)
        low, high = 0, self.newest
        for count, entry in enumerate(path):
            if high - low < self.config.window:
                return path, count
            if entry != x:
                time = self.timestamp(entry)
                low, high = (low, time) if x < entry else (time, high)
        return path, len(path)

    def is_distinguished(self, x):
        path, count = self.distinguished_depth(x)
        return count == len(path)

    def newest_distinguished(self):
        """The rightmost distinguished entry, which lies on the frontier; None if there is none."""
        found, low = None, 0
        for x in trees.frontier(self.size):
            if self.newest - low < self.config.window:
                break
            found, low = x, self.times[x]
        return found

    def finish(self):
        """Everything must have been used; gives the new view and the batch proof."""
        require(not self._timestamps, "Count", "timestamps left over")
        require(not self._prefix_proofs, "Count", "prefix proofs left over")
        roots = list(self.proof.prefix_roots)
        for x in sorted(self.given):
            if x not in self.roots:
                require(roots, "Count", "prefix roots lack")
                self.roots[x] = roots.pop(0)
        require(not roots, "Count", "prefix roots left over")
        leaves = {x: trees.log_leaf(self.times[x], self.roots[x]) for x in self.given}
        last, kept = (self.view.size, self.view.subtrees) if self.view else (0, [])
        batch = trees.BatchProof(self.size, last, kept, leaves, self.proof.inclusion)
        frontier = {x: (self.times[x], self.roots[x]) for x in trees.frontier(self.size)}
        return View(self.size, batch.heads, frontier), batch


class Ladders:
    """Lookups of one label in the prefix trees of one answer.

    `keys` maps a version to its VRF output, `commitments` to what its leaf must hold.
    """

    def __init__(self, answer, keys, commitments):
        self.answer, self.keys, self.commitments = answer, keys, commitments
        self.included = {}  # version -> entries where it was shown
        self.absent = {}
        self.shown = set()

    def lookup(self, x, versions, expect=None):
        """Looks versions up until `expect` (version, included) says that the ladder ends."""
        proof = self.answer.next_proof(x)
        looked, outcome = [], {}
        for result, version in zip(proof.results, versions):
            included = result.kind == INCLUSION
            looked.append(version)
            outcome[version] = included
            if expect is not None and expect(version, included):
                break
        else:
            require(len(looked) == len(versions), "PrefixProof", "lookups lack")
        for version in looked:
            require(version in self.keys, "Vrf", f"no output of version {version}")
        root = trees.evaluate(
            proof,
            [self.keys[v] for v in looked],
            [self.commitments.get(v) if outcome[v] else None for v in looked],
        )
        self.answer.settle(x, root)
        for version, included in outcome.items():
            (self.included if included else self.absent).setdefault(version, []).append(x)
            if included:
                self.shown.add(version)
        return outcome

    def search(self, x, target, omit=True):
        """A search ladder: -1, 0 or 1 as the entry's greatest version is below, at or above."""

        def ends(version, included):
            return included == (version > target)

        skipped, versions = {}, []
        for version in trees.base_ladder(target):
            if omit and any(y < x for y in self.included.get(version, [])):
                skipped[version] = True
            elif omit and any(y > x for y in self.absent.get(version, [])):
                skipped[version] = False
            else:
                versions.append(version)
                continue
            if ends(version, skipped[version]):
                break
        outcome = {**self.lookup(x, versions, ends), **skipped}
        if any(included and v > target for v, included in outcome.items()):
            return 1
        if any(not included and v <= target for v, included in outcome.items()):
            return -1
        return 0

    def monitor(self, x, target):
        """A monitoring ladder: all of it must be there."""
        outcome = self.lookup(x, trees.monitoring_ladder(target))
        require(all(outcome.values()), "MissingVersion", f"entry {x}")

    def all_included(self, x, versions):
        """One proof for these versions, all of which must be there."""
        outcome = self.lookup(x, versions)
        require(all(outcome.values()), "MissingVersion", f"entry {x}")
