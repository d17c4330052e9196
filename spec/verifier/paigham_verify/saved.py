"""A saved look-up (`spec/review.md` §2): network file and raw reply in one file."""

from . import answers, auditors, ic, identity, lookup, network, structs
from .errors import Refused, require
from .wire import Reader, decode

MAGIC = b"PGLK1"


def verify_file(data):
    """One line about a saved look-up."""
    line = {"what": "lookup", "holds": False}
    try:
        line |= _verify(data)
        line["holds"] = True
    except Refused as refused:
        line["refused"] = str(refused)
    yield line


def _verify(data):
    r = Reader(data)
    require(r.take(5) == MAGIC, "Malformed", "magic")
    published, asked_at, label, reply = r.vbytes(), r.u64(), r.vbytes(), r.vbytes()
    shown = r.vbytes()
    r.end()
    net = network.network(published)
    config = decode(net.transparency, structs.configuration)
    trust = ic.Trust(net.root_key, net.directory)
    view, certified, labels = lookup.verify_reply(config, trust, None, [(label, 0)], reply)
    answers.check_rules(view, labels)
    facts = {
        "network": net.name,
        "label": label.hex(),
        "entries": view.size,
        "root": view.root.hex(),
        "certified_ns": str(certified),
        "asked_at_ns": str(asked_at),
        "version": labels[0].version,
    }
    if net.auditors is not None:
        statements = decode(shown, auditors.cosignatures) if shown else []
        facts["auditors"] = auditors.report(config, net.auditors, view, statements)
    if labels[0].version is not None and label[:2] == b"a:":
        account = lookup.account(labels[0], view.newest)
        facts["identity_key"] = account.identity_key.hex()
        facts["devices"] = [d.id.hex() for d in account.devices]
        facts["kinds"] = [identity.KIND_NAMES[identity.record(v).kind] for v in labels[0].values]
    return facts
