"""Download compared with a plain copy: speed, bytes, and the faults that it survives.

    python benchmarks/download.py --json results/download.json

A server with Google Cloud Storage's API runs in another process, over a store with WeatherBench 2's layout at 64 x 32.
The plain copy is gcsfs alone: the same chunks and number of connections, to disk, by the faster of its two methods
(`get`, and gathered `_cat_file`). Both take turns, and medians are compared.

- `speed_ratio_to_copy`: the whole step, metadata to marker, at the speed of a line (`--line`, 400 Mbit/s, 20 ms).
- `gather_ratio_to_copy`: the comparable part, until every chunk is on disk. By then the step has read the metadata,
  decoded every chunk to check it, and cut out levels. The rest (writing the part, reading it again for its marker) is
  processor work, whose share depends on the speed of the line.
- `loopback_…`: both from a server without a speed limit, where copying, decoding and the server share the cores.
- `bytes_ratio_to_copy`: bytes that the server sent to the step, metadata included, divided by those sent to the copy.
- `faults_survived` of `faults_tried`: the step in a new process, disturbed, and run again if it gave up or was killed.
  It survived if the part has the bytes of an undisturbed one and the server sent no chunk twice that had arrived
  complete, except those under way when a client was killed.

`--quick` takes a small store and few repeats.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hindsight.download.bucket import bucket, mirror  # noqa: E402
from hindsight.settings import Download  # noqa: E402
from tests.servers import stores  # noqa: E402

STORE = "weatherbench2/datasets/era5/1959-64x32.zarr"
CHANNELS = ["z500", "t850", "t2m", "msl"]
OF_BOTH = ("speed_ratio_to_copy", "gather_ratio_to_copy", "mb_per_second", "copy_mb_per_second")
CONNECTIONS = 16
LATENCY = 0.02  # seconds, of the line
FAULTS = {
    "503 burst": [{"pattern": "/[0-9]", "status": 503, "times": 12}],
    "429 burst": [{"pattern": "/[0-9]", "status": 429, "times": 12}],
    "truncated bodies": [{"pattern": "/[0-9]", "truncate": 0.5, "times": 5}],
    "short bodies": [{"pattern": "temperature/", "short": 0.5, "times": 4}],
    "garbage": [{"pattern": "/[0-9]+[.]0", "corrupt": True, "times": 5}],
    "stalls": [{"pattern": "geopotential/", "stall": 20.0, "times": 2}],
    "resets": [{"pattern": "/[0-9]", "reset": True, "times": 8}],
    "503 on metadata": [{"pattern": "zmetadata", "status": 503, "times": 3}],
    "403 in the middle": [{"pattern": "geopotential/1", "status": 403, "times": 1}],
}


class Server:
    """The server, in another process."""

    def __init__(self, root: Path, faults: Sequence[dict] = (), port: int = 0, **pace: float) -> None:
        self.root, self.journal = root, root / f"log-{time.monotonic_ns()}"
        words = [str(root), "--port", str(port), "--log", str(self.journal), "--faults", json.dumps(list(faults))]
        words += [word for key, value in pace.items() for word in (f"--{key}", str(value))]
        command = [sys.executable, "-m", "tests.servers.gcs", *words]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> list[dict]:
        """What has been served."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--line", type=float, default=50.0, help="MB/s of the line")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a minute or two: a check that it runs")
    chosen = parser.parse_args()
    frames, repeats = (600, 3) if chosen.quick else (chosen.frames, chosen.repeats)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        stores.weatherbench2(root / "speed" / STORE, frames)
        stores.weatherbench2(root / "faults" / STORE, 500, size=(32, 16), levels=(500, 700, 850))
        line = compared(root / "speed", frames, repeats, rate=chosen.line * 1e6, latency=LATENCY)
        loopback = compared(root / "speed", frames, repeats)
        survived = {name: survives(root / "faults", faults) for name, faults in FAULTS.items()}
        survived |= {f"killed {kills} times": killed(root / "faults", kills) for kills in (1, 3)}
        survived["server dies and comes back"] = server_dies(root / "faults")
        survived["chunk not there"] = chunk_not_there(root / "faults")
    found = {
        **line,
        "bytes_ratio_to_copy": max(line["bytes_ratio_to_copy"], loopback["bytes_ratio_to_copy"]),
        **{f"loopback_{key}": value for key, value in loopback.items() if key in OF_BOTH},
        "faults_survived": sum(survived.values()),
        "faults_tried": len(survived),
        "faults": survived,
        "line_mb_per_second": chosen.line,
        "connections": CONNECTIONS,
        "device": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    print(json.dumps(found, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1))


def settings(url: str, **limits: object) -> Download:
    given = {"url": f"gs://{STORE}", "options": {"endpoint_url": url}, "connections": CONNECTIONS} | limits
    return Download.model_validate({"bucket": given, "channels": CHANNELS, "step_hours": 6, "minimum_free_gb": 0.0})


def compared(root: Path, frames: int, repeats: int, **pace: float) -> dict:
    """The step and the plain copy in turn, from the same server."""
    with Server(root, **pace) as server, tempfile.TemporaryDirectory() as folder:
        gathers: list[float] = []
        timed(lambda: step(server.url, frames, Path(folder), gathers))  # imports, and the server's pages
        log = server.log()
        sizes = {one["name"]: one["bytes"] for one in log if one["kind"] == "media" and one["whole"]}
        copies = [
            lambda: get(server.url, list(sizes), Path(folder)),
            lambda: cat(server.url, list(sizes), Path(folder)),
        ]
        steps, bare = [], [[], []]
        gathers.clear()
        for _ in range(repeats):
            steps.append(timed(lambda: step(server.url, frames, Path(folder), gathers)))
            for times, copy in zip(bare, copies):
                times.append(timed(copy))
        own, gather, copy = statistics.median(steps), statistics.median(gathers), min(map(statistics.median, bare))
    chunks = [size for name, size in sizes.items() if name.endswith(".0.0.0")]
    return {
        "speed_ratio_to_copy": round(copy / own, 3),
        "gather_ratio_to_copy": round(copy / gather, 3),
        "bytes_ratio_to_copy": round(sum(one["bytes"] for one in log) / sum(sizes.values()), 4),
        "mb_per_second": round(sum(sizes.values()) / own / 1e6, 1),
        "copy_mb_per_second": round(sum(sizes.values()) / copy / 1e6, 1),
        "mb": round(sum(sizes.values()) / 1e6, 1),
        "chunk_mb": round(statistics.median(chunks) / 1e6, 2),
    }


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def step(url: str, frames: int, folder: Path, gathers: list[float]) -> None:
    """Seconds of the step from an empty folder to a part, and seconds until every chunk had arrived."""
    shutil.rmtree(folder / "parts", ignore_errors=True)
    began, bring = time.perf_counter(), mirror.Mirror.fetch

    def noted(*given: object) -> object:
        try:
            return bring(*given)
        finally:
            ends.append(time.perf_counter() - began)

    ends, mirror.Mirror.fetch = [], noted
    try:
        part = f"19590101T00_{frames}"
        bucket.run(settings(url), part=part, raw=folder / f"parts/{part}.zarr", marker=folder / f"parts/{part}.json")
    finally:
        mirror.Mirror.fetch = bring
    gathers.append(ends[-1])


def fresh(url: str, folder: Path) -> tuple:
    """gcsfs, and an empty folder to copy to."""
    import gcsfs

    shutil.rmtree(folder / "copy", ignore_errors=True)
    (folder / "copy").mkdir()
    return gcsfs.GCSFileSystem(token="anon", endpoint_url=url), folder / "copy"


def get(url: str, names: list[str], folder: Path) -> None:
    """Copy many files as gcsfs itself does."""
    system, there = fresh(url, folder)
    system.get(names, [str(there / name.replace("/", "-")) for name in names], batch_size=CONNECTIONS)


def cat(url: str, names: list[str], folder: Path) -> None:
    """Gathered reads, written to disk."""
    from fsspec.asyn import sync

    system, there = fresh(url, folder)

    async def all_of_them() -> None:
        allowed = asyncio.Semaphore(CONNECTIONS)

        async def one(name: str) -> None:
            async with allowed:
                (there / name.replace("/", "-")).write_bytes(await system._cat_file(name))

        await asyncio.gather(*map(one, names))

    sync(system.loop, all_of_them)


PART = "19590110T00_400"


def started(url: str, folder: Path, **limits: object) -> subprocess.Popen:
    """The step as a rule calls it."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = settings(url, **{"timeout_seconds": 3.0, "patience_seconds": 60.0} | limits)
    (folder / "download.json").write_text(json.dumps({"download": chosen.model_dump(mode="json")}))
    words = ["--settings", "download.json", "--part", PART, "--raw", f"{PART}.zarr", "--marker", f"{PART}.json"]
    log = (folder / "log").open("a")
    command = [sys.executable, "-m", "hindsight", "download.bucket", *words]
    return subprocess.Popen(command, cwd=folder, stderr=log)


def content(folder: Path) -> dict[str, bytes]:
    base = folder / f"{PART}.zarr"
    files = (path for path in base.rglob("*") if path.is_file() and path != base / "zarr.json")
    return {str(path.relative_to(base)): path.read_bytes() for path in files}


def undisturbed(root: Path, store: str = "") -> dict[str, bytes]:
    """The digest of an undisturbed part, made once."""
    folder = root / f"undisturbed{store}"
    if not (folder / f"{PART}.json").is_file():
        with Server(root) as server:
            if started(server.url, folder).wait():
                sys.exit((folder / "log").read_text())
    return content(folder)


def again(log: list[dict]) -> int:
    """Chunks that the server sent completely more than once."""
    sent = Counter(one["name"] for one in log if one["whole"] and one["kind"] == "media" and one["name"][-1].isdigit())
    return sum(count - 1 for count in sent.values())


def survives(root: Path, faults: list[dict]) -> bool:
    """Whether a disturbed step, run again if it gives up, ends with the same bytes and fetches no chunk twice."""
    expected = undisturbed(root)
    with Server(root, faults) as server, tempfile.TemporaryDirectory() as folder:
        codes = [started(server.url, Path(folder)).wait()]
        while codes[-1] and len(codes) < 3:
            codes.append(started(server.url, Path(folder)).wait())
        axes = 4 * (len(codes) - 1)  # coordinates, kilobytes, may come with each run
        return reported(codes[-1] == 0 and content(Path(folder)) == expected and again(server.log()) <= axes, folder)


def killed(root: Path, kills: int) -> bool:
    """SIGKILL in the middle, several times."""
    expected = undisturbed(root)
    with Server(root, latency=0.2) as server, tempfile.TemporaryDirectory() as folder:
        for kill in range(kills):
            running, before = started(server.url, Path(folder), connections=2), len(server.log())
            while running.poll() is None and len(server.log()) < before + 5 + 3 * (kill == 0):
                time.sleep(0.005)
            running.kill()
            running.wait()
        done = started(server.url, Path(folder), connections=2).wait() == 0
        return reported(done and content(Path(folder)) == expected and again(server.log()) <= 2 * kills, folder)


def server_dies(root: Path) -> bool:
    """The server goes away in the middle and comes back at the same address."""
    expected = undisturbed(root)
    with tempfile.TemporaryDirectory() as folder:
        with Server(root, latency=0.2) as server:
            running = started(server.url, Path(folder), connections=2)
            while running.poll() is None and len(server.log()) < 10:
                time.sleep(0.005)
        time.sleep(3)
        port = int(server.url.rsplit(":", 1)[1])
        with Server(root, port=port) as back:
            done = running.wait() == 0
            twice = again(server.log() + back.log())
        return reported(done and content(Path(folder)) == expected and twice == 0, folder)


def chunk_not_there(root: Path) -> bool:
    """Whether a missing chunk of the store becomes NaN and the marker names it."""
    expected = undisturbed(root)
    lost = root / STORE / "2m_temperature/1.0.0"
    lost.rename(root / "lost")
    try:
        with Server(root) as server, tempfile.TemporaryDirectory() as folder:
            done = started(server.url, Path(folder)).wait() == 0
            source = json.loads((Path(folder) / f"{PART}.json").read_text())["source"] if done else {}
            found = content(Path(folder))
            others = {name: found.get(name) for name in expected if not name.startswith("2m_temperature")}
            same = others == {name: expected[name] for name in others}
            return reported(same and source.get("chunks_missing") == ["2m_temperature/1.0.0"], folder)
    finally:
        (root / "lost").rename(lost)


def reported(survived: bool, folder: str) -> bool:
    """Return the result of a fault, and print the log if the step did not survive."""
    if not survived:
        print((Path(folder) / "log").read_text()[-2000:], file=sys.stderr)
    return survived


if __name__ == "__main__":
    main()
