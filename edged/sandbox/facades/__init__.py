"""What `import` gives a program: frozen facades with named members, never a module.

A real module leads everywhere (`json.codecs.open`, `re.enum.sys`). A facade holds what is named in
this package, and an import of anything else was refused at compile time.

Runs in: zygote (built once, so that workers inherit every import), workers. Talks to: the standard
library, guards.py. Never: gives a program a module, or imports one on its behalf.
"""

import sys
from types import MappingProxyType

import edged.sandbox.preload  # noqa: F401
from edged.sandbox.facades import classes, quantities, structures, text
from edged.sandbox.facades.offer import Offer
from edged.sandbox.guards import Guards
from edged.sandbox.names import MEMBER_ADVICE


class Facade:
    """One module as a program sees it."""

    def __init__(self, name: str, members: dict[str, object]) -> None:
        # Set past __setattr__. No `__name__`: for a missing member, Python would go on to
        # sys.modules with it.
        vars(self).update(members, _facade=name)

    def __getattr__(self, name: str) -> object:
        instead = MEMBER_ADVICE.get(name, "docs/programs.md lists what it offers")
        raise AttributeError(f"module {vars(self)['_facade']!r} has no {name!r} here: {instead}")

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("a module cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise TypeError("a module cannot be changed")

    def __reduce_ex__(self, _protocol: object) -> str:
        raise TypeError("a module cannot be copied")

    def __repr__(self) -> str:
        return f"<module {vars(self)['_facade']!r}>"


class Imports:
    """The modules of one program."""

    def __init__(self, guards: Guards) -> None:
        self.randomness = quantities.Randomness()
        self.offer = _offer(guards, self.randomness)
        self._facades = {name: Facade(name, members) for name, members in self.offer.items()}
        for name, facade in self._facades.items():
            parent, _, child = name.rpartition(".")
            if parent:
                vars(self._facades[parent])[child] = facade
        self.uses_random = False

    def find(
        self,
        name: str,
        _globals: object = None,
        _locals: object = None,
        names: tuple[str, ...] | list[str] | None = None,
        level: int = 0,
    ) -> object:
        """Stand in for `__import__`.

        The import statement passes None or a tuple. Library code written in C calls this too, on
        behalf of itself (strptime, re templates), always with a list; it takes the module from
        sys.modules afterwards and ignores what is returned, so it gets nothing.
        """
        if isinstance(names, list):
            if name not in sys.modules:
                raise ImportError(f"{name} was not loaded before the program started")
            return None
        if level or name not in self._facades:
            raise ImportError(f"import of {name!r} is not allowed")
        self.uses_random = self.uses_random or name == "random"
        return self._facades[name if names else name.partition(".")[0]]


def _offer(guards: Guards, randomness: quantities.Randomness) -> Offer:
    return (
        text.offers()
        | quantities.offers()
        | structures.offers(guards)
        | classes.offers(guards)
        | {"random": randomness.members()}
    )


def _importable() -> dict[str, frozenset[str]]:
    offered = _offer(Guards(frozenset(), frozenset()), quantities.Randomness())
    members = {name: set(offer) for name, offer in offered.items()}
    for name in offered:
        parent, _, child = name.rpartition(".")
        if parent:
            members[parent].add(child)
    return {name: frozenset(found) for name, found in members.items()}


IMPORTABLE = MappingProxyType(_importable())
"""The names that each module offers, by module."""
