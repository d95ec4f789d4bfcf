"""Stands between clients and the server: passes every byte on as it came, and keeps what passed.

It knows TCP only while clients run; what passed is read as HTTP afterwards, so that nothing here can change
what client and server say to each other.
"""

import gzip
import socket
import threading
import zlib
from dataclasses import dataclass, field

import brotli

CONNECTIONS_MAX = 256
RECORDED_BYTES_MAX = 32 << 20
IDLE_SECS_MAX = 120


@dataclass
class Exchange:
    """A request with its answer's status; the body is decoded."""

    method: str
    target: str
    headers: dict
    body: bytes
    status: int | None


@dataclass
class _Connection:
    sent: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


class Recorder:
    def __init__(self, upstream):
        self._upstream = upstream
        self._connections = []
        self._lock = threading.Lock()
        self._recorded_bytes = 0
        # What kept the recording from being whole.
        self.faults = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def exchanges(self):
        """Everything that passed so far, in the order of connections."""
        with self._lock:
            passed = [(bytes(c.sent), bytes(c.answered)) for c in self._connections]
        exchanges = []
        for sent, answered in passed:
            requests = list(_messages(sent))
            statuses = [
                int(start.split()[1])
                for start, _, _ in _messages(answered)
                if not start.split()[1].startswith("1")
            ]
            statuses += [None] * (len(requests) - len(statuses))
            for (start, headers, body), status in zip(requests, statuses):
                method, target, _ = start.split(" ")
                decoded = _decode(headers.get("content-encoding", ""), body)
                exchanges.append(Exchange(method, target, headers, decoded, status))
        return exchanges

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if len(self._connections) == CONNECTIONS_MAX:
                    self.faults.append(f"more than {CONNECTIONS_MAX} connections")
                    client.close()
                    continue
                connection = _Connection()
                self._connections.append(connection)
            try:
                server = socket.create_connection(self._upstream, timeout=10)
            except OSError as error:
                self.faults.append(f"the server takes no connection: {error}")
                client.close()
                continue
            for one in (client, server):
                one.settimeout(IDLE_SECS_MAX)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, kept in (
                (client, server, connection.sent),
                (server, client, connection.answered),
            ):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, kept), daemon=True
                ).start()

    def _pass_on(self, source, sink, kept):
        try:
            while chunk := source.recv(65536):
                with self._lock:
                    self._recorded_bytes += len(chunk)
                    if self._recorded_bytes > RECORDED_BYTES_MAX:
                        self.faults.append(f"more than {RECORDED_BYTES_MAX} bytes")
                        break
                    kept += chunk
                sink.sendall(chunk)
        except OSError:
            # A client that ended, or one that was idle for too long.
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def _messages(stream):
    """The HTTP messages of one direction: first line, headers in lower case, body without its chunks."""
    while stream:
        head, end, rest = stream.partition(b"\r\n\r\n")
        if not end:
            raise ValueError(f"a head without an end: {head[:80]!r}")
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body, stream = _unchunk(rest)
        else:
            length = int(headers.get("content-length", 0))
            body, stream = rest[:length], rest[length:]
            if len(body) < length:
                raise ValueError(f"{len(body)} of {length} bytes after {start!r}")
        yield start, headers, body


def _unchunk(rest):
    body = b""
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end:
            raise ValueError("chunks without an end")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            # No client sends trailers.
            return body, rest.removeprefix(b"\r\n")
        body, rest = body + rest[:length], rest[length + 2 :]


def _decode(encoding, body):
    match encoding:
        case "":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "br":
            return brotli.decompress(body)
    raise ValueError(f"a content encoding of {encoding!r}")
