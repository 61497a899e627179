"""The page of `chainrule explain --format html` in a browser: Debian's chromium, through a pipe of its DevTools protocol."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from program import chainrule

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Browser:
    """A headless browser with one page. It counts what the page logs and what it requests."""

    def __init__(self, folder):
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()

        def place():
            # The browser reads from 3 and writes to 4; copies first, so that neither takes the other's place.
            reading, writing = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=place, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.count, self.session = b"", 0, None
        self.problems, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def message(self):
        while b"\0" not in self.buffer:
            part = os.read(self.read, 1 << 16)
            assert part, "the browser has ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            self.observe(answer)
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def observe(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method in ("Runtime.exceptionThrown", "Log.entryAdded") or (
                method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning")):
            self.problems.append(params)
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return method

    def open(self, path):
        self.call("Page.navigate", url=path.as_uri())
        while self.observe(self.message()) != "Page.loadEventFired":
            pass

    def value(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def key(self, key, code):
        for kind in ["rawKeyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def resize(self, width):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(params=["2-2-1", "2-2-2", "batch-norm", "adam", "xor"])
def page(request, browser, tmp_path):
    """The page of an example, open; its path, and the explanation as JSON."""
    path = tmp_path / "page.html"
    path.write_text(chainrule("explain", "--example", request.param, "--format", "html"))
    browser.problems.clear()
    browser.requests.clear()
    browser.resize(1440)
    browser.open(path)
    yield path, json.loads(chainrule("explain", "--example", request.param, "--format", "json"))
    assert browser.problems == []
    assert browser.requests == [path.as_uri()]


NODES = "[...document.querySelectorAll('.node')].map(n => [n.dataset.key, Number(n.dataset.value), Number(n.dataset.delta)])"


def check_step(browser, trace):
    seen = 0
    for key, value, delta in browser.value(NODES):
        _, column, unit = key.split("-")[:3]
        if int(column) > 0:
            layer = trace[int(column) - 1]
            assert value == layer["a"][0][int(unit)] and delta == layer["delta"][0][int(unit)]
            seen += 1
    assert seen == sum(len(layer["a"][0]) for layer in trace)


def test_its_policy_has_the_hashes_of_its_style_and_script(page):
    text = page[0].read_text()
    for element in ["style", "script"]:
        content = re.search(f"<{element}>(.*?)</{element}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in text, f"the hash of {element} is {digest}"


def test_its_numbers_are_those_of_the_json_in_every_step(browser, page):
    steps = browser.value("JSON.parse(document.getElementById('data').textContent).steps.map(s => s.number)")
    for place in [0, len(steps) // 2, len(steps) - 1]:
        browser.value(
            f"(() => {{ const s = document.getElementById('step'); s.value = {place};"
            " s.dispatchEvent(new Event('input')); })()")
        check_step(browser, page[1]["trace"][steps[place] - 1])
        loss = browser.value("Number(document.getElementById('loss').dataset.value)")
        assert loss == page[1]["losses"][steps[place] - 1]


def test_the_keyboard_reaches_the_slider_and_every_element(browser, page):
    browser.value("document.getElementById('step').focus()")
    browser.key("ArrowRight", 39)
    last = browser.value("Number(document.getElementById('step').max)")
    assert browser.value("Number(document.getElementById('step').value)") == min(1, last)
    count = browser.value("document.querySelectorAll('[tabindex=\"0\"]').length")
    keys = set()
    for _ in range(count + 4):
        browser.key("Tab", 9)
        keys.add(browser.value("document.activeElement.dataset.key || ''"))
    keys.discard("")
    assert len(keys) == count
    assert browser.value("[...document.querySelectorAll('[role=button]')].every(e => e.getAttribute('aria-label'))")


def test_a_chosen_neuron_and_weight_say_their_formulas_and_light_the_path(browser, page):
    browser.value("document.querySelector('[data-key=\"node-1-0-\"]').focus()")
    lines = browser.value("[...document.querySelectorAll('#lines li')].map(l => l.textContent)")
    assert any(line.startswith("z₁ = ") for line in lines) and any(line.startswith("δ₁ = ") for line in lines)
    browser.value("document.querySelector('[data-key=\"edge-1-0-0\"]').focus()")
    lines = browser.value("[...document.querySelectorAll('#lines li')].map(l => l.textContent)")
    assert any(line.startswith("∂L/∂w") for line in lines) and any("←" in line for line in lines)
    assert browser.value("document.querySelectorAll('.lit').length") >= 2


def test_playing_lights_layer_after_layer_and_can_be_stopped(browser, page):
    browser.value("document.getElementById('play').click()")
    assert browser.value("document.getElementById('play').textContent") == "Stop"
    assert browser.value("document.querySelectorAll('.node.lit').length") > 0
    browser.key("Escape", 27)
    assert browser.value("document.getElementById('play').textContent") == "Play"


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_overlaps_or_is_cut_off(browser, page, width):
    browser.resize(width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    boxes = browser.value(
        "[...document.querySelectorAll('.node circle, main > section:not([hidden])')].map(e => {"
        " const b = e.getBoundingClientRect(); return [e.tagName, b.left, b.top, b.right, b.bottom]; })")
    for kind in ["circle", "SECTION"]:
        same = [box[1:] for box in boxes if box[0] == kind]
        for i, a in enumerate(same):
            for b in same[:i]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (kind, a, b)


def test_the_matrices_have_their_view(browser, page):
    browser.value(
        "(() => { const v = document.getElementById('view'); v.value = 'matrices';"
        " v.dispatchEvent(new Event('change')); })()")
    assert browser.value("document.querySelectorAll('#matrices table').length") >= 6
    assert browser.value("document.getElementById('matrices').offsetHeight") > 100
