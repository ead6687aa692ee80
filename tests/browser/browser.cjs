// What the scenes share: a browser, a connection that can be cut, an identity provider, and checks of every page.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { createRequire } = require("node:module");

const packages = createRequire(path.join(process.env.DSYNC_TEST_NODE, "package.json"));
const { chromium } = packages("playwright-core");
const AXE = fs.readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");

// Far beyond what a busy machine needs.
const PATIENCE_MS = 60000;

// {base, pid, api_key, password, auditor_password, screenshots}
const config = JSON.parse(fs.readFileSync(0, "utf8"));

// Runs a scene and ends the process with what came of it. A page that fails leaves its picture behind.
async function play(scene) {
  const browser = await chromium.launch({
    executablePath: process.env.DSYNC_TEST_CHROMIUM,
    // A processor that plays a graphics card takes longer than one that draws.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  try {
    await scene(browser);
    console.log("passed");
  } finally {
    await browser.close();
  }
}

// A page whose every complaint fails the scene: an error in a script, or something that the policy forbids.
async function open(browser, options = {}) {
  const context = await browser.newContext({ baseURL: config.base, locale: "en-US", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  return watched(await context.newPage());
}

function watched(page) {
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => {
    // A browser also says what a page is meant to meet: a refusal, a lost connection.
    if (/Content Security Policy|Refused to/.test(message.text())) page.complaints.push(message.text());
  });
  return page;
}

function content(page) {
  assert.deepEqual(page.complaints, []);
}

async function signIn(page, password = config.password) {
  await page.goto("/console/sign-in");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function signedIn(browser, options) {
  const page = await open(browser, options);
  await signIn(page);
  await page.getByRole("heading", { name: "Pipeline" }).waitFor();
  return page;
}

// The identity provider: what Entra ID sends, over HTTP of its own.
class Entra {
  constructor(endpoint, token) {
    Object.assign(this, { endpoint, token, sent: 0 });
  }

  async send(method, path, body) {
    this.sent += 1;
    const answer = await fetch(this.endpoint + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/scim+json" },
      body: body && JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  }

  // Asks for a user that does not exist.
  testConnection() {
    return this.send("GET", '/Users?filter=userName+eq+"1c7d8f4e-0a5b-4f8e-9a43-2f6f1d1f0001"');
  }

  async user(userName, more = {}) {
    const answer = await this.send("POST", "/Users", {
      schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
      externalId: `ext-${userName}`,
      userName,
      active: true,
      emails: [{ primary: true, type: "work", value: userName }],
      ...more,
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.id;
  }

  async group(displayName, members) {
    const answer = await this.send("POST", "/Groups", {
      schemas: ["urn:ietf:params:scim:schemas:core:2.0:Group"],
      externalId: `ext-${displayName}`,
      displayName,
      members: members.map((value) => ({ value })),
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.id;
  }
}

// The API, to set up what a scene is not about.
async function api(method, path, body) {
  const answer = await fetch(config.base + path, {
    method,
    headers: { authorization: `Bearer ${config.api_key}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${text}`);
  return text === "" ? null : JSON.parse(text);
}

async function directory(name, type = "azure scim v2.0") {
  const organization = await api("POST", "/organizations", { name: `${name} Inc` });
  const made = await api("POST", "/directories", { organization_id: organization.id, type, name });
  const entra = new Entra(made.scim.endpoint, made.scim.bearer_token);
  return { organization: organization.id, id: made.id, entra };
}

// A way to the server that can be cut and mended.
class Wire {
  static async to(base) {
    const { hostname, port } = new URL(base);
    const wire = new Wire();
    wire.ends = new Set();
    wire.following = new Set();
    wire.isCut = false;
    wire.server = net.createServer((socket) => {
      if (wire.isCut) return socket.destroy();
      const onward = net.connect(port, hostname);
      // A stream has its connection for itself until it ends.
      socket.on("data", (sent) => wire.following[/GET \/console\/(events\/stream|changes)/.test(sent) ? "add" : "delete"](socket));
      socket.on("close", () => wire.following.delete(socket));
      for (const [one, other] of [[socket, onward], [onward, socket]]) {
        wire.ends.add(one);
        one.pipe(other);
        one.on("error", () => {});
        one.on("close", () => { wire.ends.delete(one); other.destroy(); });
      }
    });
    await new Promise((listening) => wire.server.listen(0, "127.0.0.1", listening));
    wire.base = `http://127.0.0.1:${wire.server.address().port}`;
    return wire;
  }

  // How many streams are open.
  streams() {
    return this.following.size;
  }

  cut() {
    this.isCut = true;
    for (const end of this.ends) end.destroy();
  }

  mend() {
    this.isCut = false;
  }

  close() {
    this.cut();
    this.server.close();
  }
}

// The rules of axe-core about colours, of those that it follows unless it is told otherwise.
const COLOURS = ["color-contrast", "link-in-text-block"];

// Whatever axe-core finds against WCAG 2.2 AA and its best practices; in what it is told to look at, if it is told.
async function accessible(page, name, runOnly) {
  // Half a megabyte, for each document once.
  if (await page.evaluate(() => window.axe === undefined)) await page.evaluate(AXE);
  const options = { resultTypes: ["violations"], ...(runOnly && { runOnly }) };
  const found = await page.evaluate((options) => window.axe.run(document, options), options);
  const told = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target + " " + node.failureSummary).join("; ")}`);
  assert.deepEqual(told, [], `${name} at ${page.url()}`);
}

// Nothing is wider than the window.
async function fits(page, name) {
  const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(needed <= there, `${name} needs ${needed} of ${there} pixels`);
}

async function eventually(what, check) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if (await check()) return;
    await new Promise((again) => setTimeout(again, 20));
  }
  assert.fail(`${what} does not happen`);
}

module.exports = {
  COLOURS, Entra, Wire, accessible, api, assert, config, content, directory, eventually, fits, open, play, signIn, signedIn,
  watched,
};
