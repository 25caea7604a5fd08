"""Check the built pages in a folder: links within them lead to files and anchors, and pictures are described.

`python .ci/check_links.py HTML` prints what is wrong, a line each, and exits with 1 if there is any.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, what it links to, and its pictures without a description."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path.resolve()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.undescribed: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names, links to or shows."""
        found = dict(attrs)
        if anchor := found.get("id"):
            self.anchors.add(anchor)
        link = found.get("href") if tag in {"a", "link"} else found.get("src")
        if link:
            self.links.append(link)
        if tag == "img":
            source, text = found.get("src") or "", found.get("alt") or ""
            if not text:
                self.undescribed.append(f"{source} has no text")
            elif re.fullmatch(r"\S+\.(png|svg)", text):
                self.undescribed.append(f"{source} has no text but the name of a file, {text!r}")


def faults(folder: Path) -> list[str]:
    """Give a sentence for each link that leads nowhere, and each picture that is not described."""
    pages = {page.path: page for page in map(Page, sorted(folder.rglob("*.html")))}
    found = []
    for page in pages.values():
        name = page.path.relative_to(folder.resolve())
        found += [f"{name}: the picture {fault}" for fault in page.undescribed]
        for link in sorted(set(page.links)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            if not target.exists():
                found.append(f"{name}: {link} leads to no file")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} leads to no anchor")
    return found


def main() -> None:
    """Print the faults."""
    found = faults(Path(sys.argv[1]))
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
