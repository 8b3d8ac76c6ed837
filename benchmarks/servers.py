"""The servers that all clients meet: nginx on loopback, and one that answers late."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from benchmarks.measure import program

_NGINX = """\
daemon off;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    default_type application/json;
    types {{ video/mp4 mp4; image/jpeg jpg; }}
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {home}/server.pem;
        ssl_certificate_key {home}/server.key;
        root {root};
        location / {{ autoindex on; }}
    }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running nginx.

    Attributes:
        bases: Its two base URLs by scheme.
        ca: The file with the certificate to trust.
    """

    bases: dict[str, str]
    ca: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def nginx(home: Path, root: Path) -> Iterator[Server]:
    """Serve a folder over http and https."""
    if home.exists():
        shutil.rmtree(home)
    home.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(home / "server.key"))
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(str(home / "server.pem"), append=True)
    ports = {"http": free_port(), "https": free_port()}
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, root=root, **ports))
    words = [program("nginx"), "-c", str(config), "-p", str(home), "-e", str(home / "error.log")]
    # Its workers run as nobody: every folder above the data must be open to it.
    for folder in (home, home.parent):
        folder.chmod(0o755)
    with _running(words, ports["http"]):
        bases = {scheme: f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()}
        yield Server(bases=bases, ca=home / "ca.pem")


@contextlib.contextmanager
def late(root: Path, *, port: int, delay_s: float) -> Iterator[None]:
    """Serve a folder, each answer so much later."""
    words = [sys.executable, "-m", "benchmarks.late", str(port), str(root), str(delay_s)]
    with _running(words, port):
        yield


@contextlib.contextmanager
def _running(words: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(words)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise SystemExit(f"{words[0]} did not start")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)
