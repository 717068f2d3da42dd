"""Hooks of MkDocs: the README is the front page, and links that leave docs/ lead to pages of the site.

The Markdown holds links that work in the repository. Here each becomes a link between pages; a file that is no page of
its own, such as a configuration, becomes one that shows its text.
"""

import posixpath
import re
from importlib.util import find_spec
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
MERMAID = "theme/mermaid.js"  # draws the diagrams; the theme would fetch it from another host
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages from outside docs/, a page for each other file that a page links to, and the script for diagrams."""
    script = Path(find_spec("mermaidx").origin).parent / "assets/mermaid.js"
    files.append(File.generated(config, MERMAID, abs_src_path=str(script)))
    for uri, path in PAGES.items():
        replace(files, File.generated(config, uri, content=(ROOT / path).read_text()))
    pages = [file for file in files if file.src_uri.endswith(".md")]
    for path in sorted({path for page in pages for path in linked(page) if shown(path)}):
        content = f"# `{path}`\n\n```{Path(path).suffix[1:]}\n{(ROOT / path).read_text()}```\n"
        files.append(File.generated(config, site_uri(path), content=content, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def replace(files: Files, file: File) -> None:
    """Add a file, in place of one of the same address."""
    if (old := files.get_file_from_path(file.src_uri)) is not None:
        files.remove(old)
    files.append(file)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of the repository into those of the site."""
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match) -> str:
        target = site_uri(resolve(page.file, match[2]))
        return f"{match[1]}{posixpath.relpath(target, here or '.')}{match[3]}"

    return LINK.sub(link, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Load the script for diagrams on pages that have one."""
    script = f'<script src="{get_relative_url(MERMAID, page.url)}"></script>'
    return html + script * ('class="mermaid"' in html)


def linked(page: File) -> list[str]:
    """The paths in the repository that a page links to."""
    return [resolve(page, match[2]) for match in LINK.finditer(page.content_string)]


def resolve(page: File, target: str) -> str:
    """The path in the repository that a link of a page leads to."""
    path = PAGES.get(page.src_uri, f"docs/{page.src_uri}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def shown(path: str) -> bool:
    """Whether a file of the repository becomes a page that shows its text."""
    return (ROOT / path).is_file() and not path.startswith("docs/") and path not in PAGES.values()


def site_uri(path: str) -> str:
    """The source address in the site of a path in the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/") + "/index.md" * (ROOT / path).is_dir()
    return {page: uri for uri, page in PAGES.items()}.get(path, f"source/{path}.md")
