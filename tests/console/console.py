#!/usr/bin/python3
"""The web console in a real browser (Debian's chromium and chromium-driver), against a running facematchd.

    tests/console/console.py URL PHOTO [SCREENSHOT.png]

Enrols a face out of PHOTO through the page, sees it recognised, compares two photos, forgets the person, and checks that
a name with markup in it stays text. Prints "ok - ", "not ok - " lines; exits 1 where there is one of the latter. Speaks
the W3C WebDriver protocol to a chromedriver of its own on loopback.
"""
import base64
import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
failed = False


def check(name, holds, more=""):
    global failed
    failed |= not holds
    print(f"{'ok' if holds else 'not ok'} - console: {name}{'' if holds else f': {more}'}", flush=True)


class Browser:
    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                self.call("GET", "/status")
                break
            except OSError:
                time.sleep(0.1)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,1400"]
        options = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}}
        self.base += f"/session/{self.call('POST', '/session', options)['sessionId']}"

    def call(self, method, path, body=None):
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=240) as reply:
            return json.load(reply)["value"]

    def find(self, selector):
        return self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        self.call("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click")

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, script, seconds=240):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(f"return {script}")
            if value:
                return value
            time.sleep(0.1)
        return self.run(f"return {script}")

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        try:
            self.call("DELETE", "")
        except OSError:
            pass
        self.driver.terminate()
        self.driver.wait(240)


def use(browser, url, photo, picture):
    name = "Ann <img src=x onerror=alert(1)>"
    browser.call("POST", "/url", {"url": url})
    check("says what runs", browser.wait("document.getElementById('info').textContent.includes('@')"),
          browser.run("return document.body.innerText"))
    browser.type("#photo", photo)
    rows = browser.wait("document.querySelectorAll('#faces tbody tr').length")
    check("faces of a photo are listed", rows > 0, browser.run("return document.body.innerText"))
    check("and drawn", browser.wait("!document.getElementById('view').hidden"))
    check("nobody is known yet", browser.run("return !document.querySelector('#faces td.match')"))
    browser.type("#faces tbody tr:first-child input", name)
    browser.click("#faces tbody tr:first-child button")
    check("an enrolled face is recognised", browser.wait("document.querySelector('#faces td.match') !== null"),
          browser.run("return document.body.innerText"))
    check("the person is listed, the name as text",
          browser.wait(f"[...document.querySelectorAll('#people td')].some((td) => td.textContent === {json.dumps(name)})"),
          browser.run("return document.getElementById('people').innerHTML"))
    check("markup in a name is no markup", browser.run("return !document.querySelector('td img')"))
    browser.type("#first", photo)
    browser.type("#second", photo)
    check("two photos are compared", browser.wait("document.getElementById('verdict').className === 'match'"),
          browser.run("return document.getElementById('verdict').textContent"))
    if picture:
        browser.screenshot(picture)
    browser.run("window.confirm = () => true")
    browser.click("#people tbody button")
    check("a person is forgotten", browser.wait("document.querySelectorAll('#people tbody tr').length === 0"))
    check("no problem is shown", browser.run("return document.getElementById('problem').hidden"),
          browser.run("return document.getElementById('problem').textContent"))


def main():
    browser = Browser()
    try:
        use(browser, sys.argv[1], str(Path(sys.argv[2]).resolve()), sys.argv[3] if len(sys.argv) > 3 else None)
    finally:
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
