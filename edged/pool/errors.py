"""What a pool can refuse, and why.

PoolError
├── PoolFull          as many calls wait as may; try again
│   └── CallsCapped   as many calls of this program wait and run as may
├── Quarantined       this version ended its workers too often; another one should be asked
├── UnknownProgram    never loaded here, or unloaded
├── LoadFailed        the platform could not give the program a worker; the program is not to blame
├── BackendMissing    the program asks for an interpreter that this pool was started without
├── IsolationTooWeak  this machine lacks a barrier that is required
└── PoolStopped       not running, or stopping

A program that is to blame for not loading raises `edged.sandbox.refusals.ProgramRefused` instead.

Runs in: the process that owns the pool.
"""

from edged.errors import PlatformError


class PoolError(PlatformError):
    """The pool cannot do its part."""


class PoolFull(PoolError):
    code = "pool_full"
    text = "{queued} calls of this program wait already; try again in {retry_after_ms} ms"
    retryable = True


class CallsCapped(PoolFull):
    text = "as many calls of this program run and wait as may; try again in {retry_after_ms} ms"


class Quarantined(PoolError):
    code = "version_quarantined"
    text = "this version is quarantined: {reason}"


class UnknownProgram(PoolError):
    code = "program_unknown"
    text = "program {key} is not loaded here"


class LoadFailed(PoolError):
    code = "load_failed"
    text = "program {key} could not be loaded: {reason}"
    retryable = True


class BackendMissing(PoolError):
    code = "backend_missing"
    text = "this pool was started without backend {backend}, which the program asks for"


class IsolationTooWeak(PoolError):
    code = "isolation_too_weak"
    text = (
        "this machine does not provide {missing}, which isolation.require names; "
        "run where it is available, or require less and accept the risk"
    )


class PoolStopped(PoolError):
    code = "pool_stopped"
    text = "the pool is not running: {reason}"
    retryable = True
