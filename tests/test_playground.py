"""The docs' interactive page, driven in a browser, makes what the library makes."""

import itertools
import re

import numpy as np
import pytest

from keras_stn import ops, transforms
from tests.backend import to_numpy
from tests.docs_scripts import DOCS, load

FILL_MODES = ("constant", "nearest", "mirror", "reflect", "wrap")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
TURNED = [0.813, -0.507, 0.711, 0.613, 1.097, -0.403]
# What the page calculates in float64, we do in float32, on intensities from 0 to 1.
ATOL = 2e-5


@pytest.fixture
def page(browser, tmp_path):
    """The interactive part of the page, freshly loaded."""
    from selenium.webdriver.support.wait import WebDriverWait

    text = (DOCS / "playground.md").read_text("utf-8")
    (part,) = re.findall(r"^```\{raw\} html\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    part = part.replace('"_static/', f'"{(DOCS / "playground").as_uri()}/')
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{part}", "utf-8")
    browser.get(file.as_uri())
    shown = Page(browser)
    WebDriverWait(browser, 30).until(lambda _: shown.handles())
    return shown


class Page:
    """What a reader does with the page, and what it then shows."""

    def __init__(self, browser):
        self.browser = browser

    def part(self, name):
        return self.browser.find_element("css selector", f'[data-part="{name}"]')

    def choose(self, part, value):
        from selenium.webdriver.support.select import Select

        Select(self.part(part)).select_by_visible_text(value)

    def handles(self):
        return self.browser.find_elements("css selector", ".handle")

    def drag(self, handle, x, y):
        """By `x` and `y` pixels of the screen."""
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).drag_and_drop_by_offset(handle, x, y).perform()

    def type(self, theta):
        for name, value in zip("abcdef", theta, strict=True):
            self.part(f"theta-{name}").clear()
            self.part(f"theta-{name}").send_keys(str(value))

    def theta(self):
        return [float(self.part(f"theta-{name}").get_attribute("value")) for name in "abcdef"]

    def resize(self, size):
        self.browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
            self.part("size"),
            size,
        )

    def crop(self):
        """The crop as the page has calculated it, (size, size, 3)."""
        state = "document.getElementById('stn-playground').state"
        samples = self.browser.execute_script(f"return Array.from({state}.samples)")
        size = round((len(samples) / 3) ** 0.5)
        return np.reshape(samples, (size, size, 3))

    def crop_by_its_code(self):
        """The crop that the Python on the page makes."""
        names = {"images": sign()}
        exec(self.part("code").get_attribute("textContent"), names)
        return to_numpy(names["crops"])[0]

    def check(self):
        """That the page and its code make the same crop; returns it."""
        crop = self.crop()
        np.testing.assert_allclose(self.crop_by_its_code(), crop, atol=ATOL)
        return crop


def sign():
    """The page's traffic sign, (1, height, width, 3), in [0, 1]."""
    return load("playground").sign()[None].astype("float32") / 255


def test_the_pages_sign_is_that_of_the_sample():
    script = load("playground")
    assert script.SCRIPT.read_text("utf-8") == script.script()


def test_starts_at_the_identity(page):
    crop = page.check()
    assert crop.shape == (24, 24, 3)
    page.resize(43)
    np.testing.assert_allclose(page.check(), sign()[0], atol=ATOL)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_options(page, interpolation):
    page.type(TURNED)
    page.choose("interpolation", interpolation)
    crops = []
    for aligned, fill_mode in itertools.product([True, False], FILL_MODES):
        if page.part("align-corners").is_selected() != aligned:
            page.part("align-corners").click()
        page.choose("fill-mode", fill_mode)
        crop = page.check()
        grid = ops.affine_grid(np.array([TURNED], "float32"), (24, 24), align_corners=aligned)
        expected = ops.grid_sample(
            sign(),
            grid,
            interpolation=interpolation,
            fill_mode=fill_mode,
            align_corners=aligned,
            data_format="channels_last",
        )
        np.testing.assert_allclose(crop, to_numpy(expected)[0], atol=ATOL)
        crops.append(crop)
    for one, other in itertools.combinations(crops, 2):
        assert np.abs(one - other).max() > 0.01


def test_dragging_the_centre_moves_the_crop(page):
    before = page.check()
    page.drag(page.handles()[0], 40, -25)
    width = page.part("overlay").rect["width"]
    moved = np.array([40, -25]) / width * 2 * 1.7
    a, b, x, d, e, y = page.theta()
    assert [a, b, d, e] == [1, 0, 0, 1]
    np.testing.assert_allclose([x, y], moved, atol=0.02)
    assert np.abs(page.check() - before).max() > 0.1


def test_dragging_an_edge_turns_and_scales(page):
    page.drag(page.handles()[1], -50, 30)
    a, b, x, d, e, y = page.theta()
    assert a < 0.9
    assert d > 0.1
    assert [b, x, e, y] == [0, 0, 1, 0]
    page.check()


def test_arrow_keys_move_a_handle(page):
    from selenium.webdriver.common.keys import Keys

    page.handles()[0].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert page.theta() == [1, 0, 0.1, 0, 1, -0.05]
    page.check()


def test_a_finger_drags_and_points(page):
    def touch(kind, *place):
        points = [{"x": place[0], "y": place[1]}] if place else []
        event = {"type": f"touch{kind}", "touchPoints": points}
        page.browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    def middle(element):
        box = element.rect
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # On a telephone, where a page is longer than the screen: the finger could scroll it as well.
    screen = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    switch = "Emulation.setTouchEmulationEnabled"
    page.browser.execute_cdp_cmd(switch, {"enabled": True, "maxTouchPoints": 1})
    try:
        x, y = middle(page.handles()[0])
        touch("Start", x, y)
        for step in (10, 20, 30, 40):
            touch("Move", x + step, y - step)
        touch("End")
        moved = 40 / page.part("overlay").rect["width"] * 2 * 1.7
        assert page.theta() == pytest.approx([1, 0, moved, 0, 1, -moved], abs=0.02)
        touch("Start", *middle(page.part("crop")))
        touch("End")
        assert re.match("Row 1[12], column 1[12] of the crop", page.part("readout").text)
    finally:
        page.browser.execute_cdp_cmd(switch, {"enabled": False})
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_spline_bends_where_its_control_point_is_dragged(page):
    page.choose("family", "thin-plate spline")
    identity = page.check()
    assert len(page.handles()) == 9
    page.drag(page.handles()[4], 30, 20)
    bent = page.check()
    # The corners stay; the middle, where the control point is, does not.
    corners = np.ix_([0, -1], [0, -1])
    np.testing.assert_allclose(bent[corners], identity[corners], atol=1e-6)
    assert np.abs(bent - identity)[10:14, 10:14].max() > 0.1
    code = page.part("code").get_attribute("textContent")
    assert "ThinPlateSpline" in code


def test_a_spline_begins_where_the_affine_transform_is(page):
    page.type(TURNED)
    affine = page.check()
    page.choose("family", "thin-plate spline")
    np.testing.assert_allclose(page.check(), affine, atol=1e-3)  # of theta's four decimals
    page.choose("family", "affine")
    np.testing.assert_allclose(page.check(), affine, atol=1e-9)


def test_every_preset(page):
    buttons = page.part("presets").find_elements("tag name", "button")
    thetas = []
    for button in buttons:
        button.click()
        thetas.append(tuple(page.theta()))
        page.check()
    assert len(set(thetas)) == len(buttons) == 6


def test_the_readout_says_where_a_pixel_is_read(page):
    from selenium.webdriver import ActionChains

    assert page.part("readout").text.startswith("Point at a pixel")
    page.type([0.5, 0, 0.2, 0, 0.5, 0])
    crop = page.part("crop")
    ActionChains(page.browser).move_to_element_with_offset(
        crop, round(-crop.rect["width"] / 2 + 3), round(-crop.rect["height"] / 2 + 3)
    ).perform()
    said = page.part("readout").text
    assert said.startswith("Row 0, column 0 of the crop reads the source at x = -0.300, y = -0.500")
    assert "row 10.50, column 14.70" in said
    shown = [float(x) for x in re.findall(r"[\d.]+", said.partition("blue: ")[2].rstrip("."))]
    np.testing.assert_allclose(shown, page.check()[0, 0], atol=0.006)


def test_what_is_no_number_changes_nothing(page):
    before = page.check()
    page.part("theta-a").clear()
    np.testing.assert_array_equal(page.crop(), before)


def test_a_narrow_window_needs_no_sideways_scrolling(page):
    size = page.browser.get_window_size()
    page.browser.set_window_size(500, 900)
    try:
        script = "return document.documentElement.scrollWidth - window.innerWidth"
        assert page.browser.execute_script(script) <= 0
    finally:
        page.browser.set_window_size(**{k: size[k] for k in ("width", "height")})


def test_nothing_goes_wrong_in_the_browser(page):
    page.choose("family", "thin-plate spline")
    page.resize(64)
    assert [entry for entry in page.browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_splines_are_the_librarys(page):
    rng = np.random.default_rng(0)
    spline = transforms.ThinPlateSpline(3)
    theta = (spline.identity() + rng.normal(scale=0.2, size=18)).astype("float32")
    points = rng.uniform(-1.2, 1.2, (20, 2)).astype("float32")
    moved = page.browser.execute_script(
        "const move = stn.spline(arguments[0]); return arguments[1].map(([x, y]) => move(x, y))",
        theta.reshape(9, 2).tolist(),
        points.tolist(),
    )
    expected = to_numpy(spline.transform_points(theta[None], points[None]))[0]
    np.testing.assert_allclose(moved, expected, atol=ATOL)
