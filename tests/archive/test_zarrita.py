"""A browser reads the archive with zarrita.js, a Zarr reader that shares no code with ours."""

import json
import mimetypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests import browsers

PACKAGES = Path(__file__).parent / "zarrita"
SITE = "http://archive.test"
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "E401", "E403", "E404")  # npm's codes
PAGE = """<!doctype html><script type="importmap">{map}</script><script type="module">
  import * as zarr from "zarrita";
  window.read = async (name, selection) => {{
    const store = new zarr.FetchStore("{site}/store");
    const array = await zarr.open(zarr.root(store).resolve(name), {{ kind: "array" }});
    const part = await zarr.get(array, selection.map((one) => (one === null ? null : zarr.slice(...one))));
    return {{ shape: part.shape, names: array.dimensionNames, values: Array.from(part.data, Number) }};
  }};
  document.documentElement.dataset.ready = "";
</script>"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """The folder of zarrita and what it imports, in the versions of its lock."""
    folder = tmp_path_factory.mktemp("zarrita")
    if not shutil.which("npm"):
        pytest.skip("zarrita.js cannot be fetched: npm is not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGES / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode and any(code in done.stderr for code in OFFLINE):
        pytest.skip(f"zarrita.js cannot be fetched: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return folder / "node_modules"


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.fixture
def page(browser, modules, small):
    page, complaints = browser.new_page(), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route(f"{SITE}/**", lambda route: serve(route, {"store": small.archive, "modules": modules}, modules))
    page.goto(f"{SITE}/")
    page.wait_for_selector("html[data-ready]", state="attached", timeout=10_000)
    yield page
    assert complaints == []
    page.close()


def serve(route, folders: dict[str, Path], modules: Path) -> None:
    """Answer a request of the page, or of a part of a file, as a file server does."""
    first, _, rest = route.request.url.removeprefix(f"{SITE}/").partition("/")
    if not first:
        text = PAGE.format(map=json.dumps({"imports": imports(modules)}), site=SITE)
        return route.fulfill(body=text, content_type="text/html")
    path = folders.get(first, Path("nowhere")) / rest
    if not path.is_file():
        return route.fulfill(status=404, body="")
    part = asked(path.read_bytes(), route.request.headers.get("range"))
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return route.fulfill(status=206 if "range" in route.request.headers else 200, body=part, content_type=kind)


def asked(content: bytes, wanted: str | None) -> bytes:
    """The bytes of an HTTP range (first-last, or -number for the last), or all."""
    if wanted is None:
        return content
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first:
        return content[-int(last) :]
    return content[int(first) : int(last) + 1 if last else None]


def imports(modules: Path) -> dict[str, str]:
    """The address of every package that a module may import, and of every file below it."""
    found = {}
    for path in modules.rglob("package.json"):
        about = json.loads(path.read_text())
        if "name" not in about or "node_modules" in path.relative_to(modules).parts:
            continue
        folder = f"{SITE}/modules/{path.parent.relative_to(modules)}"
        found |= {about["name"] + name[1:]: f"{folder}/{file}" for name, file in entries(about.get("exports"), about)}
    return found


def entries(exports, about: dict):
    """(Name, file) of each entry of a package, for a browser's modules."""
    if not isinstance(exports, dict) or not any(name.startswith(".") for name in exports):
        exports = {".": exports or about.get("module") or about["main"]}
    for name, target in exports.items():
        while isinstance(target, dict):
            target = next(target[key] for key in ("browser", "import", "default") if key in target)
        if isinstance(target, str):
            yield name, target.removeprefix("./")


@pytest.mark.parametrize("name", ["z500", "mean/msl", "spread/z500", "time"])
def test_zarrita_reads_the_same_values(page, small, name):
    *group, short = name.split("/")
    ours = xr.open_zarr(small.archive, group=group[0] if group else None, decode_times=False)[short]
    found = page.evaluate("([name, all]) => read(name, all)", [f"/{name}", [None] * ours.ndim])
    assert (tuple(found["shape"]), tuple(found["names"])) == (ours.shape, ours.dims)
    np.testing.assert_array_equal(np.array(found["values"], ours.dtype), ours.values.ravel())


def test_zarrita_reads_a_part_by_its_bytes(page, small):
    """A map of one frame is read as ranges of an object, not as whole objects."""
    ours = xr.open_zarr(small.archive, group="mean")["z500"]
    requests = []
    page.on("request", lambda request: requests.append(request))
    found = page.evaluate("read('/mean/z500', [[3, 4], null, null])")
    np.testing.assert_array_equal(np.array(found["values"], np.float32), ours[3].values.ravel())
    ranges = [one.headers.get("range") for one in requests if "/c/" in one.url and one.method == "GET"]
    assert len(ranges) == 2 and all(ranges)  # the object's index, and a chunk
