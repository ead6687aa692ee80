// Signing in with an identity provider: as an admin by address and by group, as an auditor, as nobody; and every way in
// which an answer may be one that was not meant for this sign-in.
"use strict";

const { api, assert, config, content, open, play, signIn } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

const SECRET = "odd: +/ secret";
const CALLBACK = "/console/oidc/callback";

async function control(wanted) {
  const answer = await fetch(`${config.provider}/control`, { method: "POST", body: JSON.stringify(wanted) });
  assert.equal(answer.status, 200);
}

// A browser in front of the form to sign in.
async function visitor(browser, next = "/console/api-keys") {
  const page = await open(browser);
  page.callbacks = [];
  page.on("request", (request) => {
    if (request.url().startsWith(config.base + CALLBACK)) page.callbacks.push(request.url());
  });
  await page.goto(`/console/sign-in?next=${encodeURIComponent(next)}`);
  return page;
}

// What a person does at the provider: its own pages, a name, any password, consent.
async function atProvider(page, name) {
  await page.locator("input[name=login]").fill(name);
  await page.locator("input[name=password]").fill("anything");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
}

async function throughProvider(page, name) {
  await page.getByRole("link", { name: "Sign in with the identity provider" }).click();
  await atProvider(page, name);
}

async function shows(page, title, status) {
  await page.getByRole("heading", { name: title, level: 1 }).waitFor();
  const names = (await page.context().cookies()).map((cookie) => cookie.name);
  assert.equal(names.includes("dsync"), false, "nobody is signed in");
  assert.equal(names.includes("dsync-oidc"), false, "what had begun is over");
}

async function members(browser) {
  for (const [name, role] of [["ada", "admin"], ["grace", "admin"], ["audit", "auditor"]]) {
    const page = await visitor(browser);
    await throughProvider(page, name);
    await page.getByRole("heading", { name: "API keys", level: 1 }).waitFor();
    await page.locator(".role").getByText(role, { exact: true }).waitFor();
    assert.equal(await page.getByRole("link", { name: "Make a key" }).count(), role === "admin" ? 1 : 0);
    const cookie = (await page.context().cookies()).find((one) => one.name === "dsync");
    assert.ok(cookie.httpOnly && cookie.sameSite === "Lax", JSON.stringify(cookie));

    // An auditor changes nothing, and an admin does by the forms of this session.
    const made = await page.evaluate(async () => {
      const csrf = document.querySelector("input[name=csrf]").value;
      const body = new URLSearchParams({ csrf, id: "api_key_01M8C9PK8GFKK89DKADWW42M4Z", name: "x", scope: "read" });
      return (await fetch("/console/api-keys/new", { method: "POST", body })).status;
    });
    assert.equal(made, role === "admin" ? 200 : 403);

    // A callback that is sent again lets nobody in, with the cookie of then or without.
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.context().addCookies([cookie]);
    await page.goto("/console");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.context().clearCookies();
    assert.equal((await page.goto(page.callbacks[0])).status(), 403);
    await shows(page, "This sign-in is not yours, or is over");
    content(page);
    await page.context().close();
  }
}

async function strangers(browser) {
  const page = await visitor(browser);
  await stands(page, "sign-in-provider");
  await throughProvider(page, "nobody");
  await shows(page, "You may not see this console");
  await page.getByText("nobody@example.com").waitFor();
  await stands(page, "oidc-nobody");
  await page.context().close();

  const probe = await visitor(browser);
  await throughProvider(probe, "unverified<script>alert(1)</script>");
  await shows(probe, "You may not see this console");
  await probe.getByText("unverified<script>alert(1)</script>@example.com").waitFor();
  await probe.getByText("has not verified this address").waitFor();
  content(probe);
  await probe.context().close();

  const declined = await visitor(browser);
  await declined.getByRole("link", { name: "Sign in with the identity provider" }).click();
  await declined.getByRole("link", { name: /Cancel/i }).click();
  await shows(declined, "You were not signed in");
  await declined.getByText("access_denied").waitFor();
  await stands(declined, "oidc-declined");
  await declined.context().close();
}

// Begins a sign-in and says where the browser would go.
async function begun(page) {
  const started = await page.context().request.get("/console/oidc/start?next=/console", { maxRedirects: 0 });
  assert.equal(started.status(), 303);
  return new URL(started.headers().location);
}

// Has somebody else sign in at the provider for a sign-in that began in another browser. What they bring back lets them in
// nowhere, and is not used up: the way back that the other browser would go.
async function caught(browser, place, name) {
  const carrier = await visitor(browser);
  await carrier.goto(String(place));
  await atProvider(carrier, name);
  await shows(carrier, "This sign-in is not yours, or is over");
  const [back] = carrier.callbacks;
  await carrier.context().close();
  return new URL(back);
}

async function answersForOthers(browser) {
  // A state that is not this browser's: somebody sends another their own code.
  const victim = await visitor(browser);
  await begun(victim);
  const attacker = await visitor(browser);
  const stolen = await caught(browser, await begun(attacker), "ada");
  await victim.goto(String(stolen));
  await shows(victim, "This sign-in is not yours, or is over");
  const changed = new URL(stolen);
  changed.searchParams.set("state", "x".repeat(43));
  await attacker.goto(String(changed));
  await shows(attacker, "This sign-in is not yours, or is over");
  await victim.context().close();

  // A code that was used, with the cookie of its sign-in kept.
  const again = await visitor(browser);
  const back = await caught(browser, await begun(again), "ada");
  const cookie = (await again.context().cookies()).find((one) => one.name === "dsync-oidc");
  await again.goto(String(back));
  await again.getByRole("heading", { name: "Pipeline" }).waitFor();
  await again.context().clearCookies({ name: "dsync" });
  await again.context().addCookies([cookie]);
  await again.goto(String(back));
  await shows(again, "The identity provider did not confirm this sign-in");
  await again.context().close();

  // A token that belongs to another sign-in.
  const nonce = await visitor(browser);
  const place = await begun(nonce);
  place.searchParams.set("nonce", "x".repeat(43));
  await nonce.goto(String(place));
  await atProvider(nonce, "ada");
  await shows(nonce, "The identity provider's answer cannot be trusted");
  await nonce.context().close();

  // Another issuer had a hand in it.
  const mixed = await visitor(browser);
  const answer = await caught(browser, await begun(mixed), "ada");
  assert.equal(answer.searchParams.get("iss"), config.provider);
  answer.searchParams.set("iss", "https://other.example");
  await mixed.goto(String(answer));
  await shows(mixed, "The identity provider's answer cannot be trusted");
  await mixed.context().close();
}

// The provider's own token for another application, with everything else as it should be.
async function otherAudience(browser) {
  const page = await visitor(browser);
  const place = await begun(page);
  const other = new URL(place);
  other.searchParams.set("client_id", "other");
  other.searchParams.delete("code_challenge");
  other.searchParams.delete("code_challenge_method");
  const code = (await caught(browser, other, "ada")).searchParams.get("code");
  const encoded = encodeURIComponent(SECRET).replaceAll("%20", "+");
  const answer = await fetch(`${config.provider}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`other:${encoded}`).toString("base64")}` },
    body: new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: config.base + CALLBACK }),
  });
  const { id_token: token } = await answer.json();
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.deepEqual([claims.aud, claims.nonce], ["other", place.searchParams.get("nonce")]);
  await control({ swap: token });
  await page.goto(String(place));
  await atProvider(page, "ada");
  await shows(page, "The identity provider's answer cannot be trusted");
  await control({});
}

async function brokenProvider(browser) {
  for (const wanted of [{ clock_skew_ms: -2 * 3600 * 1000 }, { clock_skew_ms: 3600 * 1000 }, { forge: true }]) {
    const page = await visitor(browser);
    const back = await caught(browser, await begun(page), "nobody");
    await control(wanted);
    await page.goto(String(back));
    await shows(page, "The identity provider's answer cannot be trusted");
    await stands(page, "oidc-untrusted");
    await page.context().close();
    await control({});
  }
  const page = await visitor(browser);
  const back = await caught(browser, await begun(page), "ada");
  await control({ down: true });
  await page.goto(String(back));
  await shows(page, "The identity provider does not answer");
  await stands(page, "oidc-no-answer");
  await control({});
}

// The audit trail names the person, and not their role alone; and only by an address that the provider has verified.
async function trail() {
  const did = async (who) => (await api("GET", `/admin_events?order=asc&actor=${who}`)).data.map((one) => one.action);
  assert.deepEqual(await did("grace@example.com"), ["console.signed_in", "api_key.created", "console.signed_out"]);
  assert.deepEqual(await did("audit@example.com"), ["console.signed_in", "console.signed_out"]);
  assert.deepEqual(await did("nobody@example.com"), ["console.sign_in_failed"]);
  const failed = await api("GET", "/admin_events?action=console.sign_in_failed");
  assert.equal(JSON.stringify(failed).includes("unverified"), false);
  assert.equal(failed.data.length, 2);
  const [grace] = (await api("GET", "/admin_events?actor=grace@example.com&limit=1")).data;
  assert.deepEqual([grace.actor.type, grace.actor.name], ["console", "admin"]);
}

play(async (browser) => {
  const redirect_uri = config.base + CALLBACK;
  await control({ redirect_uri, secret: SECRET, only_userinfo: false });
  await members(browser);
  await strangers(browser);
  await trail();
  await answersForOthers(browser);
  await otherAudience(browser);
  await brokenProvider(browser);

  // A provider that tells who somebody is only where it is asked with the access token.
  await control({ redirect_uri, secret: SECRET, only_userinfo: true });
  const asked = await visitor(browser);
  await throughProvider(asked, "audit");
  await asked.locator(".role").getByText("auditor", { exact: true }).waitFor();

  // Passwords work beside it.
  const page = await open(browser);
  await signIn(page);
  await page.getByRole("heading", { name: "Pipeline" }).waitFor();
  content(page);
});
