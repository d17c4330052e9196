"""`python3 -m paigham_verify FILE`: verifies an audit file, a saved look-up or live answers.

Exit codes: 0 everything holds, 2 not such a file, 5 something was refused.
"""

import argparse
import json
import sys
from pathlib import Path

from . import answers, audit, ic, reader, saved, structs
from .errors import Refused
from .view import View


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="paigham_verify", description=__doc__.split("\n")[0])
    parser.add_argument(
        "file", type=Path, help="audit file (NKTA1), look-up (PGLK1) or answers (JSON)"
    )
    parser.add_argument("--root-key", help="DER of the root key, hex: to check an audit's heads")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    data = options.file.read_bytes()
    if data.startswith(audit.MAGIC):
        lines = verify_audit(data, options.root_key)
    elif data.startswith(saved.MAGIC):
        lines = saved.verify_file(data)
    elif data.lstrip().startswith(b"{"):
        lines = answers.verify_file(json.loads(data))
    else:
        print(f"{options.file}: no audit file, look-up or answers", file=sys.stderr)
        return 2
    refused = False
    for line in lines:
        refused = refused or not line["holds"]
        print(json.dumps(line) if options.json else _text(line), flush=True)
    return 5 if refused else 0


def _text(line):
    word = "holds  " if line["holds"] else "REFUSED"
    facts = ", ".join(f"{k} {v}" for k, v in line.items() if k not in ("holds", "what"))
    return f"{word} {line['what']}" + (f": {facts}" if facts else "")


def verify_audit(data, root_key):
    """One line about an audit file."""
    line = {"what": "audit", "holds": False}
    try:
        file = audit.AuditFile(data, head_checker(data, root_key))
        line |= {
            "holds": True,
            "from": file.start,
            "to": file.state.size,
            "added": file.versions,
            "checkpoints": file.checkpoints,
            "checkpoints_without_signature_check": file.skipped,
            "root": file.state.root.hex() if file.state.size else None,
        }
    except Refused as refused:
        line["refused"] = str(refused)
    yield line


def head_checker(data, root_key):
    """Checks the signatures of checkpoints, or None where that needs a root key."""
    head = audit.header(data)
    if head.config.suite == structs.CANISTER and root_key is None:
        return None
    trust = None
    if root_key is not None:
        key = bytes.fromhex(root_key)
        if audit.key_hash(key) != head.root_key_hash:
            raise Refused("Signature", "the audit was made under another root key")
        trust = ic.Trust(key, head.canister)

    def check(config, view: View, signature):
        reader.check_signature(config, view, signature, trust)

    return check


if __name__ == "__main__":
    sys.exit(main())
