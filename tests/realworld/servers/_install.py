"""Installing what the servers need, from Debian, npm and PyPI by name; done once, kept in a cache.

`AUTOPUBLISH_TEST_CACHE` names the cache, by default `~/.cache/autopublish-tests`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_POLICY = Path("/usr/sbin/policy-rc.d")


class Unavailable(Exception):
    """A server cannot be had on this machine; the text says why."""


def cache(name: str) -> Path:
    """A folder of that name exists in the cache."""
    root = os.environ.get("AUTOPUBLISH_TEST_CACHE") or Path("~/.cache/autopublish-tests").expanduser()
    folder = Path(root) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def command(*words: str | Path, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """The command ended well; its output is returned.

    Raises:
        Unavailable: it failed or does not exist.
    """
    try:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise Unavailable(f"{words[0]}: {error.strerror}") from error
    if done.returncode:
        raise Unavailable(f"{' '.join(map(str, words[:3]))} failed ({done.returncode}): {done.stdout[-1500:]}")
    return done.stdout


def install_debian(*packages: str) -> None:
    """The Debian packages are installed, and none of their services was started.

    Raises:
        Unavailable: they are missing and cannot be installed.
    """
    missing = [package for package in packages if not _is_installed(package)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Unavailable(f"only root can install {' '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        command("apt-get", "update", environment=environment)
        command("apt-get", "install", "-y", "--no-install-recommends", *missing, environment=environment)


def install_node() -> None:
    """Node, npm and what compiles native modules are there.

    Raises:
        Unavailable: they are missing and cannot be installed.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        install_debian("nodejs", "npm", "libnode-dev")
    if not all(shutil.which(tool) for tool in ("make", "g++", "python3")):
        install_debian("build-essential", "python3")


def install_npm(name: str, packages: Sequence[str], *, native: str) -> Path:
    """The folder that is returned holds the npm packages; `native` is the module's file that had to be compiled.

    Raises:
        Unavailable: npm or the compiler failed.
    """
    root = cache(f"npm-{name}")
    stamp, wanted = root / ".packages", "\n".join(packages)
    if stamp.exists() and stamp.read_text() == wanted and (root / native).exists():
        return root
    # Compiled against the headers beside the installed node: there is nowhere to download others from.
    environment = {"npm_config_nodedir": "/usr"} if Path("/usr/include/node/node.h").exists() else {}
    (root / "package.json").write_text('{"private": true, "type": "module"}\n')
    command("npm", "install", "--no-audit", "--no-fund", *packages, folder=root, environment=environment)
    if not (root / native).exists():  # npm from version 11 on leaves install scripts out
        module = root.joinpath(*Path(native).parts[:2])
        command("npm", "explore", module.name, "--", "npm", "run", "install", folder=root, environment=environment)
    if not (root / native).exists():
        raise Unavailable(f"{native} was not compiled")
    stamp.write_text(wanted)
    return root


def install_python(name: str, packages: Sequence[str]) -> Path:
    """The folder that is returned holds the commands of the Python packages, in an environment of their own.

    Raises:
        Unavailable: they cannot be installed.
    """
    root = cache(f"python-{name}")
    stamp, wanted = root / ".packages", "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        command(sys.executable, "-m", "venv", "--clear", root)
        command(root / "bin" / "pip", "install", "--quiet", *packages)
        stamp.write_text(wanted)
    return root / "bin"


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f=${db:Status-Status}", package]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
    except OSError as error:
        raise Unavailable("this is no Debian") from error


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Packages installed inside start no system service: the tests run their own on loopback."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
