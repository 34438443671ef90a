"""Decide, from what a module's body bound, whether one run of it may serve every call.

It may if nothing that a call can reach can be changed by it: constants, functions over such,
classes without mutable parts, and containers that readonly.py saw only being read. Anything else is
not wrong, it only costs a run of the body for every call, which is also what keeps such a program's
calls apart.

Runs in: workers. Talks to: immutables.py, readonly.py. Never: changes what it looks at.
"""

import collections
from collections.abc import Callable, Mapping
from typing import Any

from edged.sandbox.immutables import Immutables, NotShareable
from edged.sandbox.readonly import GlobalUses
from edged.sandbox.trail import NEVER

_FLAT = (list, set, tuple, frozenset)
_MAPPINGS = (dict, collections.Counter, collections.OrderedDict)


class Inventory:
    """What a module's body bound. given: the ids of what the program got from us."""

    def __init__(self, given: frozenset[int], uses: GlobalUses) -> None:
        self._uses = uses
        self._immutables = Immutables(
            given,
            has_nonlocal=uses.has_nonlocal_statement,
            has_class_statement=uses.has_class_statement,
        )
        self._containers: set[int] = set()  # ids: each is accepted under the one name it has

    @property
    def classes(self) -> set[type]:
        return self._immutables.classes

    @property
    def caches(self) -> list[Callable[[], None]]:
        """What must be cleared before each call."""
        return self._immutables.caches

    def take(self, bound: Mapping[str, object]) -> None:
        """Go through every global; raises NotShareable at the first that a call could change."""
        uses = self._uses
        if uses.has_global_statement:
            raise NotShareable("a function rebinds a global")
        if uses.has_class_store:
            raise NotShareable("a function sets an attribute of a class")
        for name, value in bound.items():
            if type(value) in (list, set, tuple, *_MAPPINGS):
                self._take_container(name, value, uses.given_away.get(name, NEVER))
            else:
                self._immutables.take(value)

    def _take_container(self, name: str, value: object, given_away: int) -> None:
        # Level -1 is a view of it, or pairs with its parts.
        if given_away < self._depth(value):
            raise NotShareable(f"{name} leaves the sight of the policy")

    def _depth(self, value: Any) -> int:
        """Return how many levels down the last mutable container lies; 0: there is none."""
        kind = type(value)
        if kind in _MAPPINGS:
            self._take_once(value)
            self._immutables.take_all(value)
            return 1 + max(map(self._depth, value.values()), default=0)
        if kind in _FLAT:
            self._immutables.take_all(value)
            if kind in (tuple, frozenset):
                return 0
            self._take_once(value)
            return 1
        self._immutables.take(value)
        return 0

    def _take_once(self, container: object) -> None:
        """A container under two names could be read under one and changed under the other."""
        if id(container) in self._containers:
            raise NotShareable("a container has two names")
        self._containers.add(id(container))
