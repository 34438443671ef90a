"""The error tree of the edge, by whose fault it is.

LoopaiError
├── CallerError               the request is wrong; sending it again does not help
│   ├── InputMalformed        not one JSON value
│   ├── InputRefused          breaks the task's input schema
│   ├── TaskUnknown
│   ├── TaskUnnamed           several tasks, no default
│   ├── CallerUnknown         no valid key or certificate
│   ├── CallerForbidden       a known caller beyond its scopes
│   ├── ExecutionIdMalformed
│   └── RequestMalformed      the envelope around the input
├── ProgramError              never leaves as an RPC failure: it becomes an outcome
│   └── OutputRefused         breaks the task's output schema
└── PlatformError             ours
    ├── DeadlinePassed        the caller's deadline passed before the program ran
    ├── RunLost               the worker vanished, twice; nobody knows how the execution fared
    ├── LogUnwritable         the execution could not be logged, so it is not answered
    ├── LogUnreadable         what a log has cannot be read
    │   ├── KeyMissing        a line is encrypted under a key that is not configured
    │   ├── SealedDamaged     an encrypted line that was changed
    │   └── ArchiveDamaged    an archive that was changed, or breaks off
    ├── BackupInvalid         a file that is no backup of datasets, or a damaged one
    ├── KeyInvalid            a key for encryption at rest that is none
    ├── ArtifactInvalid       an archive or an unpacked artifact that does not hold together
    ├── DigestMismatch
    ├── SignatureInvalid
    ├── PoolError             see edged.pool.errors
    ├── Withheld              by the privacy filter; see edged.agent.privacy.errors
    └── ConfigInvalid

Runs in: every process. Never: knows a gRPC or HTTP status; the doors translate.
"""

from typing import ClassVar

MAX_BYTES = 1_000  # of a text: what it quotes may be a caller's, and a header takes three for one


class LoopaiError(Exception):
    """Carries facts; its text and its hint live in the class.

    Raises KeyError when a fact named in `text` is missing.
    """

    code: ClassVar[str]
    text: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(_bounded(self.text.format_map(facts)))


class CallerError(LoopaiError):
    """The request is wrong."""


class ProgramError(LoopaiError):
    """The program is wrong."""


class PlatformError(LoopaiError):
    """We are wrong, or out of something."""


class InputMalformed(CallerError):
    code = "input_malformed"
    text = "the input is not valid JSON: {reason}"


class InputRefused(CallerError):
    code = "input_schema"
    text = "the input breaks the schema of task '{task}' at {field}: {reason}"


class TaskUnknown(CallerError):
    code = "task_unknown"
    text = "there is no task '{task}' here; this edge serves: {known}"


class TaskUnnamed(CallerError):
    code = "task_unnamed"
    text = "name a task; this edge serves: {known}, and no default_task is configured"


class CallerUnknown(CallerError):
    code = "unauthenticated"
    text = "this edge asks who calls: {reason}"


class CallerForbidden(CallerError):
    code = "permission_denied"
    text = "caller '{caller}' has no scope '{scope}' here"


class ExecutionIdMalformed(CallerError):
    code = "execution_id_malformed"
    text = "execution_id must be the UUID of an earlier answer"


class RequestMalformed(CallerError):
    code = "request_malformed"
    text = "{reason}"


class OutputRefused(ProgramError):
    code = "output_schema"
    text = "the output breaks the schema at {field}: {reason}"


class DeadlinePassed(PlatformError):
    code = "deadline_passed"
    text = "the caller's deadline passed before the program could run"


class RunLost(PlatformError):
    code = "run_lost"
    text = "the execution was lost with its worker: {reason}"
    retryable = True


class LogUnwritable(PlatformError):
    code = "log_unwritable"
    text = "the execution could not be logged: {reason}; free space or fix permissions at {path}"
    retryable = True


class LogUnreadable(PlatformError):
    """What a log has cannot be read."""


class KeyMissing(LogUnreadable):
    code = "key_missing"
    text = "the log is encrypted; {key} is needed to read it, see storage.encryption"


class SealedDamaged(LogUnreadable):
    code = "sealed_damaged"
    text = "an encrypted line of {source} cannot be opened: {reason}"


class ArchiveDamaged(LogUnreadable):
    code = "archive_damaged"
    text = "{path} is damaged at byte {position}: {reason}"


class BackupInvalid(PlatformError):
    code = "backup_invalid"
    text = "{path} is no backup that can be taken in: {reason}; nothing was changed"


class KeyInvalid(PlatformError):
    code = "key_invalid"
    text = "a key of storage.encryption must be 64 hex digits: openssl rand -hex 32 makes one"


class ArtifactInvalid(PlatformError):
    code = "artifact_invalid"
    text = "the artifact is not valid: {reason}"


class DigestMismatch(PlatformError):
    code = "digest_mismatch"
    text = "the artifact's digest is {actual}, not {expected}"


class SignatureInvalid(PlatformError):
    code = "signature_invalid"
    text = "the signature does not hold: {reason}"


class ConfigInvalid(PlatformError):
    code = "config_invalid"
    text = "{source}: {reason}"


def _bounded(text: str) -> str:
    """Return as much of it as is MAX_BYTES in UTF-8."""
    start = text[:MAX_BYTES].encode(errors="replace")[:MAX_BYTES].decode(errors="ignore")
    return start if len(start) == len(text) else f"{start}…"
