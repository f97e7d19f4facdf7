"""The main job, in a browser: asked for, approved, launched, opened, computed in, extended, stopped, gone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import NO_BROWSER, chromium, compute_in, sign_in
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)]

DEMO_PASSWORD, LAB_PASSWORD = "open-the-labs", "forty-two is 6*7"
KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")


def kubectl(stack: Stack) -> str:
    """What is in the course's namespace, as an operator sees it."""
    done = subprocess.run(
        [str(KUBECTL), "--kubeconfig", str(stack.kubeconfig), "get", "pod,svc,ingress,secret", "-n", "ml-physics-250", "-o", "name"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_member_gets_a_private_jupyterlab_and_it_is_gone_afterwards(any_stack: Stack) -> None:
    stack = any_stack
    with chromium() as browser:
        member = browser.new_page()
        _ask_for_access(member, stack)
        _approve(browser, stack)
        _launch(member, stack)
        _compute(member)
        processes = _lab_processes(stack)
        _check_secrets(stack, processes)
        _extend_and_stop(member, stack)
    assert not [*_lab_processes(stack), *filter(_runs, processes)], "no process of the lab is left"


def _ask_for_access(page: Page, stack: Stack) -> None:
    sign_in(page, stack.url, "new@example.org", DEMO_PASSWORD)
    page.goto(f"{stack.url}/i/physics-250/")
    expect(page.get_by_role("link", name="Launch")).to_have_count(0)
    page.fill("textarea[name=reason]", "I take the course this term.")
    page.get_by_role("button", name=re.compile("Request access|Ask for access")).click()
    expect(page.locator("main")).to_contain_text("Waiting for approval")


def _approve(browser: Browser, stack: Stack) -> None:
    page = browser.new_context().new_page()
    sign_in(page, stack.url, "owner@example.org", DEMO_PASSWORD)
    page.goto(f"{stack.url}/console/")
    row = page.locator("li", has_text="new@example.org")
    row.get_by_role("button", name="Approve").click()
    expect(page.locator(".c-requests li", has_text="new@example.org")).to_have_count(0)
    page.context.close()


def _launch(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/i/physics-250/launch/jupyterlab/")
    page.fill("input[name=name]", "answer")
    page.fill("input[name=cpu]", "0.5")
    page.fill("input[name=password]", LAB_PASSWORD)
    page.get_by_role("button", name="Launch", exact=True).click()
    link = page.get_by_role("link", name="Open JupyterLab")
    expect(link).to_be_visible(timeout=60_000)
    assert LAB_PASSWORD not in page.content()


def _compute(page: Page) -> None:
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open JupyterLab").first.click()
    lab = opened.value
    compute_in(lab, LAB_PASSWORD)
    lab.close()


def _lab_processes(stack: Stack) -> list[psutil.Process]:
    """Those that the stack's own node has started: another site may run labs on this machine."""
    found = [process for process in psutil.process_iter() if "--ServerApp.port=8888" in _command(process)]
    return [
        process for process in found if any(stack.node_folder in " ".join(_command(one)) for one in _parents(process))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _check_secrets(stack: Stack, running: list[psutil.Process]) -> None:
    """Invariants 3 and 5: no secret in arguments, environment or logs; no credentials of the cluster in the lab."""
    hashed = stack.shell("from labs.models import Lab; print(Lab.objects.get(name='answer').password_hash)")
    assert hashed.startswith("argon2:")
    assert running
    for process in running:
        environment = process.environ()
        for text in [*process.cmdline(), *environment.values()]:
            assert LAB_PASSWORD not in text
            assert hashed not in text
        assert not [name for name in environment if "SECRET" in name or "KUBE" in name or "DATABASE" in name]
    logs = "".join(path.read_text(errors="replace") for path in stack.folder.glob("*.log"))
    assert LAB_PASSWORD not in logs
    assert hashed not in logs
    pod = stack.client().list("Pod", "ml-physics-250").items[0]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert hashed not in str(pod)
    assert LAB_PASSWORD not in str(pod)


def _extend_and_stop(page: Page, stack: Stack) -> None:
    before = stack.shell("from labs.models import Lab; print(Lab.objects.get(name='answer').expires_at.timestamp())")
    page.goto(f"{stack.url}/labs/")
    page.get_by_role("link", name="answer").first.click()
    form = page.locator("#extend form")
    form.locator("input[name=more]").fill("2")
    form.get_by_role("button", name="Extend").click()
    page.wait_for_load_state()
    after = stack.shell("from labs.models import Lab; print(Lab.objects.get(name='answer').expires_at.timestamp())")
    assert float(after) - float(before) == 2 * 3600
    page.locator("summary", has_text="Stop").first.click()
    page.get_by_role("button", name="Stop lab").click()
    expect(page.locator("main")).to_contain_text("You stopped this lab", timeout=30_000)
    until(lambda: not kubectl(stack), 60, "nothing of the lab is left on the cluster")
    until(lambda: "answer" in _history(page, stack), 30, "it is in the history")


def _history(page: Page, stack: Stack) -> str:
    page.goto(f"{stack.url}/labs/history/")
    return page.locator("main").inner_text()
