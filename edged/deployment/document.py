"""Read deployment.yaml's text into plain values, whatever the text is. Pure.

Never: follows an alias, makes an object of a tag, or quotes the text in an error: it may hold a
key.
"""

import re
from typing import Any, Final

import yaml

MAX_BYTES: Final = 256 * 1024  # a thousand tasks with an oracle each; parsed in about a second
MAX_DEPTH: Final = 20
_IN_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # nor in a path


class DocumentInvalid(Exception):
    """The text is no plain YAML; says where."""


def parse(text: str) -> dict[str, Any]:
    """Return the sections. Raises DocumentInvalid with one line.

    A file without a byte is refused: it is what a full disk leaves of one that was being written,
    and all its settings, the privacy mode among them, would be the defaults.
    """
    if not text.strip():
        raise DocumentInvalid("is empty: write {} for the defaults")
    try:
        document = yaml.load(text, _PlainLoader)  # noqa: S506 a SafeLoader
    except yaml.MarkedYAMLError as error:
        raise DocumentInvalid(_place(error.problem_mark) + (error.problem or "no YAML")) from None
    except yaml.reader.ReaderError as error:
        raise DocumentInvalid(f"character #x{error.character:04x}: {error.reason}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise DocumentInvalid(str(error)) from None
    if not isinstance(document, dict | None):
        raise DocumentInvalid("must be a mapping of sections")
    return document or {}


def _place(mark: "yaml.Mark | None") -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


class _PlainLoader(yaml.SafeLoader):
    """Mappings, lists and scalars only."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            # A few aliases of aliases would fill the memory.
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 the library's signature
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # noqa: BLE001  `!!bool x` is a KeyError of the library's, quoting x
            kind = node.tag.rpartition(":")[2]
            problem = f"this is no {kind}, or too long a one"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if isinstance(node.value, str) and _IN_NO_TEXT.search(node.value):
            problem = "a character that no text holds"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 the library's signature
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                problem = "a key must be text; write it in quotes"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value} is there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# A date is text here, as in a name: what is no date would be an error of the library's own.
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
