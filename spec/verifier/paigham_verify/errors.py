"""What a check may find. The kinds are those of `spec/transparency.md` §7."""


class Refused(Exception):
    """An answer that does not hold. `kind` says which check found it."""

    def __init__(self, kind, detail=""):
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


def require(condition, kind, detail=""):
    """Refuses with `kind` unless the condition holds."""
    if not condition:
        raise Refused(kind, detail)
