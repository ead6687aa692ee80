// The audit trail: what somebody does stands there, is found by what and whose it was, and an auditor may read it.
"use strict";

const { api, assert, config, content, directory, open, play, signIn, signedIn } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

const SCRIPT = "<script>alert(1)</script>";

play(async (browser) => {
  const { organization } = await directory("Contoso");
  const stranger = await open(browser);
  await signIn(stranger, "not the password");
  await stranger.getByText("That is not the password.").waitFor();
  await stranger.context().close();
  const page = await signedIn(browser);
  await page.goto("/console/endpoints/new");
  await page.getByLabel("URL", { exact: true }).fill("https://app.contoso.example/webhooks");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("heading", { name: /added/i }).waitFor();
  await page.goto("/console/api-keys/new");
  await page.getByLabel("Name").fill(SCRIPT);
  await page.getByRole("radio", { name: /^Full/ }).check();
  await page.getByLabel("Organization").fill(organization);
  await page.getByRole("button", { name: "Make key" }).click();
  const key = await page.locator("#api-key").textContent();
  const answer = await fetch(`${config.base}/api_keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "more", scope: "full" }),
  });
  assert.equal(answer.status, 403);

  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("link", { name: "Audit trail" }).click();
  await page.getByRole("heading", { name: "Audit trail", level: 1 }).waitFor();
  const trail = page.getByRole("table", { name: "Audit trail" });
  assert.deepEqual(await trail.locator("tbody th > code").allTextContents(), [
    "api_key.created", "api_key.created", "webhook_endpoint.created", "console.signed_in", "console.sign_in_failed",
    "directory.created", "organization.created", "console.password_changed", "console.password_changed",
  ]);
  await trail.locator("tbody tr").first().getByText("refused").waitFor();
  await trail.locator("tbody tr").first().getByText(SCRIPT).waitFor();
  assert.equal((await page.content()).includes(key), false, "a secret is shown");
  await stands(page, "audit");

  await page.getByLabel("Organization").selectOption("Contoso Inc");
  await page.getByLabel("Action").selectOption("directory.created");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL(/action=directory.created/);
  assert.deepEqual(await trail.locator("tbody th > code").allTextContents(), ["directory.created"]);
  await page.getByLabel("Who").fill("nobody");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.getByText("No action fits").waitFor();
  await stands(page, "audit-empty");

  // More than a page has: the way leads back to the first of all.
  for (let number = 0; number < 60; number += 1) await api("POST", "/organizations", { name: `Customer ${number}` });
  await page.getByRole("link", { name: "Show every action" }).click();
  assert.equal(await trail.locator("tbody tr").count(), 50);
  await page.getByRole("link", { name: "Older →" }).click();
  await page.getByText("Back to the latest").waitFor();
  assert.equal(await trail.locator("tbody tr").count(), 19);
  content(page);

  const auditor = await open(browser);
  await signIn(auditor, config.auditor_password);
  await auditor.goto("/console/audit?actor=auditor");
  await auditor.getByRole("row", { name: /console.signed_in/ }).waitFor();
  content(auditor);
});
