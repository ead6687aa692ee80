// The settings: every one with its value and its source, and no secret among them.
"use strict";

const { assert, config, content, open, play, signIn, signedIn } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

play(async (browser) => {
  const page = await signedIn(browser);
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("heading", { name: "Settings", level: 1 }).waitFor();
  const row = async (key) => {
    const cells = page.locator("tbody tr").filter({ has: page.locator("th", { hasText: new RegExp(`^${key}$`) }) });
    return cells.locator("td").first().locator("p").allTextContents();
  };
  assert.deepEqual(await row("console_password"), ["set", "environment DSYNC_CONSOLE_PASSWORD"]);
  assert.deepEqual(await row("api_key"), ["set", "environment DSYNC_API_KEY"]);
  assert.deepEqual(await row("api_rate_limit"), ["100", "default"]);
  assert.deepEqual(await row("egress_proxy"), [
    "not set: webhooks go out directly; the proxy variables of the environment are not read", "default",
  ]);
  assert.deepEqual(await row("attempts_kept"), ["20000", "environment DSYNC_ATTEMPTS_KEPT"]);
  const html = await page.content();
  for (const secret of [config.password, config.auditor_password, config.api_key]) {
    assert.equal(html.includes(`>${secret}<`), false, "a secret is shown");
  }
  await page.getByText(/^\d+\.\d+\.\d+/).first().waitFor();
  await stands(page, "settings");
  content(page);

  const auditor = await open(browser);
  await signIn(auditor, config.auditor_password);
  await auditor.goto("/console/settings");
  await auditor.getByRole("heading", { name: "Effective settings" }).waitFor();
  content(auditor);
});
