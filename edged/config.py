"""Assemble the settings from deployment.yaml, the environment and flags; only this file reads them.

Later sources win: defaults, file, `LOOPAI_SECTION__KEY`, flags. `${NAME}` in the file is expanded
after parsing; an unset name is an error. Relative paths in the file are relative to the file.
Runs in: `edged` commands. Never: shows a key in an error.
"""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from edged.activation import activated
from edged.deployment import Deployment
from edged.deployment.complaints import complaint, one_line
from edged.deployment.document import MAX_BYTES, DocumentInvalid, parse
from edged.errors import ConfigInvalid
from edged.sandbox.backend import missing_monty

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
PATHS = {
    ("storage", "data_dir"),
    ("listen", "tls", "certificate"),
    ("listen", "tls", "key"),
    ("listen", "tls", "client_ca"),
    ("access", "callers_file"),
    ("storage", "encryption", "key_file"),
    ("artifacts", "folder"),
    ("cloud", "ca"),
    ("cloud", "client_certificate"),
    ("cloud", "client_key"),
    ("validation", "*", "artifact"),
}
KEYS = {
    "cloud.api_key": ("${LOOPAI_API_KEY}", ", or use --api-key-file"),
    "storage.encryption.key": ("${LOOPAI_DATA_KEY}", ", or use storage.encryption.key_file"),
    "anthropic.api_key": ("${ANTHROPIC_API_KEY}", ""),
}


def load(file: Path | None, flags: Mapping[str, Any], api_key_file: Path | None) -> Deployment:
    """Assemble the settings.

    flags: nested like the file, only what was given on the command line.
    Raises ConfigInvalid with one line that names the source and the key.
    """
    from_file = _read(file) if file else {}

    class Layered(BaseSettings, Deployment):
        model_config = SettingsConfigDict(env_prefix="LOOPAI_", env_nested_delimiter="__")

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 the library's signature
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            lowest = InitSettingsSource(settings_cls, init_kwargs=from_file)
            return init_settings, env_settings, lowest

    try:
        layered = Layered(**_with_short_names(flags, api_key_file))
        values = layered.model_dump(exclude_unset=True)
        _read_data_keys(values)
        deployment = Deployment.model_validate(values)
    except (ValidationError, SettingsError) as error:
        raise ConfigInvalid(source=str(file or "settings"), reason=_first_line(error)) from error
    _check_is_installed(deployment, str(file or "settings"))
    return deployment


def activated_sockets() -> dict[str, socket.socket]:
    """Return what systemd handed over. Raises ConfigInvalid."""
    return activated(os.environ)


def find_data_dir(file: Path | None, data_dir: Path | None) -> Path:
    """Return the data_dir as `load` would, for commands that need nothing else of the settings.

    Raises ConfigInvalid. A variable that is not set matters only where the path itself names it.
    """
    given = os.environ.get("LOOPAI_STORAGE__DATA_DIR")
    if data_dir is not None or given:
        return data_dir or Path(str(given))
    storage = _document(file).get("storage") if file else None
    path = storage.get("data_dir") if isinstance(storage, dict) else None
    if file is None or not isinstance(path, str):
        return Deployment().storage.data_dir
    at = ("storage", "data_dir")
    return Path(_expanded(path, file, base=file.parent.resolve(), at=at))


def _check_is_installed(deployment: Deployment, source: str) -> None:
    """Raise ConfigInvalid when the settings ask for an optional part that is not there."""
    tasks = deployment.isolation.tasks_on_monty
    missing = missing_monty() if tasks else ""
    if missing:
        raise ConfigInvalid(source=source, reason=f"isolation.tasks.{tasks[0]}.backend: {missing}")


def _with_short_names(flags: Mapping[str, Any], api_key_file: Path | None) -> dict[str, Any]:
    """Add what has a name of its own: LOOPAI_API_KEY, LOOPAI_TASK_ID and --api-key-file."""
    values = {section: dict(keys) if isinstance(keys, Mapping) else keys
              for section, keys in flags.items()}  # fmt: skip
    key = os.environ.get("LOOPAI_API_KEY")
    if api_key_file is not None:
        key = _read_secret(api_key_file)
    if key:
        values.setdefault("cloud", {})["api_key"] = key
    task = os.environ.get("LOOPAI_TASK_ID")
    if task and "tasks" not in values:
        values["tasks"] = (task,)
    return values


def _read_data_keys(values: dict[str, Any]) -> None:
    """Replace storage.encryption.key_file by what it holds: children inherit the keys."""
    encryption = values.get("storage", {}).get("encryption", {})
    if encryption.get("key") is None and encryption.get("key_file") is not None:
        encryption["key"] = ",".join(_read_secret(encryption["key_file"]).split())


def _read_secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise ConfigInvalid(source=str(path), reason=reason) from error


def _read(path: Path) -> dict[str, Any]:
    document = _document(path)
    for name in KEYS:
        _check_key_is_reference(path, document, name)
    return cast("dict[str, Any]", _expanded(document, path, base=path.parent.resolve()))


def _document(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() and path.exists():
            raise ConfigInvalid(source=str(path), reason="is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigInvalid(source=str(path), reason=f"larger than {MAX_BYTES} bytes")
        return parse(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigInvalid(source=str(path), reason=str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(source=str(path), reason=f"is not UTF-8: {error.reason}") from error
    except DocumentInvalid as error:
        raise ConfigInvalid(source=str(path), reason=one_line(str(error))) from error


def _check_key_is_reference(path: Path, document: Mapping[str, Any], name: str) -> None:
    value: Any = document
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is not None and not REFERENCE.fullmatch(str(value)):
        variable, instead = KEYS[name]
        reason = f"{name}: write {variable}{instead}; never the key"
        raise ConfigInvalid(source=str(path), reason=reason)


def _expanded(value: Any, path: Path, *, base: Path, at: tuple[str, ...] = ()) -> Any:
    """Expand ${NAME} in every string, and make the known paths absolute."""
    if isinstance(value, dict):
        return {k: _expanded(v, path, base=base, at=(*at, str(k))) for k, v in value.items()}
    if isinstance(value, list):
        return [_expanded(item, path, base=base, at=at) for item in value]
    if not isinstance(value, str):
        return value
    text = REFERENCE.sub(lambda match: _environment(match[1], path, at), value)
    return str(base / text) if _is_path(at) else text


def _is_path(at: tuple[str, ...]) -> bool:
    return at in PATHS or (*at[:1], "*", *at[2:]) in PATHS


def _environment(name: str, path: Path, at: tuple[str, ...]) -> str:
    try:
        return os.environ[name]
    except KeyError:
        reason = f"{'.'.join(at)}: the environment has no {name}"
        raise ConfigInvalid(source=str(path), reason=reason) from None


def _first_line(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return one_line(str(error))
    return complaint(error, Deployment)
