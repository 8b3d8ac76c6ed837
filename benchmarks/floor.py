"""The floor: plain sockets, `recv_into`, SHA-256, write; nothing that an archive needs besides.

`python benchmarks/floor.py URLS OUT [CA]`: four threads, one connection each, kept alive.
"""

import hashlib
import os
import socket
import ssl
import sys
import threading
from urllib.parse import urlsplit

THREADS = 4
READ = 256 << 10


def main() -> None:
    with open(sys.argv[1]) as file:  # noqa: PTH123  (imports only what the floor needs)
        urls = [line.strip() for line in file]
    out = sys.argv[2]
    tls = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else None
    names = iter(enumerate(urls))
    threads = [threading.Thread(target=work, args=(names, out, tls)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work(names, out, tls) -> None:
    buffer = memoryview(bytearray(READ))
    sock = None
    while True:
        try:
            number, url = next(names)
        except StopIteration:
            return
        parts = urlsplit(url)
        if sock is None:
            sock = socket.create_connection((parts.hostname, parts.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                sock = tls.wrap_socket(sock, server_hostname=parts.hostname)
        sock.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        fetch(sock, buffer, f"{out}/{number}")


def fetch(sock, buffer, path) -> None:
    got = sock.recv_into(buffer)
    while (end := bytes(buffer[:got]).find(b"\r\n\r\n")) < 0:
        got += sock.recv_into(buffer[got:])
    head = bytes(buffer[:end]).lower()
    if not head.startswith(b"http/1.1 200"):
        raise SystemExit(f"the floor got {head[:40]!r}")
    left = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    digest = hashlib.sha256()
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    part = buffer[end + 4 : got]
    while True:
        digest.update(part)
        os.write(file, part)
        left -= len(part)
        if left <= 0:
            break
        part = buffer[: sock.recv_into(buffer)]
    os.close(file)
    digest.hexdigest()


main()
