"""Answers to readers: greatest and fixed version, absent, contact monitoring (§6 to §8.2)."""

from . import ic, structs, trees, vrf
from . import view as views
from .edwards import verify as verify_ed25519
from .errors import require
from .wire import decode, uint


def tree_head_tbs(config, view):
    return config.encoded + uint(view.size, 8) + view.root


def check_signature(config, view, signature, trust=None):
    """The signature of a head. For canister signatures it gives the certificate's time (ns)."""
    message = tree_head_tbs(config, view)
    if config.suite == structs.PLAIN:
        require(verify_ed25519(config.signature_key, message, signature), "Signature")
        return None
    require(trust is not None, "Signature", "no root key given")
    return ic.verify_canister_signature(
        trust, config.signature_key, b"\x08kt1-head" + message, signature
    )


def check_time(config, view, now):
    """`now` in milliseconds."""
    require(view.newest <= now + config.max_ahead, "Future", f"entry of {view.newest}")
    require(view.newest + config.max_behind >= now, "Stale", f"entry of {view.newest}")


def conclude(answer, now, trust=None):
    """The end of every verification: log proof, signature, time. Gives (view, batch proof).

    Without `now` (ms) the certificate's own time judges; where the head is `same` there is none
    in the answer, and the caller judges.
    """
    view, batch = answer.finish()
    answer.certified_ns = None
    if answer.head is not None:
        answer.certified_ns = check_signature(answer.config, view, answer.head.signature, trust)
    if now is None and answer.certified_ns is not None:
        now = answer.certified_ns // 10**6
    if now is not None:
        check_time(answer.config, view, now)
    return view, batch


class Watched:
    """A version under watch: (position, version) and the leaves of its monitoring ladder."""

    def __init__(self, position, version, leaves):
        self.position, self.version, self.leaves = position, version, leaves

    def encode(self):
        out = uint(self.position, 8) + uint(self.version, 4) + uint(len(self.leaves), 1)
        for output, commitment, shown in self.leaves:
            out += output + commitment + bytes([shown])
        return out


def watched(r):
    position, version = r.u64(), r.u32()

    def leaf():
        output, commitment, shown = r.hash(), r.hash(), r.u8()
        require(shown in (0, 1), "Malformed", "shown")
        return (output, commitment, bool(shown))

    leaves = r.vector(1, leaf)
    require(
        len(leaves) == len(trees.monitoring_ladder(version)), "Malformed", "leaves of a version"
    )
    return Watched(position, version, leaves)


def contact_map(r):
    return r.vector(1, lambda: watched(r))


def encode_contact_map(entries):
    ordered = sorted(entries, key=lambda e: (e.position, e.version))
    return uint(len(ordered), 1) + b"".join(e.encode() for e in ordered)


def _steps(config, label, versions, steps):
    """VRF outputs and commitments of a binary ladder."""
    require(len(steps) == len(versions), "Count", "ladder steps")
    keys, commitments = {}, {}
    for version, (proof, commitment) in zip(versions, steps):
        keys[version] = vrf.verify(config.vrf_key, vrf.vrf_input(label, version), proof)
        commitments[version] = commitment
    return keys, commitments


def verify_search(config, view, request, response, now, trust=None):
    """A SearchResponse. Gives (view after, what it shows)."""
    asked = decode(request, structs.search_request)
    given = decode(response, structs.search_response(asked.version))
    require(asked.last == (view.size if view else None), "Malformed", "last")
    target = given.version
    require(target < 2**32 - 1, "Malformed", "version")
    ladder = trees.base_ladder(target)
    keys, commitments = _steps(config, asked.label, ladder, given.ladder)
    for version, commitment in commitments.items():
        if version < target:
            require(commitment is not None, "Commitment", f"lacks for {version}")
        elif version == target or asked.version is None:
            require(commitment is None, "Commitment", f"given for {version}")
    commitments[target] = trees.commitment(given.opening, asked.label, target, given.value)

    answer = views.Answer(config, view, given.head, given.proof)
    ladders = views.Ladders(answer, keys, commitments)
    search = _greatest if asked.version is None else _fixed
    terminal = search(answer, ladders, target)
    after, _ = conclude(answer, now, trust)
    newest = answer.newest_distinguished()
    watch = None
    if newest is None or terminal > newest:
        watch = Watched(
            terminal,
            target,
            [
                (keys[v], commitments[v], v in ladders.shown)
                for v in trees.monitoring_ladder(target)
            ],
        )
    return after, {
        "version": target,
        "value": given.value,
        "terminal": terminal,
        "monitor": watch,
        "timestamp": answer.times[terminal],
        "certified_ns": answer.certified_ns,
    }


def _greatest(answer, ladders, target):
    start = answer.newest_distinguished()
    if start is None:
        start = trees.root(answer.size)
    for x in [x for x in trees.frontier(answer.size) if x >= start]:
        outcome = ladders.search(x, target)
        require(outcome <= 0, "GreaterVersion", f"entry {x}")
        if x == answer.size - 1:
            require(outcome == 0, "MissingVersion", f"entry {x}")
    return ladders.included[target][0]


def _fixed(answer, ladders, target):
    x, above = trees.root(answer.size), []
    while x is not None:
        outcome = ladders.search(x, target)
        if outcome == 0:
            return x
        if outcome < 0:
            x = trees.right(x, answer.size)
        else:
            above.append(x)
            x = trees.left(x)
    require(above, "VersionAbsent")
    found = min(above)
    outcome = ladders.lookup(found, [target])
    require(outcome[target], "VersionAbsent")
    return found


def verify_absent(config, view, request, response, now, trust=None):
    """Our AbsentResponse: the label has no version at any entry that a search inspects."""
    asked = decode(request, structs.search_request)
    require(asked.version is None, "Malformed", "absent answers a search for the greatest version")
    require(asked.last == (view.size if view else None), "Malformed", "last")
    given = decode(response, structs.absent_response)
    keys, _ = _steps(config, asked.label, [0], [(given.vrf_proof, None)])
    answer = views.Answer(config, view, given.head, given.proof)
    start = answer.newest_distinguished()
    if start is None:
        start = trees.root(answer.size)
    # An inclusion needs some commitment to be evaluated; it is refused before that.
    ladders = views.Ladders(answer, keys, {})
    for x in [x for x in trees.frontier(answer.size) if x >= start]:
        require(not answer.next_includes(), "LabelPresent", f"entry {x}")
        ladders.lookup(x, [0])
    after, _ = conclude(answer, now, trust)
    return after, {"certified_ns": answer.certified_ns}


def verify_place(config, view, request, response, value, now, trust=None):
    """A PlaceResponse: which entry brought a version. Gives (view after, what it shows)."""
    asked = decode(request, structs.search_request)
    require(asked.version is not None, "Malformed", "a place is that of a version")
    require(asked.last == (view.size if view else None), "Malformed", "last")
    given = decode(response, structs.place_response)
    target, position = asked.version, given.position
    keys, _ = _steps(config, asked.label, [target], [(given.vrf_proof, None)])
    own = trees.commitment(given.opening, asked.label, target, value)
    answer = views.Answer(config, view, given.head, given.proof)
    require(position < answer.size, "Malformed", "position")
    ladders = views.Ladders(answer, keys, {target: own})
    if position > 0:
        outcome = ladders.lookup(position - 1, [target])
        require(not outcome[target], "EarlierEntry", f"entry {position - 1}")
    ladders.all_included(position, [target])
    for x in inspected_by_contacts(answer, position):
        ladders.all_included(x, [target])
    after, _ = conclude(answer, now, trust)
    return after, {
        "position": position,
        "timestamp": answer.times[position],
        "certified_ns": answer.certified_ns,
    }


def inspected_by_contacts(answer, position, skip_last=False):
    """The entries right of `position` up to the first distinguished one (§8.2 step 2)."""
    path, count = answer.distinguished_depth(position)
    if count == len(path):
        return []
    inspect = []
    for index in range(len(path) - 2, -1, -1):
        if path[index] > position:
            if index < count and skip_last:
                break
            inspect.append(path[index])
            if index < count:
                break
    return inspect


def walk_contacts(answer, entries, owner_start=None):
    """The algorithm of §8.2. Gives the map afterwards."""
    ladder_targets, out = {}, []
    for entry in sorted(entries, key=lambda e: (e.position, e.version), reverse=True):
        if answer.is_distinguished(entry.position):
            continue  # nothing is left to watch
        keys = dict(zip(trees.monitoring_ladder(entry.version), (k for k, _, _ in entry.leaves)))
        leaves = dict(zip(trees.monitoring_ladder(entry.version), (c for _, c, _ in entry.leaves)))
        ladders = views.Ladders(answer, keys, leaves)
        skip_last = owner_start is not None and entry.position >= owner_start
        inspect = inspected_by_contacts(answer, entry.position, skip_last)
        dropped = False
        for x in inspect:
            if x in ladder_targets:
                require(ladder_targets[x] > entry.version, "OwnerVersions", "a version goes back")
                dropped = True
                break
            ladders.monitor(x, entry.version)
            ladder_targets[x] = entry.version
            entry = Watched(x, entry.version, [(k, c, True) for k, c, _ in entry.leaves])
        if not dropped:
            out.append(entry)
    best = {}
    for entry in out:
        other = best.get(entry.position)
        if other is None or other.version < entry.version:
            best[entry.position] = entry
    return [e for e in best.values() if not answer.is_distinguished(e.position)]


def verify_contact(config, view, entries, request, response, now, trust=None):
    """A ContactMonitorResponse over the map `entries`. Gives (view after, map after)."""
    asked = decode(request, structs.contact_request)
    require(
        asked.entries == sorted((e.position, e.version) for e in entries), "Malformed", "entries"
    )
    require(asked.last == (view.size if view else None), "Malformed", "last")
    given = decode(response, structs.proof_response)
    answer = views.Answer(config, view, given.head, given.proof)
    after_map = walk_contacts(answer, entries)
    after, _ = conclude(answer, now, trust)
    return after, after_map


def verify_distinguished(config, view, request, response, newest, now, trust=None):
    """A DistinguishedResponse. Gives (view after, heads left to right: position, time, root)."""
    asked = decode(request, structs.distinguished_request)
    require(asked.last == (view.size if view else None), "Malformed", "last")
    given = decode(response, structs.proof_response)
    answer = views.Answer(config, view, given.head, given.proof)
    found = []

    def walk(x, low, high):
        if high - low < config.window:
            return
        time = answer.timestamp(x)
        right = trees.right(x, answer.size)
        if right is not None:
            walk(right, time, high)
        if (asked.stop is not None and x <= asked.stop) or len(found) >= newest:
            return
        found.append(x)
        left = trees.left(x)
        if left is not None:
            walk(left, low, time)

    walk(trees.root(answer.size), 0, answer.newest)
    after, batch = conclude(answer, now, trust)
    heads = [(x, answer.times[x], batch.root_at(x + 1)) for x in sorted(found)]
    return after, heads
