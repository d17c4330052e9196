"""A file of live answers: what was asked, with which view, and the raw reply.

```text
{ "root_key": hex, "directory": hex, "configuration": hex,
  "answers": [ { "what": text, "view": hex or null, "wanted": [ { "label": hex, "from": n } ],
                 "reply": hex, "fresh_at_ns": text, "shows": [ … ] } ] }
```

`shows`, where it is given, says of each label its greatest `version` (null: none), the newest
`value`, and the `times` of timed versions; it must be what was verified.
"""

from . import ic, lookup, structs
from . import view as views
from .errors import Refused, require
from .wire import decode


def _hex(text):
    return None if text is None else bytes.fromhex(text)


def trust_of(file):
    """(configuration, trust) that a file names."""
    config = decode(_hex(file["configuration"]), structs.configuration)
    return config, ic.Trust(_hex(file["root_key"]), _hex(file["directory"]))


def verify_answer(config, trust, answer):
    """Verifies one; gives (view after, certificate ns, labels)."""
    view = _hex(answer["view"])
    view = decode(view, views.view) if view else None
    wanted = [(_hex(w["label"]), w["from"]) for w in answer["wanted"]]
    fresh_at = answer.get("fresh_at_ns")
    return lookup.verify_reply(
        config,
        trust,
        view,
        wanted,
        _hex(answer["reply"]),
        fresh_at=None if fresh_at is None else int(fresh_at),
    )


def check_rules(view, labels):
    """The rules of identity records, where the whole history is there."""
    for label in labels:
        if label.version is not None and label.label[:2] == b"a:" and label.first == 0:
            lookup.account(label, view.newest)


def verify_file(file):
    """A line about each answer."""
    config, trust = trust_of(file)
    for index, answer in enumerate(file["answers"]):
        line = {"what": answer.get("what", str(index)), "holds": False}
        try:
            view, certified, labels = verify_answer(config, trust, answer)
            check_rules(view, labels)
            if "shows" in answer:
                require(shown(labels) == answer["shows"], "Differs", f"{shown(labels)}")
            line |= {"holds": True, "size": view.size, "certified_ns": str(certified)}
            line["versions"] = [label.version for label in labels]
        except Refused as refused:
            line["refused"] = str(refused)
        yield line


def shown(labels):
    """What was verified, in the form of `shows`."""
    return [
        {
            "version": label.version,
            "value": label.values[-1].hex() if label.values else None,
            "times": {str(v): time for v, (_, time) in (label.timed or {}).items()},
        }
        for label in labels
    ]
