// The guide of docs/console.md: a developer adds a directory, an IT admin connects Entra ID, and the developer watches.
"use strict";

const { Entra, api, assert, content, eventually, play, signedIn, watched } = require("./browser.cjs");

const SCRIPT = "<script>alert(1)</script>";
// Hebrew and Arabic, and a mark that turns around what follows where nothing keeps it in.
const RIGHT_TO_LEFT = "\u202eשלום مرحبا";

play(async (browser) => {
  const page = await signedIn(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  let alerted = false;
  page.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });

  // 1: the organization, "Add directory", the old name of Entra ID, a name.
  await page.getByRole("link", { name: "Organizations" }).click();
  await page.getByText("No organizations yet").waitFor();
  await page.getByRole("link", { name: "Add organization" }).first().click();
  await page.getByLabel("Name").fill("Contoso");
  await page.getByLabel("Domains").fill("contoso.example, contoso.test");
  await page.getByRole("button", { name: "Add organization" }).click();
  await page.getByRole("heading", { name: "Contoso" }).waitFor();
  await page.getByRole("link", { name: "Add directory" }).first().click();
  await page.getByRole("searchbox", { name: "Search providers" }).pressSequentially("azure ad scim");
  await eventually("the list narrows", async () => (await page.getByRole("radio").count()) === 1);
  await page.getByRole("radio", { name: /Microsoft Entra ID/ }).check();
  await page.getByLabel("Name").fill("Contoso Entra ID");
  await page.getByRole("button", { name: "Create directory" }).click();

  // The endpoint and the token, once, to copy.
  await page.getByRole("heading", { name: "Directory created" }).waitFor();
  const endpoint = await page.locator("#endpoint").textContent();
  const token = await page.locator("#bearer-token").textContent();
  await page.getByRole("button", { name: "Copy Bearer token" }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
  await page.reload();
  await page.getByRole("heading", { name: "Contoso Entra ID" }).waitFor();
  assert.equal(await page.getByText(token).count(), 0, "the token is shown once");
  assert.equal(await page.locator("#endpoint").textContent(), endpoint);
  const { data } = await api("GET", "/directories");
  assert.equal(data.length, 1, "loading the page again makes no second one");

  // 3: Test Connection. A wrong token first, which is explained.
  await page.getByText("Waiting for the identity provider", { exact: true }).waitFor();
  assert.equal((await new Entra(endpoint, "wrong").testConnection()).status, 401);
  await page.getByRole("cell", { name: "401" }).waitFor();
  const entra = new Entra(endpoint, token);
  const tested = await entra.testConnection();
  assert.deepEqual([tested.status, tested.body.totalResults], [200, 0]);
  await page.locator(".status").getByText("connected").waitFor();
  // Readers of screens are told.
  await page.locator("#said").getByText("connected", { exact: true }).waitFor({ state: "attached" });
  await page.getByRole("row", { name: /GET \/Users/ }).first().waitFor();
  content(page);

  // 6: users and groups arrive while the developer watches.
  const live = watched(await page.context().newPage());
  await live.goto("/console/events");
  await live.getByText("Live: new events").waitFor();
  const adele = await entra.user("adele@contoso.example", { displayName: SCRIPT, name: { formatted: SCRIPT } });
  const dana = await entra.user("dana@contoso.example", { name: { formatted: RIGHT_TO_LEFT } });
  await entra.group("Sales", [adele, dana]);
  const lines = live.locator("#entries > li");
  await live.locator("#entries").getByText("dsync.group.user_added").nth(1).waitFor();
  const kinds = await live.locator(".entry-kind").allTextContents();
  assert.deepEqual(kinds.slice(0, 5), [
    "dsync.group.user_added", "dsync.group.user_added", "dsync.group.created", "dsync.user.created",
    "dsync.user.created",
  ]);
  assert.equal(await lines.getByText(SCRIPT).count() > 0, true, "it is text");
  await eventually("the counts follow", async () => {
    const tiles = await page.locator(".tiles .figure").allTextContents();
    return tiles[0] === "2" && tiles[1] === "1";
  });

  // An event opens to its JSON, and to the request that caused it.
  await lines.first().locator("summary").click();
  await lines.first().getByRole("heading", { name: "Caused by" }).waitFor();
  await lines.first().locator(".json").getByText('"event": "dsync.group.user_added"').waitFor();
  await lines.first().getByRole("link", { name: "POST /Groups" }).click();
  await live.getByRole("heading", { name: "POST /Groups" }).waitFor();
  assert.equal(await live.locator("#caused ~ ol .entry, .entries .entry").count(), 3);

  // The users, found as one types, and one of them with everything known of it.
  await page.getByRole("link", { name: /users$/ }).click();
  await page.getByRole("row").nth(2).waitFor();
  await page.getByRole("searchbox").pressSequentially("ADE");
  await eventually("the list narrows", async () => (await page.locator("tbody tr").count()) === 1);
  await page.locator("tbody a").click();
  await page.getByRole("heading", { name: SCRIPT, level: 1 }).waitFor();
  await page.getByRole("link", { name: "Sales" }).waitFor();
  await page.locator(".entry-kind").getByText("dsync.user.created").waitFor();

  // A change shows without a reload, and what was open stays open.
  await page.locator(".entry summary").first().click();
  await page.locator(".entry .json").first().waitFor();
  await entra.send("PATCH", `/Users/${adele}`, {
    schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    Operations: [{ op: "Replace", path: "title", value: RIGHT_TO_LEFT }],
  });
  await page.locator(".facts").getByText(RIGHT_TO_LEFT).waitFor();
  await page.locator(".entry-kind").getByText("dsync.user.updated").waitFor();
  assert.equal(await page.locator(".entry details[open] .json").count(), 1);

  // The token is rotated: the second, the third refused, the first revoked.
  await page.goto(`/console/directories/${data[0].id}`);
  await page.getByRole("link", { name: "Make token" }).click();
  await page.getByRole("button", { name: "Make token" }).click();
  await page.getByRole("heading", { name: "Token made" }).waitFor();
  const second = await page.locator("#bearer-token").textContent();
  await page.goto(`/console/directories/${data[0].id}/tokens/new`);
  await page.getByRole("button", { name: "Make token" }).click();
  await page.getByRole("alert").getByText("Revoke one first").waitFor();
  await page.goto(`/console/directories/${data[0].id}`);
  await page.getByRole("link", { name: `Revoke the token that ends in ${token.slice(-4)}` }).click();
  await page.getByRole("button", { name: "Revoke token" }).click();
  await page.getByRole("heading", { name: "Contoso Entra ID" }).waitFor();
  assert.equal((await entra.testConnection()).status, 401);
  assert.equal((await new Entra(endpoint, second).testConnection()).status, 200);

  // Deleting asks for the name.
  await page.getByRole("link", { name: "Delete directory" }).click();
  await page.getByLabel("Name of the directory").fill("Contoso");
  await page.getByRole("button", { name: "Delete directory" }).click();
  await page.getByText("That is not the name of the directory.").first().waitFor();
  await page.getByLabel("Name of the directory").fill("Contoso Entra ID");
  await page.getByRole("button", { name: "Delete directory" }).click();
  await page.getByText("No directories yet").waitFor();
  assert.equal(alerted, false, "nothing from outside runs");
  content(page);
  content(live);
});
