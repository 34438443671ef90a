"""A program without the language layer: plain Python behind the kernel's barriers alone.

What a program looks like that has broken out of its language. The other layers must hold against
it, and here is how that is tried.

Runs in: workers of a trial. Never: in a worker of a daemon.
"""

from edged.sandbox.policy import ENTRY, ProgramRefused, Refusal


class PlainProgram:
    """Does what `loader.Program` does, with nothing in between."""

    leaves_generators = False

    def __init__(self, source: str) -> None:
        self._names: dict[str, object] = {"__name__": "program"}
        exec(source, self._names)  # noqa: S102 # the purpose of this module

    def run(self, input_data: object) -> object:
        """Call the program's run; raises whatever it raises."""
        return self._names[ENTRY](input_data)  # type: ignore[operator]


def load_plain(source: str) -> PlainProgram:
    """Run the module's body; raises ProgramRefused when it fails."""
    try:
        return PlainProgram(source)
    except Exception as error:  # noqa: BLE001 # whatever the program raises is its author's to read
        what = f"a module body that fails ({type(error).__name__}: {str(error)[:200]})"
        raise ProgramRefused(
            (Refusal(line=1, column=1, what=what, instead="make it run by itself"),)
        ) from None
