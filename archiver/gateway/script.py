"""Which fault meets which request."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from threading import Lock

from archiver.gateway.exchange import Request
from archiver.gateway.faults import Fault


@dataclass(slots=True, kw_only=True)
class _Script:
    pattern: str
    method: str | None
    once: deque[Fault]
    always: Fault | None = None

    def fits(self, request: Request) -> bool:
        if self.method is not None and self.method != request.method:
            return False
        return self.pattern == request.path or fnmatchcase(request.path, self.pattern)


@dataclass(slots=True)
class Scripts:
    """Faults that wait for their requests.

    The script added first answers first; one that is used up lets the next answer.
    """

    _scripts: list[_Script] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(
        self, pattern: str, faults: tuple[Fault, ...], *, always: bool, method: str | None
    ) -> None:
        """Let faults wait for the requests whose path is, or fits, the pattern."""
        if always and len(faults) != 1:
            raise ValueError(f"one fault can be there always, not {len(faults)}")
        script = _Script(pattern=pattern, method=method, once=deque(() if always else faults))
        if always:
            script.always = faults[0]
        with self._lock:
            self._scripts.append(script)

    def clear(self, pattern: str | None = None) -> None:
        """Forget the scripts of this pattern, or all."""
        with self._lock:
            self._scripts = [s for s in self._scripts if pattern not in (None, s.pattern)]

    def take(self, request: Request) -> Fault | None:
        """Return the fault that meets this request, and use it up unless it is there always."""
        with self._lock:
            for script in self._scripts:
                if not script.fits(request):
                    continue
                if script.once:
                    return script.once.popleft()
                if script.always is not None:
                    return script.always
        return None

    def waiting(self) -> int:
        """Return how many faults have not met their request yet, those always there left out."""
        with self._lock:
            return sum(len(script.once) for script in self._scripts)
