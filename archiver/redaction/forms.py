"""How a secret may look: as it is, escaped in any usual way, in base64."""

from __future__ import annotations

import base64
import re

_MIN_BASE64 = 8


def _hex(value: int, width: int) -> str:
    digits = f"{value:0{width}x}"
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits)


def escaped_forms(secret: str) -> str:
    """Return a pattern for a secret of which any character may be escaped in any usual way."""
    parts = []
    for char in secret:
        percent = "".join(f"%(?:25)*{_hex(b, 2)}" for b in char.encode("utf-8", "replace"))
        units = char.encode("utf-16-be", "surrogatepass")
        escape = "".join(
            rf"\\{{1,4}}u{_hex(int.from_bytes(units[i : i + 2], 'big'), 4)}"
            for i in range(0, len(units), 2)
        )
        short = {"\n": "n", "\r": "r", "\t": "t", "\f": "f", "\b": "b"}.get(char)
        parts.append(
            # `%` begins its own escaped form, so that one is tried first.
            rf"(?:{percent}|\\{{0,4}}{re.escape(char)}|{escape}|&#{ord(char)};"
            + (r"|\+" if char == " " else "")
            + (r"|&amp;" if char == "&" else "")
            + (rf"|\\{{1,4}}{short}" if short else "")
            + ")"
        )
    return "".join(parts)


def base64_forms(secret: str) -> set[str]:
    """Return how a secret looks in base64, alone or in the midst of other bytes (`user:secret`)."""
    raw = secret.encode("utf-8", "replace")
    forms = {base64.b64encode(raw).decode(), base64.b64encode(raw).decode().rstrip("=")}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        first = -(-before * 8 // 6)
        whole = (before + len(raw)) * 8 // 6
        core = encoded[first:whole].decode()
        if len(core) >= _MIN_BASE64:
            forms.add(core)
    return forms | {f.replace("+", "-").replace("/", "_") for f in forms}
