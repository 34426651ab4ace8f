"""Secrets by reference: `env:NAME`, `file:PATH`, `credential:NAME`.

A reference is checked when the file is loaded and followed when the account is used. No text of this module holds the
value of a secret.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, SecretStr

from autopublish.config._report import Path as KeyPath
from autopublish.config._report import Report, key_of, models_in
from autopublish.config._yaml import Node
from autopublish.errors import SecretError
from autopublish.redaction import redact

#: Stands in for what must not reach pydantic, whose errors could quote it.
PLACEHOLDER = "env:REFERENCE"

_KINDS = {
    "env": (r"[A-Za-z_][A-Za-z0-9_]*", "env: is followed by the name of an environment variable, as in env:X_TOKEN"),
    "file": (r"[^\0]*[^\0\s][^\0]*", "file: is followed by a path, as in file:/run/secrets/x_token"),
    "credential": (
        r"(?!\.\.?$)[A-Za-z0-9_.@:-]+",
        "credential: is followed by the name of a credential of the service manager, as in credential:x_token",
    ),
}
#: A whole reference, for the editors that know no more than patterns.
REFERENCE = "|".join(f"{kind}:{pattern}" for kind, (pattern, _) in _KINDS.items())
_LITERAL = (
    "expected a reference, never the secret itself: env:NAME, file:PATH or credential:NAME; "
    "if the file was ever shared, ask the network for a new secret"
)
#: Where the service manager or the container runtime guards the files itself.
_GUARDED = (Path("/run/secrets"), Path("/run/credentials"))
#: Far more than a key or a certificate takes.
_MOST_BYTES = 65_536
#: What guides and example files write in place of a secret.
_SAMPLE = re.compile(
    r"""change[-_ ]?(me|it|this)!* | replace[-_ ]?(me|this)? | example | sample | dummy | placeholder | todo | tbd
    | fixme | secret | token | password | passwd | none | null | <[^<>]*> | \{\{.*\}\} | \$\{\w+\} | \u2026
    | [x*0.\#\ _-]+
    | (your|my|the|insert|enter|put|paste)[-_ ]([\w-]+[-_ ])?(secret|token|password|key|here)([-_ ].*)?""",
    re.IGNORECASE | re.VERBOSE,
)


# --- in the file -----------------------------------------------------------------------------------------------------


def check_secrets(settings: type[BaseModel], node: Node, path: KeyPath, report: Report, *, base: Path) -> Node:
    """`node` with a placeholder for each secret that is no reference, which is a problem of the report."""
    if not isinstance(node.value, Mapping):
        return node
    entries = dict(node.entries)
    for name, field in settings.model_fields.items():
        key = field.alias or name
        if key in entries:
            entries[key] = _check_field(field.annotation, entries[key], (*path, key), report, base)
    return node.with_value(entries)


def _check_field(annotation: object, node: Node, path: KeyPath, report: Report, base: Path) -> Node:
    """The value of one key, of a secret, a collection of secrets, or a mapping with secrets in it."""
    if is_secret(annotation):
        return _check_leaves(node, path, report, base)
    if isinstance(node.value, tuple):
        return node.with_value(tuple(_check_field(annotation, child, path, report, base) for child in node.value))
    for model in models_in(annotation):
        node = check_secrets(model, node, path, report, base=base)
    return node


def is_secret(annotation: object) -> bool:
    """Whether SecretStr stands in the annotation itself, not only in a model that it names."""
    return annotation is SecretStr or any(is_secret(part) for part in get_args(annotation))


def _check_leaves(node: Node, path: KeyPath, report: Report, base: Path) -> Node:
    """Every text in `node`, checked."""
    if isinstance(node.value, Mapping):
        return node.with_value({k: _check_leaves(n, (*path, k), report, base) for k, n in node.value.items()})
    if isinstance(node.value, tuple):
        return node.with_value(tuple(_check_leaves(child, path, report, base) for child in node.value))
    if node.value is None:
        return node
    if problem := _misread(node.value):
        report.add(node.place, path, problem)
        return node.with_value(PLACEHOLDER)
    if warning := _exposed(node.value, base):
        report.warn(node.place, path, warning)
    return node


def _misread(text: str) -> str | None:
    """Why `text` is no reference, without showing it; None if it is one."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS:
        return _LITERAL
    pattern, expected = _KINDS[kind]
    return None if re.fullmatch(pattern, rest) else expected


def _exposed(reference: str, base: Path) -> str | None:
    """Who else can read the file of a reference, in words; None if nobody, or if it is guarded elsewhere."""
    kind, _, rest = reference.partition(":")
    if kind != "file":
        return None
    try:
        path = (base / rest).resolve()
        mode = path.stat().st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode) or not mode & (stat.S_IRGRP | stat.S_IROTH) or _is_guarded(path):
        return None
    who = "everyone on this machine" if mode & stat.S_IROTH else "its group"
    return f"{who} can read {path}; run: chmod 600 {path}"


def _is_guarded(path: Path) -> bool:
    """Whether the folder's rights protect the file, whatever its own say."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    folders = (*_GUARDED, Path(given)) if given else _GUARDED
    return any(path.is_relative_to(folder.resolve()) for folder in folders)


# --- at the time of use ----------------------------------------------------------------------------------------------


def resolve(settings: BaseModel, place: KeyPath, *, base: Path) -> tuple[BaseModel, bytes]:
    """The settings that stand at `place` with their secrets' values, and bytes that change when the credentials do.

    The bytes hold the secrets and what else the file says of this login, so that a corrected user name counts as well;
    only a digest of them may be kept. As long as the settings live, what is logged, printed or kept is searched for the
    values.

    Raises:
        SecretError: a secret is missing, empty or a sample; names the reference and the remedy.
    """

    found: list[str] = []

    def resolved_one(value: object, path: KeyPath) -> object:
        if not isinstance(value, SecretStr):
            return value
        found.append(follow(value, (*place, *path), base))
        return SecretStr(found[-1])

    resolved = transform(settings, resolved_one)
    assert isinstance(resolved, BaseModel)
    said = transform(resolved, lambda value, _: reveal(value))
    assert isinstance(said, BaseModel)
    redact.know(resolved, found)
    written = said.model_dump(include=settings.model_fields_set, warnings=False)
    return resolved, json.dumps(written, sort_keys=True, default=str).encode()


def fill(settings: BaseModel, values: Mapping[str, str]) -> BaseModel:
    """The settings with these values in the place of secrets that they lack.

    As long as the settings live, what is logged, printed or kept is searched for the values.
    """
    fields = type(settings).model_fields
    lacking = {
        name: SecretStr(value)
        for name, value in values.items()
        if name in fields and is_secret(fields[name].annotation) and getattr(settings, name) is None
    }
    filled = settings.model_copy(update=lacking)
    # The secrets of the file are known to go with the settings that they were resolved into.
    secrets = (getattr(filled, name) for name, field in fields.items() if is_secret(field.annotation))
    redact.know(filled, [one.get_secret_value() for one in secrets if isinstance(one, SecretStr)])
    return filled


def reveal(value: object) -> object:
    """The value, or what a secret holds: in the file's own settings a reference, never the secret itself."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def transform(value: object, change: Callable[[object, KeyPath], object], path: KeyPath = ()) -> object:
    """The value with `change` made to everything in it that is no model, mapping or list; unchanged parts are kept."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: transform(part, change, (*path, name)) for name, part in fields.items()}
        update = {name: part for name, part in changed.items() if part is not fields[name]}
        return value.model_copy(update=update) if update else value
    if isinstance(value, Mapping):
        return {key: transform(part, change, (*path, key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(transform(part, change, path) for part in value)
    return change(value, path)


def follow(secret: SecretStr, path: KeyPath, base: Path) -> str:
    """The value that a reference leads to; `path` says where it stands.

    Raises:
        SecretError: it is missing, empty or a sample.
    """
    reference = secret.get_secret_value()
    name = key_of(path)
    if _misread(reference):
        raise SecretError(f"{name}: {_LITERAL}")
    kind, _, rest = reference.partition(":")
    value = _READERS[kind](rest, f"{name}: {reference}", base)
    if not value.strip():
        raise SecretError(f"{name}: {reference} is empty; put the secret there")
    if _SAMPLE.fullmatch(value.strip()) or value.strip() in {reference, rest}:
        raise SecretError(f"{name}: {reference} is still a sample; put the real secret there")
    return value


def _from_environment(variable: str, name: str, _base: Path) -> str:
    value = os.environ.get(variable)
    if value is None:
        raise SecretError(f"{name} is not set; set this environment variable for the service or the shell")
    return value


def _from_credential(credential: str, name: str, _base: Path) -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SecretError(f"{name}: there are no credentials; add LoadCredential={credential}:PATH to the service unit")
    return _read(Path(folder) / credential, name)


def _from_file(path: str, name: str, base: Path) -> str:
    return _read(base / path, name)


def _read(path: Path, name: str) -> str:
    """The text of a small file without the newline at its end."""
    try:
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SecretError(f"{name}: {path} is not a file")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SecretError(f"{name}: cannot read {path}: {error.strerror}; create it or correct its rights") from error
    if len(content) > _MOST_BYTES:
        raise SecretError(f"{name}: {path} is larger than {_MOST_BYTES} bytes; that is no secret")
    try:
        return content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        # Not chained: the error holds the bytes.
        raise SecretError(f"{name}: {path} is not a text in UTF-8") from None


_READERS: Mapping[str, Callable[[str, str, Path], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "credential": _from_credential,
}
