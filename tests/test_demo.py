"""The page that draws in the browser, in a real Chromium: its pixels are torch's."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
import torch
from browser import Page, opened, served
from conftest import GET, SHAPE, VIT
from test_cli_commands import refusal, run, write_student

import get
from get.export import demo
from get.sampling.one_step import great_circle
from get.storage.errors import UserError

pytestmark = pytest.mark.workflow  # it takes a browser, and a package of npm
pytest.importorskip("onnxruntime")
STUDENTS = ["digits/get-48", "digits/vit-48"]
PAINTED = """
return demo.models.map(model => model.cells.filter(cell => !cell.hidden).map(cell => {
    const canvas = cell.firstChild, size = [0, 0, canvas.width, canvas.height];
    return [...canvas.getContext("2d").getImageData(...size).data];
}));
"""
STATUS = "document.getElementById('status').textContent"
GIVEN = """
const given = demo.inputs();
return {noise: [...given.noise], labels: given.labels, count: given.count,
        states: demo.models.map(model => [...(model.state ?? [])])};
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of ONNX Runtime Web, as npm fetches it."""
    try:
        return demo._fetched(tmp_path_factory.mktemp("npm"))
    except UserError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(runtime: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "page"
    run("demo", *STUDENTS, "--pairs", pairs.parent, "--runtime", runtime, "--out", out)
    return out


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address at which the folder is served."""
    with served(folder) as found:
        yield found


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if browser.missing() and not os.environ.get("CI"):
        pytest.skip(f"no {', '.join(browser.missing())}")
    with opened(address, tmp_path_factory.mktemp("browser")) as found:
        wait(found, "return Boolean(window.demo)")
        yield found


def wait(page: Page, condition: str) -> None:
    """Wait until a script returns true."""
    end = time.monotonic() + browser.PATIENCE
    while not page.driver.execute_script(condition):
        told = page.driver.execute_script("return document.getElementById('status').textContent")
        assert time.monotonic() < end, told
        time.sleep(0.1)


def do(page: Page, script: str) -> None:
    """Run a script and wait for what it draws."""
    page.driver.execute_async_script(f"const done = arguments[0]; {script}; demo.draw().then(() => done())")


def assert_painted_as_torch_draws(page: Page) -> None:
    given, painted = page.driver.execute_script(GIVEN), page.driver.execute_script(PAINTED)
    noise = torch.tensor(given["noise"]).view(-1, 1, 8, 8)
    assert len(painted) == 2
    for name, cells, state in zip(STUDENTS, painted, given["states"], strict=True):
        student = get.load(name, "cpu").network
        z_0 = torch.tensor(state).view(given["count"], *student.state_shape) if state else None
        images = student.generate(noise, torch.tensor(given["labels"]), z_0).images
        expected = (images * 127.5 + 128).clip(0, 255).byte().numpy().reshape(given["count"], 64)
        pixels = np.array(cells).reshape(given["count"], 64, 4)
        assert (pixels[:, :, 3] == 255).all()
        for channel in range(3):
            assert np.abs(pixels[:, :, channel] - expected.astype(int)).max() <= 1
        assert expected.std() > 50  # digits, not grey


def test_the_pixels_are_torchs(page: Page) -> None:
    assert (
        page.driver.execute_script("return demo.inputs().labels.slice(0, 12).join()")
        == "0,1,2,3,4,5,6,7,8,9,0,1"
    )
    assert_painted_as_torch_draws(page)
    before = page.driver.execute_script(PAINTED)
    do(page, "document.getElementById('seed').value = 7; document.getElementById('class').value = 3")
    assert set(page.driver.execute_script("return demo.inputs().labels")) == {3}
    assert_painted_as_torch_draws(page)
    assert page.driver.execute_script(PAINTED) != before
    do(page, "document.getElementById('seed').value = 0; document.getElementById('class').value = ''")
    assert page.driver.execute_script(PAINTED) == before
    assert not page.errors()


def test_the_draws_are_normal(page: Page) -> None:
    given = page.driver.execute_script(GIVEN)
    for values in (given["noise"], given["states"][0]):
        assert abs(np.mean(values)) < 0.06
        assert abs(np.std(values) - 1) < 0.06
    assert abs(np.corrcoef(given["noise"], given["states"][0][: len(given["noise"])])[0, 1]) < 0.06


def test_iterations_are_shown(page: Page) -> None:
    big = "const c = demo.models[0].big; return [...c.getContext('2d').getImageData(0, 0, 8, 8).data]"
    page.driver.execute_script("demo.models[0].cells[5].click()")
    wait(page, "return demo.models[0].cells[5].getAttribute('aria-pressed') === 'true'")
    seen = {}
    for k in (1, 2, 6):
        page.driver.execute_script(
            f"const s = demo.models[0].slider; s.value = {k}; s.dispatchEvent(new Event('input'))"
        )
        seen[k] = np.array(page.driver.execute_script(big)).reshape(64, 4)[:, 0]
        assert f"iteration {k} of 6" in page.driver.execute_script("return demo.models[0].note.textContent")
    given = page.driver.execute_script(GIVEN)
    student = get.load("digits/get-48", "cpu")
    noise, state = torch.tensor(given["noise"]).view(-1, 1, 8, 8), torch.tensor(given["states"][0])
    z_0 = state.view(given["count"], *student.network.state_shape)
    found = student.network.trajectory(noise, torch.tensor(given["labels"]), z_0)
    for k, pixels in seen.items():
        expected = (found.images[k - 1, 5] * 127.5 + 128).clip(0, 255).byte().flatten().numpy()
        assert np.abs(pixels - expected.astype(int)).max() <= 1
    assert page.driver.execute_script("return demo.models[0].plot.querySelectorAll('path').length") == 1
    residuals = page.driver.execute_script("return demo.models[0].found.residuals.map(r => r[5])")
    assert residuals == pytest.approx(found.residuals[:, 5].tolist(), rel=1e-3)


def test_the_way_from_one_noise_to_another(page: Page) -> None:
    page.driver.execute_script("demo.models[0].cells[5].click()")
    page.driver.execute_script(
        "const t = document.getElementById('t'); t.value = 0.2; t.dispatchEvent(new Event('input'))"
    )
    do(page, "")
    given = page.driver.execute_script(GIVEN)
    noise = torch.tensor(given["noise"]).view(-1, 1, 8, 8)
    between, label = great_circle(noise[5], noise[6], 6)[1:2], torch.tensor([5])
    for number, name in enumerate(STUDENTS):
        student, state = get.load(name, "cpu").network, given["states"][number]
        z_0 = torch.tensor(state).view(-1, *student.state_shape)[5:6] if student.state_shape else None
        expected = (student.generate(between, label, z_0).images * 127.5 + 128).clip(0, 255).byte().flatten()
        canvas = f"demo.models[{number}].blend.getContext('2d').getImageData(0, 0, 8, 8).data"
        shown = np.array(page.driver.execute_script(f"return [...{canvas}]")).reshape(64, 4)[:, 0]
        assert np.abs(shown - expected.int().numpy()).max() <= 1


def test_the_teacher_stands_beside(page: Page, pairs: Path) -> None:
    do(page, "document.getElementById('pairs').checked = true")
    _, image, label = get.open_pairs(pairs).batch(torch.arange(40))
    assert page.driver.execute_script("return demo.inputs().labels") == label.tolist()
    assert_painted_as_torch_draws(page)
    canvas = "document.querySelector('#models article:last-child div.grid div:nth-child(4) canvas')"
    shown = page.driver.execute_script(f"return [...{canvas}.getContext('2d').getImageData(0, 0, 8, 8).data]")
    expected = (image[3].float() * 127.5 + 128).clip(0, 255).byte().flatten()
    assert np.array(shown).reshape(64, 4)[:, 0].tolist() == expected.tolist()
    do(page, "document.getElementById('pairs').checked = false")
    assert page.driver.execute_script("return document.querySelector('#models article:last-child').hidden")


def test_keys(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    do(page, "document.getElementById('seed').value = 0")
    body = page.driver.find_element("tag name", "body")
    body.send_keys("n")
    wait(page, "return document.getElementById('seed').value === '1'")
    page.driver.execute_script("demo.models[0].cells[0].click()")
    body.send_keys(Keys.ARROW_RIGHT)
    wait(page, "return demo.models[1].cells[1].getAttribute('aria-pressed') === 'true'")
    # A chosen class keeps the key of new noise, and a seed that cannot be is shown as it is used
    page.driver.find_element("id", "class").send_keys("N")
    wait(page, "return document.getElementById('seed').value === '2'")
    do(page, "document.getElementById('seed').value = -5")
    assert page.driver.execute_script("return document.getElementById('seed').value") == "4294967291"
    do(page, "document.getElementById('seed').value = 0")
    assert not page.errors()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_it_fits_phones_and_screens(page: Page, width: int, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.driver.save_screenshot(str(page.folder / f"{width}-{scheme}.png"))
    assert page.driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    colour = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) < 384
    assert dark == (scheme == "dark")


def test_models_that_do_not_belong_together(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_student(tmp_path / "other.safetensors", {**SHAPE, **VIT, "conditioning": "none"})
    colour = write_student(tmp_path / "colour.safetensors", {**SHAPE, **GET, "channels": 3})
    for path in (other, colour):
        told = refusal(capsys, "demo", "digits/get-48", path, "--out", tmp_path / "page")
        assert "differ in shape or classes" in told
    (tmp_path / "no.tgz").write_bytes(b"x")
    told = refusal(
        capsys, "demo", "digits/get-48", "--runtime", tmp_path / "no.tgz", "--out", tmp_path / "page"
    )
    assert "no.tgz" in told
    assert not (tmp_path / "page").exists()
    facts = json.loads((folder / "demo.json").read_text())
    assert [model["title"].split(",")[0] for model in facts["models"]] == ["GET", "ViT"]


def test_a_page_that_cannot_work_says_why(folder: Path, tmp_path: Path) -> None:
    if browser.missing() and not os.environ.get("CI"):
        pytest.skip(f"no {', '.join(browser.missing())}")
    broken = shutil.copytree(folder, tmp_path / "page")
    (broken / "demo.json").write_text("{")
    with served(broken) as address, opened(address, tmp_path) as page:
        wait(page, f"return {STATUS}.startsWith('This did not work: ')")
        page.driver.get((folder / "index.html").as_uri())
        wait(page, f"return {STATUS}.includes('python -m http.server')")


def test_a_student_may_come_twice(runtime: Path, tmp_path: Path) -> None:
    run("demo", *["digits/vit-48"] * 2, "--runtime", runtime, "--out", tmp_path / "page")
    models = json.loads((tmp_path / "page/demo.json").read_text())["models"]
    assert [model["name"] for model in models] == ["digits-vit-48-0", "digits-vit-48-1"]


def test_without_npm_it_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"--runtime FILE\.tgz"):
        demo._fetched(tmp_path)
