"""Replies of the directory's `lookup` (`spec/directory.md`): labels with their history and times."""

from dataclasses import dataclass

from . import ic, identity, reader
from .errors import require
from .wire import decode, optional, uint

TIMED = (identity.RECOVER, identity.FREEZE, identity.DELETE)


@dataclass
class Found:
    search: bytes
    earlier: list
    times: list


def label_answer(r):
    """Bytes of an AbsentResponse, or Found."""
    kind = r.u8()
    require(kind in (1, 2), "Malformed", "label answer")
    if kind == 1:
        return r.vbytes()
    search, earlier = r.vbytes(), r.vlist(lambda r: r.vbytes())
    return Found(search, earlier, r.vlist(lambda r: (r.u32(), r.vbytes())))


def lookup_answers(r):
    return r.vlist(label_answer), r.vbytes()


def search_request(last, label, version):
    return (
        optional(last, lambda n: uint(n, 8))
        + uint(len(label), 1)
        + label
        + optional(version, lambda n: uint(n, 4))
    )


@dataclass
class Label:
    """What a reply shows of one label."""

    label: bytes
    version: int = None
    values: list = None  # from `first` on
    first: int = 0
    timed: dict = None  # version -> (position, timestamp in ms)
    watch: reader.Watched = None


def verify_reply(config, trust, view, wanted, reply, now=None, fresh_at=None):
    """A whole reply: `wanted` are (label, from). Gives (view after, certificate ns, [Label]).

    The newest entry's age is judged at `now` (ms), or without it at the certificate's own time.
    With `fresh_at` (ns) the certificate must be fresh then.
    """
    answers, head = decode(reply, lookup_answers)
    require(answers and len(answers) == len(wanted), "Count", "answers")
    certified, out = None, []
    for index, ((label, first), answer) in enumerate(zip(wanted, answers)):
        request = search_request(view.size if view else None, label, None)
        found = isinstance(answer, Found)
        verify = reader.verify_search if found else reader.verify_absent
        response = answer.search if found else answer
        view, shown = verify(config, view, request, response, now, trust)
        if index == 0:
            certified = _certified(config, trust, view, shown["certified_ns"], head, now)
        else:
            require(shown["certified_ns"] is None, "Malformed", "a second head")
        out.append(
            _label(config, trust, view, label, first, answer, shown) if found else Label(label)
        )
    if fresh_at is not None:
        ic.check_fresh(certified, fresh_at)
    return view, certified, out


def _certified(config, trust, view, certified, head, now):
    """The time (ns) of the certificate: in the first answer, or beside it if that says `same`."""
    require((certified is not None) == (head == b""), "Malformed", "head of the reply")
    if certified is None:
        certified = reader.check_signature(config, view, head, trust)
        reader.check_time(config, view, certified // 10**6 if now is None else now)
    return certified


def _label(config, trust, view, label, first, answer, shown):
    version = shown["version"]
    require(first + len(answer.earlier) == version, "MissingVersion", "history")
    values = answer.earlier + [shown["value"]]
    timed = {}
    for timed_version, response in answer.times:
        require(first <= timed_version <= version, "Malformed", "time of another version")
        require(all(v < timed_version for v in timed), "Malformed", "times ascend")
        place = _place(config, view, label, timed_version, values[timed_version - first], response)
        timed[timed_version] = place
    return Label(label, version, values, first, timed, shown["monitor"])


def _place(config, view, label, version, value, response):
    request = search_request(view.size, label, version)
    after, place = reader.verify_place(config, view, request, response, value, None)
    require(after.encode() == view.encode() and place["certified_ns"] is None, "Malformed", "head")
    return place["position"], place["timestamp"]


def is_timed(kind, kind_before):
    """Whether the rules of identity.md ask when this version came to be."""
    return kind in TIMED or kind_before in TIMED


def account(label, now_ms, known=None):
    """The account that a whole history (from the create on) shows, as it stands at `now_ms`.

    `known` are (account, kind of its newest record) where the history begins later. A version
    that no rule asks the time of takes that of the nearest one before.
    """
    state, kind_before = known if known else (None, None)
    time = state.accepted_at if state else 0
    for version, value in enumerate(label.values, label.first):
        kind = identity.record(value).kind
        timed = is_timed(kind, kind_before)
        require(timed == (version in label.timed), "Count", f"time of version {version}")
        if timed:
            time = label.timed[version][1] * 10**6
        require(state is None or state.version + 1 == version, "DoesNotFollow", "versions")
        if state is None:
            state = identity.create(value, time)
        else:
            state = identity.follow(state, value, time)
        kind_before = kind
    require(label.label == b"a:" + state.id, "DoesNotFollow", "record of another account")
    return state.at(now_ms * 10**6)
