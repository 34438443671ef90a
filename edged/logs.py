"""Set up structured logging to standard error: for people on a terminal, JSON lines elsewhere.

Runs in: every process of `edged`, once, at its start. Never: logs an input, an output or a key.
"""

import logging
import sys

import structlog


def configure(process: str, *, least: int = logging.INFO) -> None:
    """Make `structlog.get_logger()` write events with time, level and the process's name.

    least: the level below which nothing is written; a command that talks to a person raises it.
    """
    is_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line is one write
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
