"""Google Cloud Storage on loopback that takes uploads too: what `gcs.py` serves, and objects put as gcsfs puts them."""

import json
import re
import time
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers import gcs

UPLOAD = re.compile(r"^/upload/storage/v1/b/([^/]+)/o$")
PARTS = re.compile(rb"--==0==\n.*?\n\n(.*?)\n--==0==\n.*?\n\n(.*)\n--==0==--$", re.S)  # as gcsfs writes them


class Server(gcs.Server):
    """A server over a folder whose objects can be written."""

    def start(self) -> None:
        handler = type("Bound", (Handler,), {"server_of": self})
        self.listening = gcs.Listening(("127.0.0.1", self.port), handler)
        self.port = self.listening.server_address[1]
        gcs.threading.Thread(target=self.listening.serve_forever, args=(0.05,), daemon=True).start()

    def sent(self) -> list[str]:
        """Names of the objects that were uploaded whole, in order."""
        return [served.name for served in self.log if served.kind == "upload" and served.status == 200]


class Handler(gcs.Handler):
    def file(self, name, head=False):
        """Readers of shards ask for the last bytes, where the index lies."""
        suffix, path = re.match(r"bytes=-(\d+)$", self.headers.get("Range", "")), self.server_of.root / name
        if suffix and path.is_file():
            self.headers.replace_header("Range", f"bytes={max(path.stat().st_size - int(suffix[1]), 0)}-")
        return super().file(name, head)

    def do_POST(self):
        """A whole object in one request."""
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found, query = UPLOAD.match(address.path), parse_qs(address.query)
        time.sleep(self.server_of.latency)
        if not found or query["uploadType"] != ["multipart"]:
            return self.error(404, "not served here", address.path, "upload")
        metadata, content = PARTS.match(body).groups()
        bucket, name = unquote(found[1]), json.loads(metadata)["name"]
        if not (self.server_of.root / bucket).is_dir():
            return self.error(404, "The specified bucket does not exist.", f"{bucket}/{name}", "upload")
        if (fault := self.server_of.struck(name)) and fault.status:
            return self.error(fault.status, "injected", f"{bucket}/{name}", "upload")
        if fault and fault.short is not None:
            content = content[: int(len(content) * fault.short)]
        path = self.server_of.root / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.json(gcs.described(bucket, path, name), f"{bucket}/{name}", "upload")
