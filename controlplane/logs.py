"""Set up the log: events with fields on standard error, for people on a terminal, else JSON.

Runs in: server and jobs. Never: is imported by whoever logs; they take structlog's own logger.
"""

import logging
import sys

import structlog

QUIETED = ("dbos", "alembic", "uvicorn.error", "grpc", "asyncio")


def set_up(*, process: str) -> None:
    """Send this process's events to standard error, each with its process's name."""
    is_terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not is_terminal:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line is one write
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    _quiet_libraries(shared, renderer)


def _quiet_libraries(
    shared: list[structlog.types.Processor], renderer: structlog.types.Processor
) -> None:
    """Libraries' warnings take the same form; their chatter is left out."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    for name in QUIETED:
        logging.getLogger(name).setLevel(logging.WARNING)
    # DBOS brings a handler of its own, in a form of its own, unless there is one.
    logging.getLogger("dbos").handlers = [handler]
