"""The golden vectors in `spec/vectors/`."""

import json
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "vectors"


def load(name):
    return json.loads((DIRECTORY / name).read_text())


def unhex(text):
    return None if text is None else bytes.fromhex(text)
