"""`python3 -m tests.tamper FILE`: changes live answers in every way below; none may be believed.

FILE is one of `paigham_verify.answers`. A kind that fits no answer in it counts as a failure, so
that a run never passes by doing nothing. Exit codes: 0 all refused, 5 otherwise.
"""

import copy
import json
import sys
from dataclasses import replace
from pathlib import Path

from paigham_verify import answers, ic, lookup, structs
from paigham_verify.cbor import Item
from paigham_verify.errors import Refused
from paigham_verify.wire import decode

from . import encode

DAY_NS = 24 * 3600 * 10**9


def flip(data, byte=0, bit=0):
    out = bytearray(data)
    out[byte] ^= 1 << bit
    return bytes(out)


class Case:
    """A reply of one found label under a new head, taken apart."""

    def __init__(self, file, answer):
        self.file, self.answer = file, answer
        (found,), self.beside = decode(bytes.fromhex(answer["reply"]), lookup.lookup_answers)
        self.found = found
        self.search = decode(found.search, structs.search_response(None))
        self.certificate, self.tree = _signature(self.search.head.signature)

    def with_search(self, **changes):
        return self._reply(replace(self.search, **changes))

    def with_proof(self, **changes):
        proof = replace(copy.deepcopy(self.search.proof), **changes)
        return self._reply(replace(self.search, proof=proof))

    def with_prefix_proof(self, change):
        proofs = copy.deepcopy(self.search.proof.prefix_proofs)
        if change(proofs) is False:
            return None
        return self.with_proof(prefix_proofs=proofs)

    def with_signature(self, signature):
        return self.with_search(head=replace(self.search.head, signature=signature))

    def with_found(self, **changes):
        return self._reply(self.search, replace(self.found, **changes))

    def _reply(self, search, found=None):
        found = found or self.found
        encoded = encode.search_response(search)
        return encode.reply([encode.found(encoded, found.earlier, found.times)], self.beside)


def _signature(data):
    item = Item(data)
    item.self_described()
    for name in item.fields(["certificate", "tree"]):
        if name == "certificate":
            certificate = item.bytes()
        else:
            tree = ic.hash_tree(item)
    return certificate, tree


KINDS = {}


def kind(name):
    def add(function):
        KINDS[name] = function
        return function

    return add


@kind("another value")
def _(c):
    return c.with_search(value=flip(c.search.value, -1))


@kind("another opening")
def _(c):
    return c.with_search(opening=flip(c.search.opening))


@kind("another version")
def _(c):
    return c.with_search(version=c.search.version + 1)


@kind("a VRF proof changed")
def _(c):
    (proof, commitment), *rest = c.search.ladder
    return c.with_search(ladder=[(flip(proof, 40), commitment), *rest])


@kind("two VRF proofs exchanged")
def _(c):
    (first, a), (second, b), *rest = c.search.ladder
    return c.with_search(ladder=[(second, a), (first, b), *rest])


@kind("a step of the ladder left out")
def _(c):
    return c.with_search(ladder=c.search.ladder[:-1])


@kind("a commitment for the target")
def _(c):
    if c.search.version != 0:
        return None
    (proof, _), *rest = c.search.ladder
    return c.with_search(ladder=[(proof, bytes(32)), *rest])


@kind("an earlier version's commitment changed")
def _(c):
    if c.search.version == 0:
        return None
    (proof, commitment), *rest = c.search.ladder
    return c.with_search(ladder=[(proof, flip(commitment)), *rest])


@kind("a later timestamp")
def _(c):
    times = c.search.proof.timestamps
    return c.with_proof(timestamps=[*times[:-1], times[-1] + 1])


@kind("time that goes back")
def _(c):
    times = c.search.proof.timestamps
    return c.with_proof(timestamps=times[::-1]) if times != times[::-1] else None


@kind("a timestamp left out")
def _(c):
    return c.with_proof(timestamps=c.search.proof.timestamps[:-1])


@kind("a timestamp too many")
def _(c):
    times = c.search.proof.timestamps
    return c.with_proof(timestamps=[*times, times[-1]])


@kind("another depth in a prefix proof")
def _(c):
    def change(proofs):
        result = proofs[-1].results[0]
        result.depth = result.depth + 1 if result.depth < 255 else 254

    return c.with_prefix_proof(change)


@kind("an absence shown as presence or the other way round")
def _(c):
    def change(proofs):
        result = proofs[-1].results[0]
        result.kind, result.leaf = (
            (structs.PARENT if result.kind == structs.INCLUSION else structs.INCLUSION),
            None,
        )

    return c.with_prefix_proof(change)


@kind("an element of a prefix proof changed")
def _(c):
    def change(proofs):
        elements = proofs[-1].elements
        if not elements:
            return False
        elements[0] = flip(elements[0])

    return c.with_prefix_proof(change)


@kind("a forged leaf off the path")
def _(c):
    def change(proofs):
        for result in proofs[-1].results:
            if result.kind == structs.LEAF:
                output, commitment = result.leaf
                result.leaf = (flip(output, 0, 7), commitment)
                return True
        return False

    return c.with_prefix_proof(change)


@kind("a prefix proof left out")
def _(c):
    return c.with_proof(prefix_proofs=c.search.proof.prefix_proofs[:-1])


@kind("a prefix root changed")
def _(c):
    roots = c.search.proof.prefix_roots
    return c.with_proof(prefix_roots=[flip(roots[0]), *roots[1:]]) if roots else None


@kind("an element of the inclusion proof changed")
def _(c):
    elements = c.search.proof.inclusion
    return c.with_proof(inclusion=[flip(elements[0]), *elements[1:]]) if elements else None


@kind("an element of the inclusion proof too many")
def _(c):
    return c.with_proof(inclusion=[*c.search.proof.inclusion, bytes(32)])


@kind("another tree size")
def _(c):
    return c.with_search(head=replace(c.search.head, size=c.search.head.size + 1))


@kind("a head said to be known")
def _(c):
    return c.with_search(head=None)


@kind("the subnet's signature changed")
def _(c):
    cert = ic.certificate(c.certificate)
    changed = replace(cert, signature=flip(cert.signature, 5))
    return c.with_signature(encode.canister_signature(encode.certificate(changed), c.tree))


@kind("a later certified time")
def _(c):
    cert = ic.certificate(c.certificate)

    def later(tree):
        if tree[0] == "fork":
            return ("fork", later(tree[1]), later(tree[2]))
        if tree[0] == "label" and tree[1] == b"time":
            return ("label", b"time", ("leaf", flip(tree[2][1], 4)))
        return tree

    changed = replace(cert, tree=later(cert.tree))
    return c.with_signature(encode.canister_signature(encode.certificate(changed), c.tree))


@kind("a certificate that is not canonical")
def _(c):
    # The same certificate, with the length of its map in two bytes.
    loose = c.certificate[:3] + b"\xb8" + bytes([c.certificate[3] & 0x1F]) + c.certificate[4:]
    return c.with_signature(encode.canister_signature(loose, c.tree))


@kind("a canister signature that is not canonical")
def _(c):
    signature = c.search.head.signature
    return c.with_signature(signature[:3] + b"\xb8\x02" + signature[4:])


@kind("another message under the canister's signature")
def _(c):
    def forge(tree):
        if tree[0] == "fork":
            return ("fork", forge(tree[1]), forge(tree[2]))
        if tree[0] == "label":
            name = flip(tree[1]) if len(tree[1]) == 32 else tree[1]
            return ("label", name, forge(tree[2]))
        return tree

    return c.with_signature(encode.canister_signature(c.certificate, forge(c.tree)))


@kind("a record of the history left out")
def _(c):
    return c.with_found(earlier=c.found.earlier[1:]) if c.found.earlier else None


@kind("a record of the history changed")
def _(c):
    earlier = c.found.earlier
    return c.with_found(earlier=[flip(earlier[0], -1), *earlier[1:]]) if earlier else None


@kind("the proof of a time left out")
def _(c):
    return c.with_found(times=c.found.times[1:]) if c.found.times else None


@kind("another place of a version")
def _(c):
    if not c.found.times:
        return None
    (version, response), *rest = c.found.times
    place = decode(response, structs.place_response)
    moved = replace(place, position=place.position - 1)
    return c.with_found(times=[(version, encode.place_response(moved)), *rest])


# Kinds that leave the reply alone and change what the reader asked or knows.


def another_label(c):
    label = bytes.fromhex(c.answer["wanted"][0]["label"])
    return {**c.answer, "wanted": [{"label": flip(label, -1).hex(), "from": 0}]}


def stale_certificate(c):
    return {**c.answer, "fresh_at_ns": str(int(c.answer["fresh_at_ns"]) + DAY_NS)}


def another_canister(c):
    return {**c.file, "directory": flip(bytes.fromhex(c.file["directory"]), -1).hex()}


def another_root_key(c):
    key = bytes.fromhex(c.file["root_key"])
    return {**c.file, "root_key": flip(key, -1).hex()}


def rollback(c):
    """The reader knows a later head than the reply's."""
    later = [a for a in c.file["answers"] if a["view"] and _size(a) > c.search.head.size]
    return {**c.answer, "view": later[0]["view"]} if later else None


def _size(answer):
    return int.from_bytes(bytes.fromhex(answer["view"])[:8], "big")


ASKED = {
    "an answer for another label": another_label,
    "a certificate of yesterday": stale_certificate,
    "an older head than the one known": rollback,
}
TRUSTED = {
    "a certificate of another canister": another_canister,
    "a certificate under another root key": another_root_key,
}


def believed(file, answer):
    """Whether the verifier takes an answer."""
    try:
        config, trust = answers.trust_of(file)
        view, _, labels = answers.verify_answer(config, trust, answer)
        answers.check_rules(view, labels)
    except Refused as refused:
        return False, str(refused)
    return True, ""


def is_case(answer):
    """One label that is there, under a head that the reader did not know."""
    given, beside = decode(bytes.fromhex(answer["reply"]), lookup.lookup_answers)
    return len(given) == 1 and isinstance(given[0], lookup.Found) and beside == b""


def run(file):
    """A line for each kind: how many answers were changed so, and how they were refused."""
    cases = [Case(file, a) for a in file["answers"] if is_case(a)]
    for name, change in KINDS.items():
        yield _line(name, cases, lambda c, f=change: (file, _changed(c, f(c))))
    for name, change in ASKED.items():
        yield _line(name, cases, lambda c, f=change: (file, f(c)))
    for name, change in TRUSTED.items():
        yield _line(name, cases, lambda c, f=change: (f(c), c.answer))


def _changed(case, reply):
    return None if reply is None else {**case.answer, "reply": reply.hex()}


def _line(name, cases, change, each=2):
    tried, why = 0, set()
    for case in cases:
        file, answer = change(case)
        if answer is None:
            continue
        tried += 1
        taken, words = believed(file, answer)
        if taken:
            return {"kind": name, "tried": tried, "believed": case.answer["what"]}
        why.add(words.split(":")[0])
        if tried == each:
            break
    return {"kind": name, "tried": tried, "refused": sorted(why)}


def main():
    file = json.loads(Path(sys.argv[1]).read_text())
    bad = 0
    for line in run(file):
        bad += "believed" in line or line["tried"] == 0
        print(json.dumps(line), flush=True)
    return 5 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
