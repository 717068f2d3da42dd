"""Google Cloud Storage on loopback, over a folder of buckets: its JSON API, read-only, as gcsfs speaks it.

    with Server("folder-of-buckets") as server:
        server.fault(r"2m_temperature/3\\.", status=503, times=2)
        gcsfs.GCSFileSystem(token="anon", endpoint_url=server.url).cat_file("weatherbench2/a.zarr/.zmetadata")

Any other path is a file of the folder, as a web server has it: with HEAD, Range and ETag. Everything that was served
is in `server.log`. `python -m tests.servers.gcs FOLDER --port 8000 --log FILE --faults '[{"pattern": …}]'` is a server
in a process of its own, whose log is a file with a line of JSON a request.
"""

import argparse
import hashlib
import json
import re
import socket
import threading
import time
from base64 import b64encode
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

API = re.compile(r"^(?:/download)?/storage/v1/b/([^/]+)(/o(?:/(.*))?)?$")
BLOCK = 1 << 16  # bytes that are sent at once where there is a rate


@dataclass
class Fault:
    """What goes wrong with requests for objects whose names match."""

    pattern: str
    times: int = 1  # how many requests it hits; -1: all
    status: int | None = None  # this status instead of the object
    truncate: float | None = None  # only this share of the body, then the connection closes: Content-Length was a lie
    short: float | None = None  # only this share of the body, said to be all
    corrupt: bool = False  # every bit flipped
    stall: float = 0.0  # seconds of silence in the middle of the body
    reset: bool = False  # the connection closes without an answer


@dataclass
class Served:
    """A request: what for, and what came of it."""

    name: str
    kind: str  # "media", "metadata", "list", "head"
    status: int
    bytes: int
    whole: bool  # the body that was sent is the one asked for


class Server:
    """A server over a folder; `with` starts and stops it, as do `start` and `stop`, on the same port each time.

    Args:
        root: its folders are the buckets.
        port: 0: any.
        private: buckets that strangers may not read.
        rate: bytes a second, of all connections together; 0: as fast as it can.
        latency: seconds before an answer.
        ranges: whether it takes Range requests.
        journal: a file that gets a line a request.
    """

    def __init__(
        self,
        root: Path,
        port: int = 0,
        private: tuple[str, ...] = (),
        rate: float = 0.0,
        latency: float = 0.0,
        ranges: bool = True,
        journal: Path | None = None,
    ):
        self.root, self.port, self.private = Path(root).resolve(), port, private
        self.rate, self.latency, self.ranges, self.journal = rate, latency, ranges, journal
        self.log, self.faults = [], []
        self.lock, self.free_at, self.open = threading.Lock(), 0.0, set()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        handler = type("Bound", (Handler,), {"server_of": self})
        self.listening = Listening(("127.0.0.1", self.port), handler)
        self.port = self.listening.server_address[1]
        threading.Thread(target=self.listening.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Die: nobody listens, and every connection is cut."""
        self.listening.shutdown()
        self.listening.server_close()
        with self.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def fault(self, pattern: str, **what: object) -> Fault:
        self.faults.append(Fault(pattern, **what))
        return self.faults[-1]

    def struck(self, name: str) -> Fault | None:
        """The fault that hits a request."""
        with self.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, name):
                    fault.times -= 1
                    return fault
        return None

    def note(self, served: Served) -> None:
        with self.lock:
            self.log.append(served)

    def record(self, served: Served) -> None:
        """Write what was served to the journal."""
        if self.journal:
            with self.lock, self.journal.open("a") as file:
                file.write(json.dumps(asdict(served)) + "\n")

    def wait(self, count: int) -> None:
        """Take the time that sending so many bytes takes."""
        if not self.rate:
            return
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + count / self.rate
            until = self.free_at
        time.sleep(max(until - time.monotonic(), 0.0))

    def asked(self, pattern: str = "", whole: bool | None = None) -> Counter:
        """How often each object's content was asked for."""
        chosen = [s for s in self.log if s.kind == "media" and re.search(pattern, s.name)]
        return Counter(s.name for s in chosen if whole is None or s.whole == whole)


class Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Server

    def setup(self):
        super().setup()
        with self.server_of.lock:
            self.server_of.open.add(self.connection)

    def finish(self):
        with self.server_of.lock:
            self.server_of.open.discard(self.connection)
        super().finish()

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET(head=True)

    def do_GET(self, head=False):
        address = urlsplit(self.path)
        found, query = API.match(address.path), {k: v[0] for k, v in parse_qs(address.query).items()}
        time.sleep(self.server_of.latency)
        if not found:
            return self.file(unquote(address.path.lstrip("/")), head)
        bucket, listing, name = unquote(found[1]), found[2] == "/o", unquote(found[3] or "")
        if bucket in self.server_of.private:
            return self.refuse(bucket, name)
        if not (self.server_of.root / bucket).is_dir():
            return self.error(404, "The specified bucket does not exist.", f"{bucket}/{name}")
        if listing:
            return self.list(bucket, query)
        if not name:
            return self.json({"kind": "storage#bucket", "name": bucket}, bucket, "metadata")
        if query.get("alt") == "media":
            return self.file(f"{bucket}/{name}", head)
        path = self.server_of.root / bucket / name
        if not path.is_file():
            return self.error(404, f"No such object: {bucket}/{name}", f"{bucket}/{name}", "metadata")
        return self.json(described(bucket, path, name), f"{bucket}/{name}", "metadata")

    def refuse(self, bucket, name):
        known = "Authorization" in self.headers
        text = "Invalid Credentials" if known else "Anonymous caller does not have storage.objects.get access"
        self.error(401, f"{text} (or it may not exist).", f"{bucket}/{name}")

    def list(self, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items, prefixes, base = [], set(), self.server_of.root / bucket
        for path in sorted(p for p in base.rglob("*") if p.is_file()):
            name = path.relative_to(base).as_posix()
            rest = name.removeprefix(prefix)
            if name.startswith(prefix) and delimiter and delimiter in rest:
                prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
            elif name.startswith(prefix):
                items.append(described(bucket, path, name))
        self.json({"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}, bucket, "list")

    def file(self, name, head=False):
        """Send a file, or some of it, or what a fault makes of it."""
        path, fault = self.server_of.root / name, None if head else self.server_of.struck(name)
        if fault and fault.reset:
            self.close_connection = True
            served = Served(name, "media", 0, 0, False)
            self.server_of.note(served)
            self.server_of.record(served)
            return self.connection.shutdown(socket.SHUT_RDWR)
        if fault and fault.status:
            return self.error(fault.status, "injected", name)
        if not path.is_file():
            return self.error(404, f"No such object: {name}", name, "head" if head else "media")
        body, status, more = path.read_bytes(), 200, {"ETag": f'"{etag(path, path.stat().st_mtime_ns)}"'}
        if self.server_of.ranges:
            more["Accept-Ranges"] = "bytes"
            if bounds := re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", "")):
                first, last = int(bounds[1]), min(int(bounds[2] or len(body)), len(body) - 1)
                more["Content-Range"], status = f"bytes {first}-{last}/{len(body)}", 206
                body = body[first : last + 1]
        self.send(name, "head" if head else "media", status, body, more, fault)

    def error(self, status, text, name, kind="media"):
        body = json.dumps({"error": {"code": status, "message": text}}).encode()
        self.send(name, kind, status, body, {"Content-Type": "application/json"}, whole=False)

    def json(self, found, name, kind):
        self.send(name, kind, 200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def send(self, name, kind, status, body, more, fault=None, whole=True):
        if fault and fault.corrupt:
            body = bytes(byte ^ 0xFF for byte in body)
        if fault and fault.short is not None:
            body = body[: int(len(body) * fault.short)]
        whole = whole and not (fault and (fault.corrupt or fault.short is not None))
        served = Served(name, kind, status, 0, whole and not body)
        self.server_of.note(served)  # before the answer, after which a client may ask for the log
        try:
            self.send_response(status)
            for key, value in {"Content-Length": len(body), **more}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if kind != "head":
                self.stream(body, fault, served, whole)
        except OSError:
            self.close_connection, served.bytes, served.whole = True, 0, False
        self.server_of.record(served)

    def stream(self, body, fault, served, whole):
        """Send a body, and note how many bytes of it go out, before they do."""
        view, sent = memoryview(body), 0
        stop = int(len(body) * fault.truncate) if fault and fault.truncate is not None else len(body)
        middle = len(body) // 2 if fault and fault.stall else -1
        block = BLOCK if self.server_of.rate or middle >= 0 else max(len(body), 1)
        while sent < stop:
            if sent <= middle < sent + block:
                time.sleep(fault.stall)
            piece = view[sent : min(sent + block, stop)]
            self.server_of.wait(len(piece))
            sent += len(piece)
            served.bytes, served.whole = sent, whole and sent == len(body)
            self.wfile.write(piece)
        if stop < len(body):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


def described(bucket, path, name):
    """What the JSON API tells of an object."""
    status = path.stat()
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "size": str(status.st_size),
        "generation": str(status.st_mtime_ns),
        "contentType": "application/octet-stream",
        "updated": "2024-01-01T00:00:00.000Z",
        "timeCreated": "2024-01-01T00:00:00.000Z",
        "etag": etag(path, status.st_mtime_ns),
        "md5Hash": b64encode(bytes.fromhex(etag(path, status.st_mtime_ns))).decode(),
    }


@lru_cache(4096)
def etag(path, changed):
    return hashlib.md5(path.read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="gets a line of JSON a request")
    parser.add_argument("--faults", type=json.loads, default=[])
    parser.add_argument("--rate", type=float, default=0.0, help="bytes a second; 0: as fast as it can")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    chosen = parser.parse_args()
    server = Server(chosen.root, chosen.port, (), chosen.rate, chosen.latency, journal=chosen.log)
    for fault in chosen.faults:
        server.fault(**fault)
    print(server.url, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
