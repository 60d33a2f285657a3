"""The docs' site: its links lead somewhere, and its pages can be read on any screen."""

import collections
import html.parser
import re
import subprocess
import sys
import urllib.parse

import pytest
from PIL import Image

from tests.docs_scripts import DOCS

SCREENS = ((1400, 900), (390, 844))  # a laptop, a telephone
LEAST_CONTRAST = 3.0  # of text and what is behind it; W3C's least for large letters
# What is wrong with the page that a browser shows, a list of strings. The theme hides what is wider
# than the window, and lets one part of the page scroll sideways.
PROBLEMS = """
const problems = [];
for (const part of document.querySelectorAll("body, .main, .content")) {
  const excess = part.scrollWidth - part.clientWidth;
  if (excess > 0) problems.push(`${part.className || "body"} is ${excess} pixels too wide`);
}
for (const image of document.images) {
  if (!image.naturalWidth) problems.push(`no picture at ${image.src}`);
}
const color = (text) => text.match(/[\\d.]+/g).map(Number);
const luminance = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((value) => (value / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
  let behind = element;
  const ground = () => color(getComputedStyle(behind).backgroundColor);
  while (behind.parentElement && ground()[3] === 0) behind = behind.parentElement;
  const [dark, light] = [color(getComputedStyle(element).color), ground()]
    .map(luminance).sort((a, b) => a - b);
  if ((light + 0.05) / (dark + 0.05) < arguments[0]) {
    problems.push(`hard to see: ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
}
return problems;
"""


class Page(html.parser.HTMLParser):
    """What a page of HTML holds."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.pictures, self.prose = {""}, [], [], []
        self.inside = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]
        if tag == "img":
            self.pictures.append(attributes)
        if tag in ("pre", "script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, text):
        if not self.inside:
            self.prose.append(text)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder with the site."""
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "--fail-on-warning", "--quiet", str(DOCS), str(folder)]
    subprocess.run([sys.executable, *command], check=True)
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """{path: its `Page`}, of all."""
    found = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert len(found) > 30
    return found


def test_links_lead_somewhere(site, pages):
    lost = []
    for path, page in pages.items():
        for link in page.links:
            address = urllib.parse.urlsplit(link)
            if address.scheme:
                continue
            target = (path.parent / urllib.parse.unquote(address.path)).resolve()
            target = target if address.path else path
            anchors = pages[target].anchors if target in pages else {""}
            if not target.exists() or urllib.parse.unquote(address.fragment) not in anchors:
                lost.append((str(path.relative_to(site)), link))
    assert lost == []


def test_pictures_are_described_and_opaque(site, pages):
    pictures = {
        (path.parent / picture["src"]).resolve(): picture
        for path, page in pages.items()
        for picture in page.pictures
    }
    assert len(pictures) > 20
    assert [path.name for path, picture in pictures.items() if not picture.get("alt")] == []
    for path in pictures:  # else black letters are lost on a dark page
        with Image.open(path) as picture:
            lowest, _ = picture.convert("RGBA").getchannel("A").getextrema()
        assert lowest == 255, path.name


@pytest.mark.parametrize("mark", ["`", "]("])
def test_no_markup_is_left_over(site, pages, mark):
    left = [
        (path.name, text)
        for path, page in pages.items()
        if "_modules" not in path.parts
        for text in page.prose
        if mark in text
    ]
    assert left == []


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS, ids=["wide", "narrow"])
def test_pages_can_be_read(site, pages, browser, screen, colours):
    scheme = {"name": "prefers-color-scheme", "value": colours}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    width, height = screen
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    problems = collections.defaultdict(list)
    browser.get((site / "index.html").as_uri())
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    brightness = max(map(float, re.findall(r"[\d.]+", background)[:3]))
    assert (brightness < 64) == (colours == "dark"), "the page is not of this scheme"
    for path in pages:
        if "_modules" not in path.parts:
            browser.get(path.as_uri())
            found = browser.execute_script(PROBLEMS, LEAST_CONTRAST)
            found += [x["message"] for x in browser.get_log("browser") if x["level"] == "SEVERE"]
            problems[str(path.relative_to(site))] += found
    assert {name: found for name, found in problems.items() if found} == {}
