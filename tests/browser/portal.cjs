// The setup pages: an IT admin opens a link, chooses Entra ID, follows the guide, and sees every step tick by itself.
"use strict";

const { Entra, Wire, api, assert, config, content, eventually, open, play, watched } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");
const { weigh } = require("./page_checks.cjs");

const SCRIPT = "<script>alert(1)</script>";
// Hebrew and Arabic, and a mark that turns around what follows where nothing keeps it in.
const RIGHT_TO_LEFT = "\u202eשלום مرحبا";
const PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

let objects = 0;
const objectId = () => `0d2f4f1e-9b3c-4a7f-8e21-${String(++objects).padStart(12, "0")}`;

async function link(organization) {
  const made = await api("POST", "/portal/generate_link", {
    organization, return_url: `${config.base}/healthz?back`, success_url: `${config.base}/healthz?done`,
  });
  return new URL(made.link).pathname;
}

async function opened(browser, organization, options) {
  const page = await open(browser, options);
  await page.goto(await link(organization));
  await page.getByRole("button", { name: "Open the setup page" }).click();
  await page.getByRole("heading", { name: /^Directory sync for/ }).waitFor();
  return page;
}

const look = (page, name) => stands(page, `setup-${name}`);

const ticked = async (page) => (await page.locator(".steps .tick").all())
  .reduce(async (sum, tick) => (await sum) + (await tick.getAttribute("class")).includes("done"), Promise.resolve(0));
const finding = (page, name) => page.locator("#check-up").getByRole("heading", { name });
const gone = (page, name) => finding(page, name).waitFor({ state: "detached" });
const milestone = (page, text) => page.locator("#milestones").getByText(text).waitFor();

// What stands on a page from one sight to the next must not have been loaded anew.
async function stays(page, act) {
  await page.evaluate(() => { window.isTheSame = true; });
  await act();
  assert.equal(await page.evaluate(() => window.isTheSame), true, "the page was loaded anew");
}

// Steps 1 to 3: the provider, the endpoint and the token, and a test of the connection.
async function connect(browser, page) {
  await look(page, "choose");
  const before = await api("GET", "/directories");
  assert.equal(before.data.length, 0);
  await page.getByRole("radio", { name: /Microsoft Entra ID.*Azure AD SCIM v2.0/ }).check();
  await page.getByLabel("Name").fill("Contoso Entra ID");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Contoso Entra ID", level: 1 }).waitFor();
  await page.getByText("It is shown this once").waitFor();
  await look(page, "created");
  const endpoint = await page.locator("#endpoint").textContent();
  const token = await page.locator("#bearer-token").textContent();
  for (const [name, value] of [["Tenant URL", endpoint], ["Secret Token", token]]) {
    await page.getByRole("button", { name: `Copy ${name}` }).click();
    await page.getByText("Copied").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), value);
    await page.getByText("Copied").waitFor({ state: "detached" });
  }
  assert.equal(await ticked(page), 0);
  await milestone(page, "Waiting for a connection test");

  await stays(page, async () => {
    assert.equal((await new Entra(endpoint, "wrong").testConnection()).status, 401);
    await finding(page, "The token is not accepted").waitFor();
    await look(page, "wrong-token");
    const tested = await new Entra(endpoint, token).testConnection();
    assert.deepEqual([tested.status, tested.body.totalResults], [200, 0]);
    await milestone(page, "Connection test received");
    await gone(page, "The token is not accepted");
    assert.equal(await ticked(page), 2);
    // What is shown once stays while the rest changes.
    assert.equal(await page.locator("#bearer-token").textContent(), token);
  });
  assert.ok(new URL(page.url()).pathname.startsWith("/setup/directories/"), page.url());
  await page.reload();
  await milestone(page, "Connection test received");
  assert.equal(await page.getByText(token).count(), 0, "the token is shown once");
  assert.equal(await ticked(page), 2, "a step that was ticked stays ticked");
  return { endpoint, entra: new Entra(endpoint, token) };
}

// Steps 4 to 6: users without and with addresses, groups without and with members.
async function provision(page, entra) {
  const first = await (async () => {
    let id;
    await stays(page, async () => {
      id = await entra.user("adele@contoso.example", { externalId: objectId(), emails: [] });
      await milestone(page, "First user arrived");
      await finding(page, "Users have no e-mail address").waitFor();
      assert.equal(await ticked(page), 5);
      await page.locator("#check-up").getByText('emails[type eq "work"].value').waitFor();
      await look(page, "no-emails");
    });
    return id;
  })();
  await page.getByRole("button", { name: "Use the user name as address" }).click();
  await gone(page, "Users have no e-mail address");
  await eventually("apps are told", async () => {
    const { data: [directory] } = await api("GET", "/directories");
    const { data } = await api("GET", `/directory_users?directory=${directory.id}`);
    return data[0]?.email === "adele@contoso.example";
  });

  await stays(page, async () => {
    // Names from outside are text, whatever is in them.
    const odd = await entra.user(SCRIPT, { externalId: RIGHT_TO_LEFT, emails: [] });
    await finding(page, "Users have no e-mail address").waitFor();
    await page.locator("#check-up bdi").getByText(SCRIPT).waitFor();
    await page.locator("#check-up bdi").getByText(RIGHT_TO_LEFT).waitFor();
    await finding(page, "objectId is not mapped to externalId").waitFor();
    assert.equal(await page.getByRole("button", { name: "Use the user name" }).count(), 0);
    await look(page, "odd-names");
    const mended = await entra.send("PATCH", `/Users/${odd}`, {
      schemas: [PATCH],
      Operations: [
        { op: "Replace", path: "externalId", value: objectId() },
        { op: "Replace", path: 'emails[type eq "work"].value', value: "odd@contoso.example" },
      ],
    });
    assert.equal(mended.status, 200);
    await gone(page, "Users have no e-mail address");
    await gone(page, "objectId is not mapped to externalId");

    const group = await entra.group(RIGHT_TO_LEFT, []);
    await milestone(page, "Groups are arriving");
    await finding(page, "A group has no members").waitFor();
    assert.equal(await ticked(page), 5);
    await look(page, "empty-group");
    const added = await entra.send("PATCH", `/Groups/${group}`, {
      schemas: [PATCH], Operations: [{ op: "Add", path: "members", value: [{ value: first }, { value: odd }] }],
    });
    assert.ok([200, 204].includes(added.status));
    await milestone(page, "Groups have members");
    await gone(page, "A group has no members");
    assert.equal(await ticked(page), 6);
    const counts = page.locator("#side .figure");
    assert.deepEqual(await counts.allTextContents(), ["2", "1", "2"]);

    // A request that is refused is explained.
    const refused = await entra.send("POST", "/Users", {
      schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"], userName: "ADELE@contoso.example",
    });
    assert.equal(refused.status, 409);
    await finding(page, "A request was refused").waitFor();
    await look(page, "refused");
  });
}

// The token is replaced without a gap.
async function rotate(page, endpoint, entra) {
  await page.getByRole("button", { name: "Rotate the token" }).click();
  await page.getByText("It is shown this once").waitFor();
  const second = await page.locator("#bearer-token").textContent();
  assert.notEqual(second, entra.token);
  await look(page, "rotated");
  await finding(page, "The old token is still used").waitFor();
  assert.equal((await entra.testConnection()).status, 200, "the old one works on");
  await stays(page, async () => {
    assert.equal((await new Entra(endpoint, second).testConnection()).status, 200);
    await finding(page, "A token is not needed any more").waitFor();
  });
  const old = entra.token.slice(-4);
  await page.getByRole("link", { name: `Revoke the token that ends in ${second.slice(-4)}` }).click();
  await page.getByText("Nothing arrives any more", { exact: false }).or(page.getByRole("alert")).first().waitFor();
  await look(page, "revoke");
  await page.getByRole("link", { name: "Cancel" }).click();
  // It ends by itself, unless somebody takes that back.
  const toOld = page.getByRole("link", { name: `Revoke the token that ends in ${old}` });
  await page.getByText("works until").waitFor();
  await toOld.click();
  await look(page, "ending");
  await page.getByRole("button", { name: "Keep it until it is revoked" }).click();
  await toOld.waitFor();
  assert.equal(await page.getByText("works until").count(), 0, "it is kept");
  await toOld.click();
  await page.getByRole("button", { name: "Revoke token" }).click();
  await page.getByRole("heading", { name: "Contoso Entra ID", level: 1 }).waitFor();
  assert.equal((await entra.testConnection()).status, 401);
  assert.equal((await new Entra(endpoint, second).testConnection()).status, 200);
  return new Entra(endpoint, second);
}

// The map is edited with a look before it is changed.
async function map(page) {
  await page.getByRole("link", { name: "Edit the map" }).click();
  await page.getByRole("heading", { name: "Attribute map", level: 1 }).waitFor();
  await look(page, "map");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByRole("button", { name: "Apply" }).waitFor();
  await look(page, "map-preview");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("heading", { name: "Contoso Entra ID", level: 1 }).waitFor();
}

// The connection is lost and comes back, and the session ends.
async function interrupted(browser, organization, entra) {
  const wire = await Wire.to(config.base);
  const page = await opened(browser, organization, { baseURL: wire.base });
  await page.getByRole("link", { name: "Contoso Entra ID" }).click();
  const users = page.locator("#users");
  await eventually("the count is there", async () => (await users.textContent()) === "2");
  const lost = page.getByRole("alert").getByText("Connection lost");
  wire.cut();
  await lost.waitFor();
  await entra.user("missed@contoso.example", { externalId: objectId() });
  wire.mend();
  await eventually("the count follows", async () => (await users.textContent()) === "3");
  await lost.waitFor({ state: "hidden" });

  const { data } = await api("GET", "/portal/links");
  const used = data.find((link) => link.state === "used");
  assert.equal((await fetch(`${config.base}/portal/links/${used.id}`, {
    method: "DELETE", headers: { authorization: `Bearer ${config.api_key}` },
  })).status, 204);
  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  await look(page, "session-none");
  content(page);
  await page.context().close();
  wire.close();
}

// Links that open nothing say why, and what to do.
async function links(browser, organization) {
  const page = await open(browser);
  const address = await link(organization);
  await page.goto(address);
  await page.getByRole("button", { name: "Open the setup page" }).waitFor();
  await look(page, "invitation");
  await page.getByRole("button", { name: "Open the setup page" }).click();
  await page.getByRole("heading", { name: /^Directory sync for/ }).waitFor();
  const other = await open(browser);
  const told = async (name, address, heading, status) => {
    const shown = await other.goto(address);
    assert.equal(shown.status(), status);
    await other.getByRole("heading", { name: heading }).waitFor();
    await other.getByText("open its setup page from there again").waitFor();
    await look(other, name);
  };
  await told("link-used", address, "This link was used already", 410);
  await told("link-expired", config.expired, "This link has expired", 410);
  await told("link-unknown", "/setup/no-such-link", "This link is not known", 404);
  await told("session-none", "/setup", "You are not signed in", 403);
  const revoked = await link(organization);
  const { data } = await api("GET", "/portal/links");
  await api("DELETE", `/portal/links/${data[0].id}`);
  await told("link-revoked", revoked, "This link was revoked", 410);
  await other.context().close();
  return page;
}

// The guide of every provider.
async function guides(browser, page) {
  const providers = ["entra", "okta", "google", "onelogin", "jumpcloud", "pingfederate", "cyberark", "rippling",
    "sailpoint", "scim"];
  let heaviest = 0;
  for (const slug of providers) {
    await page.goto("/setup/new");
    await page.locator(`input[value=${slug}]`).check();
    await page.getByLabel("Name").fill(`A guide: ${slug}`);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("heading", { name: `A guide: ${slug}` }).waitFor();
    await look(page, `guide-${slug}`);
    const token = await page.locator("#bearer-token").textContent();
    const entra = new Entra(await page.locator("#endpoint").textContent(), token);
    await stays(page, async () => {
      await entra.testConnection();
      await milestone(page, "Connection test received");
    });
    heaviest = Math.max(heaviest, await weigh(browser, await page.context().cookies(), `guide-${slug}`, page.url()));
  }
  await page.goto("/setup");
  await look(page, "home");
  return heaviest;
}

// Whoever leaves a browser that others use takes their session along.
async function signedOut(page) {
  const kept = await page.context().cookies();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  await look(page, "left");
  await page.context().addCookies(kept);
  assert.equal((await page.goto("/setup")).status(), 403);
}

async function withoutScript(browser, organization) {
  const page = await opened(browser, organization, { javaScriptEnabled: false });
  await page.getByRole("link", { name: "Connect another identity provider" }).click();
  await page.getByRole("radio", { name: /Okta/ }).check();
  await page.getByLabel("Name").fill("Without script");
  await page.getByRole("button", { name: "Continue" }).click();
  assert.match(await page.locator("#bearer-token").textContent(), /^dsync_/);
  await page.context().close();
}

play(async (browser) => {
  const { id: organization } = await api("POST", "/organizations", { name: "Contoso" });
  const page = await opened(browser, organization, { permissions: ["clipboard-read", "clipboard-write"] });
  let alerted = false;
  page.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });
  watched(page);
  const { endpoint, entra } = await connect(browser, page);
  await provision(page, entra);
  const second = await rotate(page, endpoint, entra);
  await map(page);
  await page.getByRole("link", { name: "I have finished" }).click();
  await page.waitForURL(/healthz\?done/);
  await interrupted(browser, organization, second);
  const own = await links(browser, organization);
  const heaviest = await guides(browser, own);
  await signedOut(own);
  await withoutScript(browser, organization);
  assert.equal(alerted, false, "nothing from outside runs");
  console.log(`heaviest first load: ${heaviest} bytes`);
});
