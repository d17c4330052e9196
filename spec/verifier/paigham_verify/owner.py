"""Answers to the owner of a label (§8.3, §9.1) and what an owner keeps."""

from . import structs, trees, vrf
from . import view as views
from .errors import require
from .reader import Watched, conclude, walk_contacts
from .wire import decode, optional, uint


class OwnerState:
    """`spec/transparency.md` §10.

    `places`: version -> (VRF output, commitment or None); `later`: [(position, greatest)];
    `pending`: [(position, version)] not yet seen in a distinguished entry.
    """

    def __init__(self, start, at_start, later, pending, places):
        self.start, self.at_start = start, at_start
        self.later, self.pending, self.places = later, pending, places

    @property
    def greatest(self):
        return self.later[-1][1] if self.later else self.at_start

    @property
    def place_of_greatest(self):
        """Where the greatest version was inserted, or the start if that lies left of it."""
        if self.greatest is None:
            return None
        return self.later[-1][0] if self.later else self.start

    def greatest_at(self, x):
        """The greatest version expected in entry x, which is not left of the start."""
        known = self.at_start
        for position, version in self.later:
            if position <= x:
                known = version
        return known

    def forget(self):
        """Drops the places that no ladder of this state looks up."""
        needed = set(trees.base_ladder(_target(self.at_start)))
        for _, version in self.later:
            needed.update(trees.base_ladder(version))
        for _, version in self.pending:
            needed.update(trees.monitoring_ladder(version))
        self.places = {v: p for v, p in self.places.items() if v in needed}

    def encode(self):
        out = uint(self.start, 8) + optional(self.at_start, lambda v: uint(v, 4))
        out += uint(len(self.later), 2)
        out += b"".join(uint(p, 8) + uint(v, 4) for p, v in self.later)
        out += uint(len(self.pending), 1)
        out += b"".join(uint(p, 8) + uint(v, 4) for p, v in self.pending)
        out += uint(len(self.places), 2)
        for version, (output, commitment) in sorted(self.places.items()):
            out += uint(version, 4) + output + optional(commitment, lambda c: c)
        return out


def owner_state(r):
    start, at_start = r.u64(), r.optional(r.u32)
    later = r.vector(2, lambda: (r.u64(), r.u32()))
    pending = r.vector(1, lambda: (r.u64(), r.u32()))
    places = r.vector(2, lambda: (r.u32(), (r.hash(), r.optional(r.hash))))
    return OwnerState(start, at_start, later, pending, dict(places))


def _target(version):
    return 0 if version is None else version


def _ladders(answer, places):
    return views.Ladders(
        answer, {v: k for v, (k, _) in places.items()}, {v: c for v, (_, c) in places.items()}
    )


def _expect(ladders, x, version, omit=False):
    """`version` (None: none at all) must be the greatest in entry x."""
    outcome = ladders.search(x, _target(version), omit)
    if version is None:
        require(outcome < 0, "GreaterVersion", f"entry {x}")
        return
    require(outcome <= 0, "GreaterVersion", f"entry {x}")
    require(outcome == 0, "MissingVersion", f"entry {x}")


def verify_owner_init(config, view, request, response, now, trust=None):
    """An OwnerInitResponse. Gives (view after, owner state)."""
    asked = decode(request, structs.owner_init_request)
    require(asked.last == (view.size if view else None), "Malformed", "last")
    given = decode(response, structs.owner_init_response)
    answer = views.Answer(config, view, given.head, given.proof)
    require(asked.start < answer.size, "NotDistinguished", "no such entry")
    require(answer.is_distinguished(asked.start), "NotDistinguished", f"entry {asked.start}")
    answer.timestamp(asked.start)
    path = trees.path_to(asked.start, answer.size)
    inspect = [asked.start] + [x for x in path[-2::-1] if x < asked.start]
    greatest = list(given.versions)
    require(len(greatest) <= len(inspect), "OwnerVersions", "more than entries")
    require(greatest == sorted(greatest, reverse=True), "OwnerVersions", "not descending")
    require(all(v < 2**32 - 1 for v in greatest), "OwnerVersions", "too great")

    wanted = {0}
    for version in greatest:
        wanted.update(trees.base_ladder(version))
    known = greatest[0] if greatest else None
    require(len(given.ladder) == len(wanted), "Count", "ladder steps")
    places = {}
    for version, (proof, commitment) in zip(sorted(wanted), given.ladder):
        exists = known is not None and version <= known
        require((commitment is not None) == exists, "Commitment", f"version {version}")
        output = vrf.verify(config.vrf_key, vrf.vrf_input(asked.label, version), proof)
        places[version] = (output, commitment)
    if known is None:
        # The state keeps the ladder of "no version" as that of version 0.
        wanted.update(trees.base_ladder(0))

    for index, x in enumerate(inspect):
        expected = greatest[index] if index < len(greatest) else None
        _expect(_ladders(answer, places), x, expected)
    after, _ = conclude(answer, now, trust)
    state = OwnerState(asked.start, known, [], [], places)
    state.forget()
    return after, state


MAX_LADDERS = 64


def verify_owner_monitor(config, view, state, request, response, now, trust=None):
    """An OwnerMonitorResponse. Gives (view after, state after)."""
    asked = decode(request, structs.owner_request)
    require(asked.last == (view.size if view else None), "Malformed", "last")
    require(
        (asked.entries, asked.start, asked.greatest)
        == (sorted(state.pending), state.start, state.greatest),
        "Malformed",
        "the request does not ask for this state",
    )
    given = decode(response, structs.proof_response)
    answer = views.Answer(config, view, given.head, given.proof)
    watched = [
        Watched(p, v, [(*state.places[w], True) for w in trees.monitoring_ladder(v)])
        for p, v in state.pending
    ]
    pending = walk_contacts(answer, watched, owner_start=state.start)
    verified = [state.start]
    stopped = [False]

    def walk(x, low, high):
        if stopped[0] or high - low < config.window:
            return
        if x <= state.start:
            right = trees.right(x, answer.size)
            if right is not None:
                walk(right, answer.timestamp(x), high)
            return
        left = trees.left(x)
        if left is not None:
            walk(left, low, answer.timestamp(x))
        if stopped[0] or not answer.has_more_proofs() or len(verified) > MAX_LADDERS:
            stopped[0] = True
            return
        _expect(_ladders(answer, state.places), x, state.greatest_at(x))
        verified.append(x)
        right = trees.right(x, answer.size)
        if right is not None:
            walk(right, answer.timestamp(x), high)

    walk(trees.root(answer.size), 0, answer.newest)
    after, _ = conclude(answer, now, trust)
    start = verified[-1]
    new = OwnerState(
        start,
        state.greatest_at(start),
        [(p, v) for p, v in state.later if p > start],
        sorted((e.position, e.version) for e in pending),
        dict(state.places),
    )
    new.forget()
    return after, new


def verify_update(config, view, state, request, response, now, trust=None):
    """An UpdateResponse that tells of versions. Gives (view after, state after, values)."""
    asked = decode(request, structs.update_request)
    require(asked.last == (view.size if view else None), "Malformed", "last")
    require(asked.greatest == state.greatest, "Malformed", "greatest version")
    given = decode(response, structs.update_response)
    previous = state.greatest
    place = state.place_of_greatest
    position = given.position
    require(
        position > (state.start if place is None else place), "OwnerVersions", "position goes back"
    )
    values = given.values or asked.values
    require(values and len(given.openings) == len(values), "OwnerVersions", "number of versions")
    first = 0 if previous is None else previous + 1
    fresh = list(range(first, first + len(values)))
    greatest = fresh[-1]
    require(greatest < 2**32 - 1, "OwnerVersions", "too great")

    known = {0} if previous is None else set(trees.base_ladder(previous))
    wanted = sorted((set(trees.base_ladder(greatest)) | set(fresh)) - known)
    require(len(given.ladder) == len(wanted), "Count", "ladder steps")
    places = dict(state.places)
    for version, (proof, commitment) in zip(wanted, given.ladder):
        exists = previous is not None and version <= previous
        require((commitment is not None) == exists, "Commitment", f"version {version}")
        output = vrf.verify(config.vrf_key, vrf.vrf_input(asked.label, version), proof)
        require(places.get(version, (output,))[0] == output, "Vrf", "another output")
        places[version] = (output, commitment)
    for version, opening, value in zip(fresh, given.openings, values):
        output, _ = places[version]
        places[version] = (output, trees.commitment(opening, asked.label, version, value))

    answer = views.Answer(config, view, given.head, given.proof)
    require(position < answer.size, "Malformed", "position")
    ladders = _ladders(answer, places)
    _path, count = answer.distinguished_depth(position - 1)
    distinguished_path = set(_path[:count])
    is_distinguished = answer.is_distinguished(position)

    frontier = trees.frontier(position)
    marked = [x for x in frontier if x in distinguished_path]
    begin = marked[-1] if marked else frontier[0]
    for x in [x for x in frontier if x >= begin]:
        passed = x in distinguished_path or (place is not None and x <= place)
        if passed:
            _count_as_shown(ladders, x, state.greatest_at(x), _target(previous))
        else:
            _expect(ladders, x, previous, omit=True)

    rest = [v for v in fresh if v not in trees.base_ladder(greatest)]
    if not is_distinguished:
        _expect(ladders, position, greatest, omit=True)
    if rest:
        ladders.all_included(position, rest)
    after, _ = conclude(answer, now, trust)
    new = OwnerState(
        state.start,
        state.at_start,
        state.later + [(position, greatest)],
        state.pending + ([] if is_distinguished else [(position, greatest)]),
        places,
    )
    new.forget()
    return after, new, list(zip(fresh, values))


def _count_as_shown(ladders, x, greatest, target):
    """An entry that is not inspected counts as if its ladder had been shown."""
    for version in trees.base_ladder(target):
        included = greatest is not None and version <= greatest
        if included:
            ladders.included.setdefault(version, []).append(x)
        if included == (version > target):
            break
