"""Run a program on monty, an interpreter of its own that knows neither files nor the network.

The program is parsed once; each call runs all of it in an empty heap, so no call sees another's.
What keeps it in bounds is what keeps Python in bounds: the jail, the timer signal (monty asks for
signals between its instructions) and SIGKILL. Its own count of memory comes first, because where
the kernel refuses memory to it, it aborts.

Runs in: workers; the zygote imports it, where it is configured. Never: gives a program a function,
a file or a clock of ours.
"""

from typing import Final

from pydantic_monty import Monty, MontyError, MontyRuntimeError, MontySyntaxError, ResourceLimits

from edged.sandbox.policy import ENTRY, SourceLimits, check_size
from edged.sandbox.refusals import ProgramRefused, Refusal
from edged.sandbox.results import describe_error

_INPUT: Final = "_loopai_input"
_CALL: Final = f"\n{ENTRY}({_INPUT})\n"
_ASK: Final = f"\n{ENTRY}\n"
_A_FUNCTION: Final = "<function "
"""How monty hands one out: as its description."""
_SHARE_OF_MEMORY: Final = 8
"""It counts values and not the room that sets and dicts keep for more: six times as much, once."""
_INSTEAD: Final = "write it in the Python that monty runs, or give the task backend python"


class MontyProgram:
    """Does what `loader.Program` does, on another interpreter."""

    leaves_generators = False

    def __init__(self, source: str, memory_bytes: int) -> None:
        self._limits = ResourceLimits(max_memory=memory_bytes // _SHARE_OF_MEMORY)
        self._program = Monty(source + _CALL, script_name="program", inputs=[_INPUT])

    def run(self, input_data: object) -> object:
        """Call the program's run; raises what it raises, as far as it is one of Python's own."""
        try:
            return self._program.run(inputs={_INPUT: input_data}, limits=self._limits)
        except MontyRuntimeError as error:
            raise error.exception() from None


def load_monty(source: str, limits: SourceLimits, memory_bytes: int) -> MontyProgram:
    """Parse a program and run its module's body once; raises ProgramRefused."""
    check_size(source, limits)
    try:
        # By itself first, so that what is wrong is not blamed on the call behind it.
        Monty(source, script_name="program")
        body = Monty(source + _ASK, script_name="program")
        entry = body.run(limits=ResourceLimits(max_memory=memory_bytes // _SHARE_OF_MEMORY))
        program = MontyProgram(source, memory_bytes)
    except MontyError as error:
        raise _refused(error) from None
    if not str(entry).startswith(_A_FUNCTION):
        raise ProgramRefused((_refusal(1, 1, "a program whose run is no function"),))
    return program


def _refused(error: MontyError) -> ProgramRefused:
    """Raises MemoryError where that is what it was."""
    inner = error.exception()
    if isinstance(inner, MemoryError):
        raise inner from None
    kind, message = describe_error(inner)
    is_syntax = isinstance(error, MontySyntaxError)
    what = "syntax" if is_syntax or isinstance(inner, NotImplementedError) else "a module body"
    line, column = _place(error)
    return ProgramRefused(
        (_refusal(line, column, f"{what} that monty refuses ({kind}: {message})"),)
    )


def _place(error: MontyError) -> tuple[int, int]:
    frames = error.traceback() if isinstance(error, MontyRuntimeError | MontySyntaxError) else []
    return (frames[-1].line, frames[-1].column) if frames else (1, 1)


def _refusal(line: int, column: int, what: str) -> Refusal:
    return Refusal(line=line, column=column, what=what, instead=_INSTEAD)
