"""Checks of a page in a browser."""

from __future__ import annotations

from typing import Any

PHONE = {"width": 390, "height": 844}


def complaints(page: Any) -> list[str]:
    """Errors in the console of the browser from now on; grows."""
    found: list[str] = []
    page.on("console", lambda entry: found.append(entry.text) if entry.type == "error" else None)
    return found


def fits_a_phone(page: Any) -> None:
    """Nothing stands out of a narrow screen."""
    page.set_viewport_size(PHONE)
    page.wait_for_function("innerWidth === 390")
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(x => x.getBoundingClientRect().right > innerWidth + 1 &&"
        " !x.closest('.table-wrap, .scroll-x, svg')).map(x => x.outerHTML.slice(0, 120))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], wide
