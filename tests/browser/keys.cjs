// API keys: made, shown once, used, limited to an organization, revoked; and an auditor who may do none of it.
"use strict";

const { api, assert, config, content, directory, open, play, signIn, signedIn } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

const SCRIPT = "<script>alert(1)</script>";

// What the API says to a key.
async function asks(key, path) {
  return (await fetch(config.base + path, { headers: { authorization: `Bearer ${key}` } })).status;
}

async function make(page, name, scope, organization = "") {
  await page.goto("/console/api-keys/new");
  await page.getByLabel("Name").fill(name);
  await page.getByRole("radio", { name: scope }).check();
  await page.getByLabel("Organization").fill(organization);
  await page.getByRole("button", { name: "Make key" }).click();
}

play(async (browser) => {
  const { organization } = await directory("Contoso");
  const page = await signedIn(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  let alerted = false;
  page.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });
  await page.getByRole("link", { name: "API keys" }).click();
  await page.getByText("No keys", { exact: true }).waitFor();
  await stands(page, "api-keys-empty");

  // What is wrong stands at its field.
  await page.getByRole("link", { name: "Make a key" }).click();
  await stands(page, "api-key-new");
  await make(page, "Backend", /^Full/, "org_nonsense");
  await page.getByText("There is no such organization.").first().waitFor();
  assert.equal(await page.getByLabel("Organization").getAttribute("aria-invalid"), "true");
  assert.equal(await page.getByLabel("Name").inputValue(), "Backend");
  assert.equal(await page.getByRole("radio", { name: /^Full/ }).isChecked(), true);

  // Shown once, with a button to copy it.
  await make(page, "Backend", /^Read/);
  await page.getByRole("heading", { name: "Key made" }).waitFor();
  await stands(page, "api-key-made");
  const key = await page.locator("#api-key").textContent();
  await page.getByRole("button", { name: "Copy API key" }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  assert.match(key, /^sk_/);
  assert.equal(await asks(key, "/directories"), 200);
  assert.equal(await asks(key, `/directories?organization_id=${organization}`), 200);
  await page.reload();
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  assert.equal(await page.getByText(key).count(), 0);
  assert.equal((await api("GET", "/api_keys")).data.length, 1, "loading the page again makes no second one");

  await make(page, "Contoso reports", /^Read/, organization);
  await page.goto("/console/api-keys");
  await page.getByRole("row", { name: /Contoso reports.*Contoso Inc/ }).waitFor();
  await stands(page, "api-keys");

  // One that is limited, from the page of its organization, under a name that is text.
  await page.goto(`/console/organizations/${organization}`);
  await page.getByRole("link", { name: "Make an API key for it" }).click();
  assert.equal(await page.getByLabel("Organization").inputValue(), organization);
  await page.getByLabel("Name").fill(SCRIPT);
  await page.getByRole("radio", { name: /^Full/ }).check();
  await page.getByRole("button", { name: "Make key" }).click();
  const limited = await page.locator("#api-key").textContent();
  const other = (await api("POST", "/organizations", { name: "Other" })).id;
  assert.equal(await asks(limited, `/organizations/${organization}`), 200);
  assert.equal(await asks(limited, `/organizations/${other}`), 404);
  await page.goto("/console/api-keys");
  const row = page.getByRole("row", { name: SCRIPT });
  await row.getByRole("link", { name: "Contoso Inc" }).waitFor();
  await page.getByRole("row", { name: /Backend read/ }).waitFor();

  // Revoked, after a question; again is no error.
  await page.getByRole("row", { name: /Backend/ }).getByRole("link", { name: "Revoke" }).click();
  await page.getByText("Whatever uses it is turned away").waitFor();
  await stands(page, "api-key-revoke");
  assert.equal(await asks(key, "/directories"), 200);
  const question = page.url();
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  assert.equal(await asks(key, "/directories"), 401);
  assert.equal(await page.getByRole("row", { name: /Backend/ }).count(), 0);
  assert.equal((await page.goto(question)).status(), 404);
  content(page);
  assert.equal(alerted, false, "nothing from outside runs");

  const auditor = await open(browser);
  await signIn(auditor, config.auditor_password);
  await auditor.goto("/console/api-keys");
  await auditor.getByRole("row", { name: SCRIPT }).waitFor();
  assert.equal((await auditor.goto("/console/api-keys/new")).status(), 403);
  await stands(auditor, "refused");
  await auditor.goto("/console/api-keys");
  assert.equal(await auditor.getByRole("link", { name: /Make a key|Revoke/ }).count(), 0);
  const { id } = (await api("GET", "/api_keys")).data[0];
  for (const path of ["/console/api-keys/new", `/console/api-keys/${id}/revoke`]) {
    const refused = await auditor.evaluate(async (path) => {
      const csrf = document.querySelector("input[name=csrf]").value;
      const body = new URLSearchParams({ csrf, name: "x", scope: "full" });
      return [(await fetch(path)).status, (await fetch(path, { method: "POST", body })).status];
    }, path);
    assert.deepEqual(refused, [403, 403], path);
  }
  assert.equal(await asks(limited, "/organizations"), 200, "it is still there");
});
