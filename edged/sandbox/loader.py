"""Load a program: compile it, run its module's body, and hold what is called for each execution.

No call may see what another did. Where the body bound only what no call can change, it ran once and
is shared; otherwise it runs again, in fresh globals, for every call (sharing.py decides,
readonly.py says why so).

Runs in: workers. Talks to: policy.py, guards.py, facades, sharing.py. Never: limits time or memory
(worker and pool do).
"""

from collections.abc import Callable
from types import CodeType, TracebackType
from typing import cast

from edged.sandbox.facades import Imports
from edged.sandbox.given import BASES, VISIBLE_TYPES, build_builtins
from edged.sandbox.guards import Guards
from edged.sandbox.immutables import NotShareable
from edged.sandbox.methods import PROGRAM_FILE
from edged.sandbox.policy import (
    DEFAULT_LIMITS,
    ENTRY,
    CompiledProgram,
    ProgramRefused,
    Refusal,
    SourceLimits,
    compile_program,
)
from edged.sandbox.results import describe_error
from edged.sandbox.sharing import Inventory

MODULE_NAME = "program"

Entry = Callable[[object], object]


class Program:
    """A loaded program."""

    __slots__ = ("_body", "_caches", "_entry", "_imports", "leaves_generators")

    def __init__(
        self,
        body: Callable[[], Entry],
        entry: Entry | None,
        caches: tuple[Callable[[], None], ...],
        imports: Imports,
        *,
        leaves_generators: bool,
    ) -> None:
        self._body = body
        self._entry = entry  # None: the body runs for each call
        self._caches = caches
        self._imports = imports
        self.leaves_generators = leaves_generators

    @property
    def is_shared(self) -> bool:
        """Whether the module's body ran once for all calls."""
        return self._entry is not None

    def run(self, input_data: object) -> object:
        """Call the program's run; raises whatever it raises."""
        if self._imports.uses_random:
            self._imports.randomness.restore()
        for clear in self._caches:
            clear()
        entry = self._entry or self._body()
        return entry(input_data)


def load(source: str, limits: SourceLimits = DEFAULT_LIMITS) -> Program:
    """Compile a program and run its module's body.

    Raises ProgramRefused for what the policy refuses, and where the body itself raises an Exception
    or leaves no function run. What is no Exception, such as a deadline, passes through.
    """
    compiled = compile_program(source, limits)
    guards = Guards(BASES, VISIBLE_TYPES)
    imports = Imports(guards)
    given = build_builtins(guards, imports)
    body = _Body(compiled.code, given)
    bound = _first_run(body)
    entry, caches = _share(bound, compiled, guards, imports, given)
    return Program(
        body.run_to_entry, entry, caches, imports, leaves_generators=compiled.leaves_generators
    )


class _Body:
    """A module's body, run in new globals each time."""

    def __init__(self, code: CodeType, given: dict[str, object]) -> None:
        self._code = code
        self._given = given

    def run(self) -> dict[str, object]:
        bound: dict[str, object] = {"__builtins__": self._given, "__name__": MODULE_NAME}
        exec(self._code, bound)  # noqa: S102 # the one place where a program's code starts
        return bound

    def run_to_entry(self) -> Entry:
        return cast("Entry", self.run()[ENTRY])


def _first_run(body: _Body) -> dict[str, object]:
    try:
        bound = body.run()
    except Exception as error:  # noqa: BLE001 # whatever the program raises is its author's to read
        kind, message = describe_error(error)
        what = f"a module body that fails ({kind}: {message})"
        raise _refuse(what, "make it run by itself", line=_line_of(error)) from None
    if not callable(bound.get(ENTRY)):
        raise _refuse("a program whose run is no function", "leave run as it is defined", line=1)
    return bound


def _refuse(what: str, instead: str, *, line: int) -> ProgramRefused:
    return ProgramRefused((Refusal(line=line, column=1, what=what, instead=instead),))


def _line_of(error: Exception) -> int:
    """Return the line of the program's own code that was running."""
    line, frame = 1, error.__traceback__
    while isinstance(frame, TracebackType):
        if frame.tb_frame.f_code.co_filename == PROGRAM_FILE:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def _share(
    bound: dict[str, object],
    compiled: CompiledProgram,
    guards: Guards,
    imports: Imports,
    given: dict[str, object],
) -> tuple[Entry | None, tuple[Callable[[], None], ...]]:
    """Return the entry to share and the caches to clear first, or no entry: the body runs again."""
    offered = (
        *given.values(),
        *(member for members in imports.offer.values() for member in members.values()),
    )
    inventory = Inventory(frozenset(map(id, offered)), compiled.uses)
    names = {name: value for name, value in bound.items() if not name.startswith("__")}
    try:
        inventory.take(names)
    except NotShareable:
        return None, ()
    guards.seal(frozenset(inventory.classes))
    imports.randomness.save()
    return cast("Entry", bound[ENTRY]), tuple(inventory.caches)
