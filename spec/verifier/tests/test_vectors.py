"""Every vector of the log, of certificates and of identity records, from the prose alone."""

import unittest

from paigham_verify import audit, auditors, ic, identity, owner, reader, structs, trees, vrf
from paigham_verify import view as views
from paigham_verify.edwards import verify as verify_ed25519
from paigham_verify.errors import Refused
from paigham_verify.wire import decode

from .vectors import load, unhex


class Vrf(unittest.TestCase):
    def test_proofs_give_the_outputs(self):
        for key in load("kt-vrf.json")["keys"]:
            for case in key["cases"]:
                alpha = vrf.vrf_input(unhex(case["label"]), case["version"])
                self.assertEqual(alpha.hex(), case["alpha"])
                proof = unhex(case["proof"])
                output = vrf.verify(unhex(key["public_key"]), alpha, proof)
                self.assertEqual(output.hex(), case["output"])
                for byte in range(0, len(proof), 7):
                    changed = bytearray(proof)
                    changed[byte] ^= 1
                    with self.assertRaises(Refused):
                        vrf.verify(unhex(key["public_key"]), alpha, bytes(changed))

    def test_weak_keys_are_refused(self):
        for case in load("kt-vrf.json")["refused_public_keys"]:
            with self.assertRaises(Refused, msg=case["why"]):
                vrf.public_key(unhex(case["public_key"]))


class Auditors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = load("kt-auditors.json")
        cls.config = decode(unhex(cls.file["configuration"]), structs.configuration)

    def test_proofs_connect_two_sizes(self):
        for case in self.file["consistency"]:
            roots = (unhex(case["smaller_root"]), unhex(case["larger_root"]))
            sizes = (case["smaller"], case["larger"])
            self.assertEqual(auditors.consistency(unhex(case["proof"]), *sizes), roots)

    def test_statements_are_worth_what_they_say(self):
        for case in self.file["statements"]:
            parts = (unhex(case["key"]), unhex(case["head"]), unhex(case["consistency"]))
            head = (case["size"], unhex(case["root"]), case["newest"])
            said = auditors.judge(self.config, *head, auditors.Statement(*parts))
            self.assertEqual(said, case["says"], case["what"])


class Log(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = load("kt-log.json")
        cls.config = decode(unhex(cls.file["configuration"]), structs.configuration)

    def test_the_auditor_reaches_every_entry(self):
        state = audit.Auditor()
        for entry in self.file["entries"]:
            state.apply(unhex(entry["auditor_update"]))
            self.assertEqual(state.encode().hex(), entry["auditor_state"])
            self.assertEqual(state.root.hex(), entry["root"])
            head = views.View(state.size, state.subtrees, {})
            message = reader.tree_head_tbs(self.config, head)
            signature = unhex(entry["head_signature"])
            self.assertTrue(verify_ed25519(self.config.signature_key, message, signature))
            for v in entry["versions"]:
                parts = (unhex(v["opening"]), unhex(v["label"]), v["version"], unhex(v["value"]))
                self.assertEqual(trees.commitment(*parts).hex(), v["commitment"])

    def test_answers_show_what_they_say(self):
        for index, answer in enumerate(self.file["answers"]):
            with self.subTest(index=index, kind=answer["kind"]):
                view = unhex(answer["view"])
                view = decode(view, views.view) if view else None
                after = getattr(self, "_" + answer["kind"])(view, answer, answer["shows"])
                self.assertEqual(after.encode().hex(), answer["view_after"])

    def _arguments(self, view, answer):
        return self.config, view, unhex(answer["request"]), unhex(answer["response"])

    def _search(self, view, answer, shows):
        after, found = reader.verify_search(*self._arguments(view, answer), answer["now"])
        self.assertEqual(found["version"], shows["version"])
        self.assertEqual(found["value"].hex(), shows["value"])
        self.assertEqual(found["terminal"], shows["terminal"])
        watch = found["monitor"].encode().hex() if found["monitor"] else None
        self.assertEqual(watch, shows["monitor"])
        return after

    def _absent(self, view, answer, _shows):
        return reader.verify_absent(*self._arguments(view, answer), answer["now"])[0]

    def _place(self, view, answer, shows):
        config, view, request, response = self._arguments(view, answer)
        value = unhex(shows["value"])
        after, found = reader.verify_place(config, view, request, response, value, answer["now"])
        self.assertEqual(found["position"], shows["position"])
        self.assertEqual(found["timestamp"], shows["timestamp"])
        return after

    def _contact_monitor(self, view, answer, shows):
        entries = decode(unhex(shows["contact_map"]), reader.contact_map)
        config, view, request, response = self._arguments(view, answer)
        after, entries = reader.verify_contact(
            config, view, entries, request, response, answer["now"]
        )
        self.assertEqual(reader.encode_contact_map(entries).hex(), shows["contact_map_after"])
        return after

    def _distinguished(self, view, answer, shows):
        after, heads = reader.verify_distinguished(
            *self._arguments(view, answer), shows["newest"], answer["now"]
        )
        found = [{"position": p, "timestamp": t, "root": r.hex()} for p, t, r in heads]
        self.assertEqual(found, shows["heads"])
        return after

    def _owner_init(self, view, answer, shows):
        after, state = owner.verify_owner_init(*self._arguments(view, answer), answer["now"])
        self.assertEqual(state.encode().hex(), shows["owner_state_after"])
        return after

    def _owner_monitor(self, view, answer, shows):
        return self._with_state(owner.verify_owner_monitor, view, answer, shows)[0]

    def _update(self, view, answer, shows):
        after, values = self._with_state(owner.verify_update, view, answer, shows)
        self.assertEqual(values[0][0], shows["first"])
        self.assertEqual([value.hex() for _, value in values], shows["values"])
        return after

    def _with_state(self, verify, view, answer, shows):
        state = decode(unhex(shows["owner_state"]), owner.owner_state)
        config, view, request, response = self._arguments(view, answer)
        after, state, *rest = verify(config, view, state, request, response, answer["now"])
        self.assertEqual(state.encode().hex(), shows["owner_state_after"])
        return (after, *rest)

    def test_refused_answers_are_refused(self):
        for answer in self.file["refused"]:
            view = unhex(answer["view"])
            view = decode(view, views.view) if view else None
            with self.assertRaises(Refused, msg=answer["why"]):
                reader.verify_search(*self._arguments(view, answer), answer["now"])

    def test_a_changed_bit_is_noticed(self):
        answer = self.file["answers"][0]
        response = unhex(answer["response"])
        for byte in range(0, len(response), 23):
            changed = bytearray(response)
            changed[byte] ^= 1 << byte % 8
            request = unhex(answer["request"])
            with self.assertRaises(Refused, msg=f"byte {byte}"):
                reader.verify_search(self.config, None, request, bytes(changed), answer["now"])


class Certificates(unittest.TestCase):
    """Certificates of the Internet Computer's main network."""

    def test_they_hold_for_their_canister_only(self):
        file = load("certificates.json")
        root_key, canister = unhex(file["root_key"]), unhex(file["canister"])
        for case in file["certificates"]:
            data = unhex(case["certificate"])
            cert = ic.verify_certificate(ic.Trust(root_key, canister), data)
            self.assertEqual(cert.time_ns, int(case["time_ns"]))
            with self.assertRaises(Refused):
                ic.verify_certificate(ic.Trust(root_key, b"\xff" * 10), data)
            for byte in (0, 3, 20, len(data) // 2, len(data) - 1):
                changed = bytearray(data)
                changed[byte] ^= 1
                with self.assertRaises(Refused, msg=f"byte {byte}"):
                    ic.verify_certificate(ic.Trust(root_key, canister), bytes(changed))
        for case in file["refused"]:
            with self.assertRaises(Refused, msg=case["why"]):
                data = unhex(case["certificate"])
                ic.verify_certificate(ic.Trust(root_key, canister), data)


class Identity(unittest.TestCase):
    def test_the_life_of_an_account(self):
        file, account = load("identity.json"), None
        for case in file["records"]:
            with self.subTest(case["what"]):
                record, time = unhex(case["record"]), int(case["accepted_at"])
                if account is None:
                    account = identity.create(record, time)
                else:
                    account = identity.follow(account, record, time)
                self.assertEqual(account.head.hex(), case["hash"])
                self._counts(account, time, case["then"])

    def _counts(self, account, time, then):
        now, later = account.at(time), account.at(time + identity.DELAY_NS)
        self.assertEqual(now.identity_key.hex(), then["identity_key"])
        self.assertEqual(now.recovery_hash.hex(), then["recovery_key_hash"])
        self.assertEqual(now.key_change[0], then["key_change_version"])
        self.assertEqual(now.key_change[1].hex(), then["key_change_hash"])
        self.assertEqual(now.frozen_at is not None, then["frozen"])
        self.assertEqual(now.recover is not None, then["recovering"])
        self.assertEqual(later.identity_key.hex(), then["identity_key_72_hours_later"])
        self.assertEqual(later.deleted, then["deleted_72_hours_later"])
        self.assertEqual([d.encoded.hex() for d in now.devices], then["devices"])

    def test_records_that_do_not_follow(self):
        file = load("identity.json")
        first = file["records"][0]
        account = identity.create(unhex(first["record"]), int(first["accepted_at"]))
        for case in file["refused"]:
            with self.assertRaises(Refused, msg=case["why"]):
                time = account.accepted_at + identity.HOUR_NS
                identity.follow(account, unhex(case["record"]), time)


if __name__ == "__main__":
    unittest.main()
