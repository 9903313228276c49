"""A headless Chromium that shows a page from a file, and its console messages."""

import base64
import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

DESKTOP, PHONE = (1280, 900), (390, 844)  # CSS pixels
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync
--disable-dev-shm-usage""".split()


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[webdriver.Chrome]:
    """Yields a browser with an empty profile; skips the test where there is none."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    # Both paths are given, so that Selenium never fetches a browser of its own.
    os.environ["SE_OFFLINE"] = "true"
    browser = webdriver.Chrome(options, Service(driver_path))
    try:
        yield browser
    finally:
        browser.quit()


def show(browser: webdriver.Chrome, path: Path, size: tuple[int, int]) -> None:
    """Opens a file as a screen of this size does; narrow ones are phones."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", metrics | {"mobile": size == PHONE}
    )
    for log in ("browser", "performance"):
        browser.get_log(log)  # what went before is not of this page
    browser.get(path.resolve().as_uri())


@contextlib.contextmanager
def preferring(
    browser: webdriver.Chrome, scheme: str, media: str = "screen"
) -> Iterator[None]:
    """Shows pages to a reader who prefers "dark" or "light", on "screen" or "print"."""
    prefers = {"name": "prefers-color-scheme", "value": scheme}
    emulate = "Emulation.setEmulatedMedia"
    browser.execute_cdp_cmd(emulate, {"media": media, "features": [prefers]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd(emulate, {"media": "", "features": []})


def pixels(browser: webdriver.Chrome, box: Mapping[str, float]) -> np.ndarray:
    """Returns a part of the page as shown, [row, column, 3], from 0 to 255.

    Args:
        browser: browser that shows the page.
        box: x, y, width and height on the page, CSS pixels.
    """
    options = {"clip": {**box, "scale": 1}, "captureBeyondViewport": True}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", options)
    with Image.open(io.BytesIO(base64.b64decode(taken["data"]))) as image:
        return np.asarray(image.convert("RGB"))


def console(browser: webdriver.Chrome) -> list[str]:
    """Returns the console messages since the page was opened."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requests(browser: webdriver.Chrome) -> list[str]:
    """Returns the addresses requested since the page was opened."""
    messages = [
        json.loads(entry["message"])["message"]
        for entry in browser.get_log("performance")
    ]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
