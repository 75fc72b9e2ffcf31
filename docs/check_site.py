"""Refuses a built site that a browser could not show without a network.

    python docs/check_site.py site

Looks at what a page loads by itself (scripts, styles, images, fonts, frames), not at links that a
reader may follow.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

#: Tags and the attribute whose address is loaded with the page.
_LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
}
#: Relations of a <link> that name an address without loading it.
_NAMED = {"alternate", "author", "canonical", "license", "next", "prev"}
_ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(|@import\s)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class _Page(HTMLParser):
    """Collects the addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.loaded += _IN_STYLE.findall(found.get("style", ""))
        if tag == "link" and set(found.get("rel", "").split()) & _NAMED:
            return
        for name in _LOADED.get(tag, ()):
            value = found.get(name, "")
            for address in value.split(",") if name == "srcset" else [value]:
                if _ELSEWHERE.match(address.strip()):
                    self.loaded.append(address.strip())


def external(site: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the site with an address elsewhere that it loads."""
    for path in sorted(site.rglob("*.html")):
        page = _Page()
        content = path.read_text(encoding="utf-8")
        page.feed(content)
        styles = re.findall(r"<style[^>]*>(.*?)</style>", content, re.DOTALL)
        for address in [*page.loaded, *(a for text in styles for a in _IN_STYLE.findall(text))]:
            yield path, address
    for path in sorted(site.rglob("*.css")):
        for address in _IN_STYLE.findall(path.read_text(encoding="utf-8")):
            yield path, address


def main(site: Path) -> int:
    """Print what is loaded from elsewhere; 1 if something is, or if there is no site."""
    pages = sum(1 for _ in site.rglob("*.html"))
    found = list(external(site))
    for path, address in found:
        print(f"{path} loads {address}")
    print(f"{pages} pages, {len(found)} addresses loaded from elsewhere")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
