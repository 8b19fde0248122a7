"""The API page as a person uses it: by its labels and buttons."""

import json
from typing import Any

from playwright.async_api import Locator, Page, expect


class ApiPage:
    """Swagger UI with our document."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def authorize(self, scheme: str, token: str) -> None:
        """Enter a token in the dialog, after removing any earlier one."""
        await self._page.locator(".auth-wrapper .btn.authorize").click()
        dialog = self._page.locator(".modal-ux")
        for logout in await dialog.get_by_role("button", name="Remove authorization").all():
            await logout.click()
        part = dialog.locator(".auth-container").filter(has=self._page.locator("h4", has_text=scheme))
        await part.get_by_role("textbox").fill(token)
        await part.get_by_role("button", name="Apply credentials").click()
        await part.get_by_role("button", name="Close").click()
        await expect(dialog).to_have_count(0)

    async def body(self, method: str, path: str) -> str:
        """The text in the body field of an open operation."""
        field = self._operation(method, path).locator("textarea.body-param__text")
        return await field.input_value()

    def _operation(self, method: str, path: str) -> Locator:
        return self._page.locator(f".opblock-{method.lower()}").filter(
            has=self._page.locator(f'[data-path="{path}"]')
        )

    async def execute(self, method: str, path: str, body: Any = None, **parameters: str) -> tuple[int, Any]:
        """Open an operation and try it out; return the status and the body that the page shows."""
        operation = self._operation(method, path)
        clear = operation.get_by_role("button", name="Clear")
        if await clear.count():  # it is still open
            await clear.click()
        else:
            await operation.locator(".opblock-summary-control").click()
            await operation.get_by_role("button", name="Try it out").click()
        for name, text in parameters.items():
            row = operation.locator(f'tr[data-param-name="{name}"]')
            await row.locator("input, select, textarea").first.fill(text)
        if body is not None:
            await operation.locator("textarea.body-param__text").fill(json.dumps(body))
        await operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        status = int(await answer.locator("tr.response td.response-col_status").inner_text())
        shown = answer.locator("td.response-col_description .highlight-code code")
        text = await shown.first.inner_text() if await shown.count() else ""
        return status, json.loads(text) if text else None
