"""A web server that answers each request late: `python -m benchmarks.late PORT FOLDER SECONDS`."""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path


@functools.cache
def answer(root: Path, path: str) -> bytes:
    try:
        body = (root / path.lstrip("/")).read_bytes()
    except OSError:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    kind = {".mp4": "video/mp4", ".jpg": "image/jpeg"}.get(Path(path).suffix, "application/json")
    head = f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nETag: "{len(body):x}-{hash(path):x}"\r\n'
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def serve(port: int, root: Path, delay_s: float) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(delay_s)
                writer.write(answer(root, head.split(b" ", 2)[1].decode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, backlog=256)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
