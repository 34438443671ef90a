"""How a module's facade is written down: its members by name, each one named on purpose.

Runs in: workers. Talks to: nobody. Never: lists a module's members by asking the module.
"""

from types import ModuleType

Offer = dict[str, dict[str, object]]
"""Members by name, by module."""


def pick(module: ModuleType, names: str) -> dict[str, object]:
    """Return the members of `module` named in `names` (separated by spaces)."""
    return {name: getattr(module, name) for name in names.split()}
