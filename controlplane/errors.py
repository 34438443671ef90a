"""The error tree of the control plane, by whose fault it is.

LoopaiError (edged.errors)
├── CallerError                   the request is wrong; sending it again does not help
│   ├── Unauthenticated           no key, an unknown or a revoked one
│   ├── ScopeMissing              the key is not good for this
│   ├── KeyUnknown
│   ├── KeyExists
│   ├── LastKey                   nobody could make another one
│   ├── RequestInvalid            names the field
│   ├── RequestTooLarge
│   ├── TaskUnknown
│   ├── TaskExists
│   ├── ExamplesRefused           names every bad row
│   ├── ExamplesMissing           nothing to learn from
│   ├── GenerationUnknown
│   ├── VersionUnknown
│   ├── VersionRefused            cannot be activated
│   ├── ArtifactRefused           an upload that a gate turned down
│   ├── ImprovementUnknown
│   ├── RolloutUnknown
│   ├── RolloutRefused            cannot be started, or not be told this now
│   ├── TicketUnknown
│   ├── TicketClosed
│   ├── ExecutionUnknown          no edge sent this execution home
│   ├── QuestionUnknown           no edge asks about this execution
│   ├── QuestionAnswered
│   └── LinkMisused               an edge broke the protocol of its stream
│       ├── EdgeUnknown           not enrolled here
│       └── ConnectionReplaced    a newer connection has the same identity
└── PlatformError                 ours
    ├── ConfigInvalid
    ├── Stopping                  come again
    ├── HubFull                   too many follow events
    ├── FolderInUse               another server holds the data folder
    ├── BlobMissing
    └── BlobDamaged

Runs in: server and jobs. Never: knows a gRPC or HTTP status; the doors translate.
"""

from edged.errors import CallerError, PlatformError


class Unauthenticated(CallerError):
    code = "unauthenticated"
    text = "{reason}; send a valid one: 'Authorization: Bearer KEY'"


class ScopeMissing(CallerError):
    code = "scope_missing"
    text = "the API key '{key}' has the scope '{scope}'; this needs '{needed}'"


class KeyUnknown(CallerError):
    code = "key_unknown"
    text = "there is no valid API key '{key}'"


class KeyExists(CallerError):
    code = "key_exists"
    text = "there is already an API key '{key}'; revoke it or choose another name"


class LastKey(CallerError):
    code = "last_key"
    text = "'{key}' is the last key with the scope 'admin': make another one first"


class RequestInvalid(CallerError):
    code = "request_invalid"
    text = "{field}: {reason}"


class RequestTooLarge(CallerError):
    code = "request_too_large"
    text = "the body is larger than {limit_bytes} bytes"


class TaskUnknown(CallerError):
    code = "task_unknown"
    text = "there is no task '{task}'"


class TaskExists(CallerError):
    code = "task_exists"
    text = "there is already a task '{task}'"


class ExamplesRefused(CallerError):
    code = "examples_refused"
    text = "{count} of {rows} rows cannot be used, nothing was stored; first: {first}"


class ExamplesMissing(CallerError):
    code = "examples_missing"
    text = "task '{task}' has no examples yet: add some before asking for a program"


class GenerationUnknown(CallerError):
    code = "generation_unknown"
    text = "there is no generation '{generation}'"


class VersionUnknown(CallerError):
    code = "version_unknown"
    text = "task '{task}' has no version v{version}"


class VersionRefused(CallerError):
    code = "version_refused"
    text = "v{version} of task '{task}' cannot be activated: {reason}"


class ArtifactRefused(CallerError):
    code = "artifact_refused"
    text = "the program was refused at the {gate} gate: {reason}"


class ImprovementUnknown(CallerError):
    code = "improvement_unknown"
    text = "there is no improvement '{improvement}'"


class RolloutUnknown(CallerError):
    code = "rollout_unknown"
    text = "there is no rollout '{rollout}'"


class RolloutRefused(CallerError):
    code = "rollout_refused"
    text = "{reason}"


class TicketUnknown(CallerError):
    code = "ticket_unknown"
    text = "there is no ticket '{ticket}'"


class TicketClosed(CallerError):
    code = "ticket_closed"
    text = "ticket '{ticket}' is resolved already"


class ExecutionUnknown(CallerError):
    code = "execution_unknown"
    text = "no edge sent execution '{execution}' home, so there is nothing to label"


class QuestionUnknown(CallerError):
    code = "question_unknown"
    text = "no edge asks about execution '{execution}'"


class QuestionAnswered(CallerError):
    code = "question_answered"
    text = "the question about execution '{execution}' was answered by {by}"


class LinkMisused(CallerError):
    code = "link_misused"
    text = "{reason}"


class EdgeUnknown(LinkMisused):
    code = "edge_unknown"
    text = "deployment {deployment_id} is not enrolled here: call Enroll first"


class ConnectionReplaced(LinkMisused):
    code = "connection_replaced"
    text = "a newer connection of deployment {deployment_id} (instance {instance_id}) took over"


class ConfigInvalid(PlatformError):
    code = "config_invalid"
    text = "{setting}: {reason}"


class Stopping(PlatformError):
    code = "stopping"
    text = "this control plane is stopping; connect again"
    retryable = True


class HubFull(PlatformError):
    code = "hub_full"
    text = "{limit} clients follow events already; connect again later"
    retryable = True


class FolderInUse(PlatformError):
    code = "folder_in_use"
    text = "another control plane is running on {folder}"


class BlobMissing(PlatformError):
    code = "blob_missing"
    text = "the stored artifact {digest} is missing"


class BlobDamaged(PlatformError):
    code = "blob_damaged"
    text = "the stored artifact {expected} is damaged: it now reads as {actual}"
