"""Listings as files and as open pages: written beneath a served folder, and used by keys and by pointer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import Browser
from chute.static.listing import Order, arrange, blocking_read_folder
from chute.static.listing_page import content_security_policy, render_html
from running import wait_until

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003"
    "010100c9fe92ef0000000049454e44ae426082"
)
"""A picture of one pixel, as PNG."""


def write_page(folder: Path, path: bytes, order: Order = Order(), **options: Any) -> None:  # noqa: ANN401, B008
    """Write the listing of `folder` into it, as `listing.html`, with its policy; `path` is what it calls itself."""
    fd = os.open(folder, os.O_RDONLY)
    items = blocking_read_folder(fd, shows_hidden=False, resolve=lambda name: None)
    os.close(fd)
    listed = [item for item in items if not item.name.startswith(b"listing")]
    arranged = arrange(listed, order, options.get("needle", ""))
    page = b"".join(render_html(path, arranged, order, **options))
    policy = content_security_policy(uploads=bool(options.get("uploads")))
    # The one directive that cannot be given in a page.
    policy = policy.replace(b"frame-ancestors 'self'; ", b"")
    meta = b'<meta http-equiv=Content-Security-Policy content="%b">' % policy
    (folder / "listing.html").write_bytes(page.replace(b"<title>", meta + b"<title>", 1))


@dataclass
class Listing:
    """An open listing, as a person sees it."""

    browser: Browser

    def open(self, url: str) -> None:
        """Go to `url` and wait for it: also if the load of a page before it ends only now."""
        self.browser.open(url)
        self.wait_for("document.readyState === 'complete'")

    def names(self) -> list[str]:
        return self.browser.evaluate(
            "[...document.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).map("
            "row => row.querySelector('a').textContent)"
        )

    def text(self, selector: str) -> str:
        return self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def focused(self) -> str:
        return self.browser.evaluate(
            "document.activeElement.id || document.activeElement.textContent"
        )

    def click(self, selector: str) -> None:
        """Click in the middle of an element, like a pointer would."""
        point = self.browser.evaluate(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)});"
            "element.scrollIntoView({block: 'center'}); const box = element.getBoundingClientRect();"
            "return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.call(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point
            )

    def press(self, *keys: str) -> None:
        codes = {"Enter": 13, "Escape": 27, "Backspace": 8, " ": 32}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for key in keys:
            event: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0)}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            self.browser.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
            self.browser.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def wait_for(self, expression: str) -> None:
        wait_until(lambda: self.browser.evaluate(f"Boolean({expression})"), what=expression)
