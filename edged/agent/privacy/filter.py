"""Decide what of an execution may leave the edge, and in which form.

Runs in: the agent, in front of everything that is sent: samples, validations, reasons, tickets'
examples, calls to oracles. Never: releases what it could not read; whatever goes wrong inside
becomes Withheld, and then nothing leaves.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from edged.agent.privacy import reasons
from edged.agent.privacy.egress import is_on_this_machine, is_web_address
from edged.agent.privacy.errors import Withheld, failing_closed
from edged.agent.privacy.hashing import KEY_BYTES, canonical, keyed_hash
from edged.agent.privacy.modes import Mode, tighter
from edged.agent.privacy.released import Released, ReleasedOutput
from edged.agent.privacy.scrubbing import Erasure, Scrubbed, Scrubbing, scrub
from edged.contract.fields import Rule
from edged.contract.schema import JsonSchema

if TYPE_CHECKING:
    from edged.agent.privacy.detection import Pattern

MAX_BYTES = 256 * 1024  # of one input or output; larger ones are counted, not sent
KNOWN_OUTPUT_BYTES = 256  # of one whose released form is remembered
KNOWN_OUTPUTS = 1_024
REASON_CHARS = 300
FIELD_HASH_BYTES = 16  # as many as a UUID; enough to tell fields apart
# Read further than is sent: a cut through an address would hide it from its detector.
REASON_READ_CHARS = 4_000


class PrivacyFilter:
    """Immutable but for what it remembers; a tighter mode is another filter.

    key: of `hashing.deployment_key`. hash_inputs: no input's text leaves in balanced either.
    detect: False lets text out in balanced but for patterns and rules: `pii_detection: false`.
    sample_only: in balanced, records that nobody drew stay here.
    patterns: of the customer, beside the detectors. rules: of fields, in every mode.
    """

    def __init__(
        self,
        mode: Mode,
        key: bytes,
        *,
        hash_inputs: bool = False,
        detect: bool = True,
        sample_only: bool = True,
        patterns: Sequence["Pattern"] = (),
        rules: Sequence[Rule] = (),
    ) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key must have {KEY_BYTES} bytes")
        self.mode = Mode(mode)
        self._key = key
        self._hash_inputs = hash_inputs
        self._sample_only = sample_only
        self._scrubbing = Scrubbing(
            detect=detect, patterns=patterns, rules=rules, hashed=self._hashed
        )
        # A label comes again and again; with the schema that it was looked at under.
        self._outputs: dict[bytes, tuple[JsonSchema, ReleasedOutput]] = {}
        self._sends_inputs = self.mode is Mode.PERMISSIVE or (
            self.mode is Mode.BALANCED and not hash_inputs
        )

    @property
    def fingerprint(self) -> str:
        """Return what this filter is told by: a batch sealed under another one is filtered anew."""
        how = self._scrubbing
        patterns = [(pattern.kind, pattern.form.expression) for pattern in how.patterns]
        texts = (self._hash_inputs, how.detect, patterns, how.rules)
        facts = (str(self.mode), self._sample_only, *texts)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    @property
    def sends_unsampled(self) -> bool:
        """Say whether records leave that nobody drew."""
        is_open = self.mode is Mode.BALANCED and not self._sample_only
        return is_open or self.mode is Mode.PERMISSIVE

    def with_floor(self, floor: Mode) -> "PrivacyFilter":
        """Return the filter at the floor that home asks for; it can only become tighter."""
        mode = tighter(self.mode, floor)
        return PrivacyFilter(
            mode,
            self._key,
            hash_inputs=self._hash_inputs,
            detect=self._scrubbing.detect,
            sample_only=self._sample_only,
            patterns=self._scrubbing.patterns,
            rules=self._scrubbing.rules,
        )

    def release(
        self, input_json: bytes, output_json: bytes | None, output_schema: JsonSchema
    ) -> Released:
        """Return the execution as it may leave. Raises Withheld: send nothing, count the reason."""
        with failing_closed():
            value = _read(input_json)
            text, erased = (
                self._text(value, input_json, "input") if self._sends_inputs else (None, ())
            )
            output = None
            if output_json is not None:
                output = self.release_output(output_json, output_schema)
            return Released(
                input_json=text,
                output_json=output.json if output else None,
                output_index=output.index if output else None,
                input_hash=keyed_hash(self._key, "input", canonical(value)),
                output_hash=output.hash if output else None,
                erased=erased + (output.erased if output else ()),
            )

    def release_output(self, output_json: bytes, output_schema: JsonSchema) -> ReleasedOutput:
        """Return an output, a program's or an oracle's, as it may leave. Raises Withheld."""
        if len(output_json) > KNOWN_OUTPUT_BYTES:
            return self._release_output(output_json, output_schema)
        known = self._outputs.get(output_json)
        if known is None or known[0] is not output_schema:
            known = output_schema, self._release_output(output_json, output_schema)
            if len(self._outputs) >= KNOWN_OUTPUTS:
                self._outputs.clear()
            self._outputs[output_json] = known
        return known[1]

    def _release_output(self, output_json: bytes, output_schema: JsonSchema) -> ReleasedOutput:
        with failing_closed():
            value = _read(output_json)
            spelled = canonical(value)
            index = self._index(value, spelled, output_schema)
            text: bytes | None = None
            erased: tuple[Erasure, ...] = ()
            if self.mode is not Mode.STRICT and index is not None:
                text = spelled  # home wrote the enum: there is nothing in it to erase
            elif self.mode is not Mode.STRICT:
                text, erased = self._text(value, output_json, "output")
            hashed = keyed_hash(self._key, "output", spelled)
            return ReleasedOutput(json=text, index=index, hash=hashed, erased=erased)

    def output_name(self, output_json: bytes, output_schema: JsonSchema) -> str:
        """Return the output's name in counts, in every mode: its enum index, or its hash in hex."""
        with failing_closed():
            value = _read(output_json)
            spelled = canonical(value)
            index = self._index(value, spelled, output_schema)
            if index is not None:
                return str(index)
            return keyed_hash(self._key, "output", spelled).hex()

    def rules_out(self, output_json: bytes) -> bool:
        """Say whether a rule takes something out of an output; of one not known (b""), it may."""
        with failing_closed():
            if output_json:
                return self._is_ruled(_read(output_json))
            return any(rule.root in {"$", "output"} for rule in self._scrubbing.rules)

    def _index(self, value: Any, spelled: bytes, schema: JsonSchema) -> int | None:
        """Return its place in the enum; none where a rule takes something out, or it told all."""
        index = _enum_index(spelled, schema)
        return None if index is None or self._is_ruled(value) else index

    def _is_ruled(self, output: Any) -> bool:
        if not self._scrubbing.rules:
            return False
        alone = Scrubbing(detect=False, rules=self._scrubbing.rules)
        return bool(scrub(output, root="output", how=alone)[1])

    def scrub(self, value: Any) -> Scrubbed:
        """Return a value without personal data, and what was erased.

        Raises Withheld, always so where inputs may not leave: the value might be one.
        """
        with failing_closed():
            if not self._sends_inputs:
                raise Withheld("egress")
            return scrub(value, how=self._scrubbing)

    def reason(self, error: BaseException | str) -> str:
        """Return what may be said of an error whose text might quote an input; never raises."""
        try:
            with failing_closed():
                return self._reason(error)
        except Withheld:
            return reasons.UNNAMED

    def permits_egress_to(self, url: str) -> bool:
        """Say whether an oracle there may be asked: on this machine always, else as inputs may."""
        return is_on_this_machine(url) or (self._sends_inputs and is_web_address(url))

    def release_to(
        self, url: str, value_json: bytes, root: str = "input"
    ) -> tuple[bytes, tuple[Erasure, ...]]:
        """Return a value as the oracle there may see it: what stays on this machine stays whole.

        root: what rules know the value by. Raises Withheld when the oracle may not be asked, or
        when the value could not be filtered.
        """
        with failing_closed():
            if not self.permits_egress_to(url):
                raise Withheld("egress")
            if is_on_this_machine(url):
                return value_json, ()
            return self._text(_read(value_json), value_json, root)

    def _reason(self, error: BaseException | str) -> str:
        # A text may quote a field that a rule takes out; there is no path to find it by.
        if not self._sends_inputs or self._scrubbing.rules:
            return reasons.bare_name(error)
        text = reasons.describe(error)[:REASON_READ_CHARS]
        if self.mode is Mode.BALANCED:
            text, _ = scrub(text, how=self._scrubbing)
        return str(text)[:REASON_CHARS]

    def _text(self, value: Any, source: bytes, root: str) -> tuple[bytes, tuple[Erasure, ...]]:
        how = self._scrubbing
        if self.mode is Mode.PERMISSIVE:
            if not how.rules:
                return source, ()
            how = replace(how, detect=False, patterns=())
        # Written anew: of two members with one key, only the last was read and filtered.
        clean, erased = scrub(value, root=root, how=how)
        return orjson.dumps(clean), erased

    def _hashed(self, value: Any) -> str:
        hashed = keyed_hash(self._key, "field", canonical(value))
        return f"hash:{hashed[:FIELD_HASH_BYTES].hex()}"


def _read(source: bytes) -> Any:
    if len(source) > MAX_BYTES:
        raise Withheld("too_large")
    try:
        return orjson.loads(source)
    except orjson.JSONDecodeError:
        raise Withheld("malformed") from None


def _enum_index(spelled: bytes, schema: JsonSchema) -> int | None:
    # By spelling, not by ==: Python takes True for 1.
    known = schema.get("enum", ()) if not isinstance(schema, bool) else ()
    return next((index for index, value in enumerate(known) if canonical(value) == spelled), None)
