"""Identity records and the rules by which one follows another (`spec/identity.md`)."""

from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise

from .edwards import verify as verify_ed25519
from .errors import require
from .wire import Reader

CREATE, ADD, REKEY, REMOVE, ROTATE, RECOVERY_CHANGE, RECOVER, FREEZE, DELETE = range(1, 10)
KIND_NAMES = {
    CREATE: "create",
    ADD: "device_add",
    REKEY: "device_rekey",
    REMOVE: "device_remove",
    ROTATE: "rotate",
    RECOVERY_CHANGE: "recovery_change",
    RECOVER: "recover",
    FREEZE: "freeze",
    DELETE: "delete",
}
IDENTITY, NEW_IDENTITY, RECOVERY = 1, 2, 3
RECORD_MAX, DEVICES_MAX, PRINCIPAL_MAX = 2048, 8, 29
HOUR_NS = 3600 * 10**9
DELAY_NS, FREEZE_NS = 72 * HOUR_NS, 7 * 24 * HOUR_NS


def labelled(label, *parts):
    """S(label; …)."""
    return sha256(bytes([len(label)]) + label + b"".join(parts)).digest()


@dataclass(frozen=True)
class Device:
    id: bytes
    leaf_key: bytes
    shard: bytes
    inbox: bytes
    xwing_key_hash: bytes
    added_at: int
    encoded: bytes


def device(r):
    begin = r.at
    id_, leaf, shard = r.take(16), r.hash(), r.vbytes()
    require(len(shard) <= PRINCIPAL_MAX, "Malformed", "shard")
    inbox, xwing, added_at = r.hash(), r.hash(), r.u64()
    return Device(id_, leaf, shard, inbox, xwing, added_at, r.data[begin : r.at])


@dataclass(frozen=True)
class Record:
    account: bytes
    version: int
    identity_key: bytes
    recovery_hash: bytes
    devices: tuple
    previous: bytes
    key_change: tuple
    kind: int
    nonce: bytes
    authorisation: tuple
    content: bytes
    hash: bytes


def record(data):
    """Reads a record and checks its form (IDN-01)."""
    require(len(data) <= RECORD_MAX, "Malformed", "record too long")
    r = Reader(data)
    require(r.u16() == 1, "Malformed", "record version")
    account, version = r.take(16), r.u32()
    identity, recovery = r.hash(), r.hash()
    devices = tuple(r.vlist(device))
    previous, key_change = r.hash(), (r.u32(), r.hash())
    kind = r.u8()
    require(kind in KIND_NAMES, "Malformed", "kind")
    nonce = r.hash() if kind == CREATE else None
    content = r.data[: r.at]
    authorisation = tuple(r.vlist(lambda r: (r.u8(), r.hash(), r.take(64))))
    r.end()
    ids, roles = [d.id for d in devices], [role for role, _, _ in authorisation]
    require(all(a < b for a, b in pairwise(ids)), "Malformed", "devices ascend")
    require(len(ids) <= DEVICES_MAX, "Malformed", "at most 8 devices")
    require(all(a < b for a, b in pairwise(roles)), "Malformed", "roles ascend")
    require(all(role in (1, 2, 3) for role in roles), "Malformed", "role")
    return Record(
        account,
        version,
        identity,
        recovery,
        devices,
        previous,
        key_change,
        kind,
        nonce,
        authorisation,
        content,
        labelled(b"paigham/1 record", data),
    )


def recovery_key_hash(key):
    return labelled(b"paigham/1 recovery key", key)


@dataclass(frozen=True)
class Account:
    """An account after some records, as it stood when the newest was accepted."""

    id: bytes
    version: int
    head: bytes
    accepted_at: int
    identity_key: bytes
    recovery_hash: bytes
    devices: tuple
    key_change: tuple
    former_keys: frozenset
    frozen_at: int = None
    recover: tuple = None  # (record, accepted_at)
    delete: int = None
    deleted: bool = False

    def at(self, time):
        """The account at a time (ns): what has come to count, what has run out."""
        account = self
        if self.recover is not None and time >= self.recover[1] + DELAY_NS:
            record = self.recover[0]
            account = replace(
                account,
                identity_key=record.identity_key,
                devices=record.devices,
                key_change=(record.version, record.hash),
                former_keys=self.former_keys | {record.identity_key},
                frozen_at=None,
                recover=None,
            )
        if account.frozen_at is not None and time >= account.frozen_at + FREEZE_NS:
            account = replace(account, frozen_at=None)
        if account.delete is not None and time >= account.delete + DELAY_NS:
            account = replace(account, delete=None, deleted=True, devices=())
        return account


def create(data, accepted_at):
    """The first record of an account (IDN-02)."""
    r = record(data)
    require(r.kind == CREATE, "NotACreate", "kind")
    own = labelled(b"paigham/1 account id", r.identity_key, r.recovery_hash, r.nonce)[:16]
    require(r.account == own, "NotACreate", "account id")
    zeros = r.version == 0 and r.previous == bytes(32) and r.key_change == (0, bytes(32))
    require(zeros, "NotACreate", "first version")
    require(len(r.devices) >= 1, "NotACreate", "device")
    _authorise(r, {NEW_IDENTITY, RECOVERY}, None, r.recovery_hash)
    return Account(
        r.account,
        0,
        r.hash,
        accepted_at,
        r.identity_key,
        r.recovery_hash,
        r.devices,
        (0, r.hash),
        frozenset([r.identity_key]),
    )


def follow(account, data, accepted_at):
    """The account after one more record; refuses one that does not follow (IDN-03 to IDN-12)."""
    r = record(data)
    require(accepted_at >= account.accepted_at, "TimeGoesBack")
    now = account.at(accepted_at)
    require(not now.deleted, "Deleted")
    chained = (
        r.kind != CREATE
        and r.account == now.id
        and r.version == now.version + 1
        and r.previous == now.head
        and r.key_change == now.key_change
    )
    require(chained, "DoesNotFollow")
    if now.frozen_at is not None:
        require(r.kind in (RECOVER, RECOVERY_CHANGE), "Frozen")
    if now.recover is not None:
        require(r.kind in (FREEZE, RECOVERY_CHANGE), "RecoverPending")
    _check_change(now, r)
    roles = {
        REMOVE: {IDENTITY, NEW_IDENTITY},
        ROTATE: {IDENTITY, NEW_IDENTITY},
        RECOVERY_CHANGE: {IDENTITY, RECOVERY},
        RECOVER: {RECOVERY},
    }.get(r.kind, {IDENTITY})
    if r.kind == FREEZE and {role for role, _, _ in r.authorisation} == {RECOVERY}:
        roles = {RECOVERY}
    _authorise(r, roles, now.identity_key, now.recovery_hash)
    return _apply(now, r, accepted_at)


def _check_change(now, r):
    same = r.identity_key == now.identity_key
    if r.kind in (REMOVE, ROTATE, RECOVER):
        require(r.identity_key not in now.former_keys, "WrongChange", "identity key not fresh")
    else:
        require(same, "WrongChange", "identity key")
    other_recovery = r.recovery_hash != now.recovery_hash
    require(other_recovery == (r.kind == RECOVERY_CHANGE), "WrongChange", "recovery key")
    before, after = set(now.devices), set(r.devices)
    gone, come = before - after, after - before
    if r.kind == ADD:
        known = {d.id for d in before}
        fits = not gone and len(come) == 1 and next(iter(come)).id not in known
    elif r.kind == REKEY:
        fits = len(gone) == len(come) == 1
        if fits:
            old, new = next(iter(gone)), next(iter(come))
            fits = (old.id, old.added_at) == (new.id, new.added_at)
    elif r.kind == REMOVE:
        fits = gone and not come
    elif r.kind == RECOVER:
        fits = not come
    else:
        fits = not gone and not come
    require(fits, "WrongChange", "devices")


def _authorise(r, roles, identity_key, recovery_hash):
    require({role for role, _, _ in r.authorisation} == roles, "NotAuthorised", "roles")
    label = b"paigham/1 record signature"
    for role, key, signature in r.authorisation:
        if role == RECOVERY:
            require(recovery_key_hash(key) == recovery_hash, "NotAuthorised", "recovery key")
        else:
            expected = identity_key if role == IDENTITY else r.identity_key
            require(key == expected, "NotAuthorised", "identity key")
        message = bytes([len(label)]) + label + r.content
        require(verify_ed25519(key, message, signature), "NotAuthorised", "signature")


def _apply(now, r, accepted_at):
    after = replace(now, version=r.version, head=r.hash, accepted_at=accepted_at, delete=None)
    if r.kind == RECOVER:
        return replace(after, recover=(r, accepted_at))
    if r.kind == FREEZE:
        return replace(after, frozen_at=accepted_at)
    if r.kind == DELETE:
        return replace(after, delete=accepted_at)
    after = replace(
        after,
        identity_key=r.identity_key,
        recovery_hash=r.recovery_hash,
        devices=r.devices,
        former_keys=now.former_keys | {r.identity_key},
    )
    if r.kind in (REMOVE, ROTATE, RECOVERY_CHANGE):
        after = replace(after, key_change=(r.version, r.hash))
    if r.kind == RECOVERY_CHANGE:
        after = replace(after, frozen_at=None, recover=None)
    return after


def chain(records):
    """An account from all its records: (bytes, accepted_at) from the create on."""
    account = None
    for data, accepted_at in records:
        account = (
            create(data, accepted_at) if account is None else follow(account, data, accepted_at)
        )
    return account
