// A webhook endpoint from its making to its end: what it is sent shows as it happens, and is sent once more.
"use strict";

const { api, assert, config, content, directory, eventually, open, play, signIn, signedIn } = require("./browser.cjs");
const { Sink, isSignedBy } = require("./sink.cjs");

const SCRIPT = "<script>alert(1)</script>";
// What a page must not turn back into markup.
const PROBE = "?a=&lt;script&gt;alert(1)&lt;/script&gt;&b='onmouseover=alert(1)";

async function add(page, sink, id) {
  await page.getByRole("link", { name: "Endpoints" }).click();
  await page.getByText("No webhook endpoints yet").waitFor();
  await page.getByRole("link", { name: "Add endpoint" }).first().click();

  // What is wrong is said as the API says it.
  await page.getByLabel("URL", { exact: true }).fill("nonsense");
  await page.getByLabel("Event types by pattern").fill("dsync.nothing.*");
  await page.getByLabel("Timeout in seconds").fill("31");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("alert").waitFor();
  const refused = await fetch(`${config.base}/webhook_endpoints`, {
    method: "POST",
    headers: { authorization: `Bearer ${config.api_key}` },
    body: JSON.stringify({ endpoint_url: "nonsense", events: ["dsync.nothing.*"], timeout_seconds: 31 }),
  });
  const { errors } = await refused.json();
  assert.equal(errors.length, 2);
  const said = await page.getByRole("alert").locator("p").allTextContents();
  assert.deepEqual(said, errors.map((error) => error.message));
  assert.equal(await page.getByLabel("Timeout in seconds").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Event types by pattern").fill("dsync.user.*");
  await page.getByLabel("Timeout in seconds").fill("");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  const judged = await fetch(`${config.base}/webhook_endpoints`, {
    method: "POST",
    headers: { authorization: `Bearer ${config.api_key}` },
    body: JSON.stringify({ endpoint_url: "nonsense" }),
  });
  const { message } = await judged.json();
  await page.getByRole("alert").getByText(message).waitFor();

  await page.getByLabel("URL", { exact: true }).fill(sink.url + PROBE);
  await page.getByRole("checkbox", { name: "dsync.group.created" }).check();
  await page.getByRole("checkbox", { name: "Contoso", exact: true }).check();
  await page.getByLabel("Begins with").selectOption({ label: "The beginning of the history" });
  await page.getByLabel("Retry schedule").fill(Array(40).fill("1s").join(","));
  await page.getByRole("button", { name: "Add endpoint" }).click();

  // The secret, once, to copy.
  await page.getByRole("heading", { name: "Endpoint added" }).waitFor();
  const secret = await page.locator("#signing-secret").textContent();
  await page.getByRole("button", { name: "Copy Signing secret" }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.reload();
  await page.getByRole("heading", { name: "Attempts" }).waitFor();
  assert.equal((await page.content()).includes(secret), false, "the secret is shown once");
  const { data } = await api("GET", "/webhook_endpoints");
  assert.equal(data.length, 1, "loading the page again makes no second one");
  assert.deepEqual(data[0].directories, [id]);
  assert.deepEqual(data[0].events.toSorted(), [
    "dsync.group.created", "dsync.user.created", "dsync.user.deleted", "dsync.user.updated",
  ]);
  const url = new URL(sink.url + PROBE).href;
  assert.equal(await page.locator("dl.facts").getByText(url, { exact: true }).count(), 1, "it is text");
  const heading = await page.getByRole("heading", { level: 1 }).textContent();
  assert.deepEqual(heading.split("…"), [url.slice(0, 36), url.slice(-20)], "shortened in its middle");
  return { secret, own: `/console/endpoints/${data[0].id}` };
}

// A sample goes to the app, and what it answered is shown.
async function test(page, sink, { own, secret }) {
  await page.goto(own);
  await page.getByRole("link", { name: "Send a test" }).click();
  await page.getByLabel("Event").selectOption("dsync.user.deleted");
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByRole("heading", { name: "It took the test" }).waitFor();
  const sample = sink.arrived.find((one) => one.headers["dsync-test"] === "true");
  assert.equal(sample.event.event, "dsync.user.deleted");
  assert.ok(isSignedBy(sample, secret));
  await page.locator(".headers").getByText(sample.headers["webhook-signature"]).waitFor();
  sink.status = 500;
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByRole("heading", { name: "It did not take the test" }).waitFor();
  await page.locator(".status").getByText("500").waitFor();
  sink.status = 200;
}

// An app that fails shows as failing while one looks, on its page and on the first.
async function fail(page, start, sink, entra, { own }) {
  await page.goto(own);
  await page.locator(".status").getByText("healthy").waitFor();
  await start.goto("/console");
  await start.getByText("No endpoint fails, and none is turned off.").waitFor();
  sink.status = 503;
  await entra.user("grady@contoso.example", { displayName: SCRIPT, name: { formatted: SCRIPT } });
  await page.locator(".status").getByText("failing").waitFor();
  await page.getByText("in a row have failed").waitFor();
  await page.getByRole("row", { name: /dsync\.user\.created 503/ }).first().waitFor();
  await start.getByRole("link", { name: sink.url }).click();
  await start.getByRole("link", { name: "Failed", exact: true }).click();
  await start.getByRole("row", { name: /503/ }).first().waitFor();
  assert.equal(await start.getByRole("row", { name: /200/ }).count(), 0);

  // One of them, with what was sent. What an app within the network answers is not shown to anybody.
  await start.locator("tbody a").first().click();
  await start.getByText("It answered with something else than 2xx").waitFor();
  await start.locator(".json").getByText(SCRIPT).first().waitFor();
  await start.getByText("is not shown").waitFor();
  sink.status = 200;
  await page.locator(".status").getByText("healthy").waitFor();
}

// From an event to its delivery and back, and the event once more.
async function again(page, sink, { own, secret }) {
  const { data: [created] } = await api("GET", "/events?events=dsync.user.created&limit=1");
  await page.goto(`/console/events/${created.id}`);
  await page.getByRole("row", { name: /webhooks.* 200/ }).getByRole("link", { name: "200" }).click();
  await page.getByRole("heading", { name: "dsync.user.created" }).waitFor();
  await page.getByRole("link", { name: created.id }).click();
  await page.getByRole("heading", { name: "Deliveries" }).waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "Send this event again" }).click();
  await page.getByText("1 of 1 events").waitFor();
  await page.locator("#replay").getByText("finished", { exact: true }).waitFor();
  const copies = sink.taken().filter((one) => one.headers["webhook-id"] === created.id);
  assert.equal(copies.length, 2);
  assert.match(copies[1].headers["dsync-replay"], /^replay_/);
  assert.ok(isSignedBy(copies[1], secret));
  await page.goto(own);
  await page.getByRole("heading", { name: "Replays" }).waitFor();
}

// The whole history, and its progress as it goes; another is called off.
async function replay(page, sink, { own }) {
  const before = sink.taken().length;
  await page.goto(`${own}/replay`);
  await page.getByLabel("From", { exact: true }).selectOption("at");
  await page.getByLabel("Time or event to begin with").fill("yesterday");
  await page.getByLabel("Events a second").fill("1001");
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("alert").getByText("rate must be a whole number from 1 to 1000.").waitFor();
  await page.getByLabel("From", { exact: true }).selectOption("beginning");
  await page.getByLabel("Directory").selectOption({ label: "Contoso" });
  await page.getByLabel("Events a second").fill("10");
  await page.getByRole("button", { name: "Replay" }).click();
  await page.locator("#replay").getByText("under way").waitFor();
  const bar = page.getByRole("progressbar");
  const seen = new Set();
  await eventually("it comes to its end", async () => {
    seen.add(Number(await bar.getAttribute("value")));
    return (await page.locator("#replay").getByText("finished", { exact: true }).count()) > 0;
  });
  const total = Number(await bar.getAttribute("max"));
  assert.ok(total > 20 && [...seen].some((value) => value > 0 && value < total), `${[...seen]} of ${total}`);
  assert.equal(sink.taken().length - before, total);

  await page.goto(`${own}/replay`);
  await page.getByLabel("Events a second").fill("1");
  await page.getByRole("button", { name: "Replay" }).click();
  await page.locator("#replay").getByText("under way").waitFor();
  const called = new URL(page.url()).pathname;
  await page.getByRole("button", { name: "Cancel the replay" }).click();
  await page.getByRole("heading", { name: "Attempts" }).waitFor();
  assert.equal((await page.goto(called)).status(), 404);
}

// Both secrets sign for a while. A form that is out of date changes nothing.
async function rotate(page, other, sink, entra, { own, secret }) {
  await other.goto(`${own}/rotate`);
  await page.goto(own);
  await page.getByRole("link", { name: "Rotate secret" }).click();
  await page.getByLabel("The old secret signs on for").selectOption({ label: "An hour" });
  await page.getByRole("button", { name: "Rotate secret" }).click();
  await page.getByRole("heading", { name: "Secret rotated" }).waitFor();
  const fresh = await page.locator("#signing-secret").textContent();
  assert.notEqual(fresh, secret);
  await page.getByText("webhooks are signed with both").waitFor();
  await other.getByRole("button", { name: "Rotate secret" }).click();
  await other.getByRole("alert").getByText("Somebody else has changed it meanwhile.").waitFor();
  await entra.user("rotated@contoso.example");
  const named = (one) => one.body.includes("rotated@contoso.example");
  await eventually("it arrives", () => sink.taken().some(named));
  const both = sink.taken().find(named);
  assert.ok(isSignedBy(both, secret) && isSignedBy(both, fresh));
  await page.goto(own);
  await page.getByText("signs too until").waitFor();
}

// Two admins with the same form: the second sees both, and decides. On and off.
async function change(page, other, { own }) {
  for (const admin of [page, other]) await admin.goto(`${own}/edit`);
  await page.getByLabel("Order").selectOption("none");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("In any order").waitFor();
  await other.getByRole("checkbox", { name: "dsync.group.created" }).uncheck();
  await other.getByRole("button", { name: "Save" }).click();
  await other.getByRole("alert").getByText("Somebody else has changed it meanwhile.").waitFor();
  await other.getByText("In any order").first().waitFor();
  assert.equal(await other.getByRole("checkbox", { name: "dsync.group.created" }).isChecked(), false);
  await other.getByRole("button", { name: "Save" }).click();
  await other.getByText("In order for each user and group").waitFor();
  await page.goto(own);
  await page.getByRole("button", { name: "Turn off" }).click();
  await page.getByText("Somebody has turned it off.").waitFor();
  await page.getByRole("button", { name: "Turn on" }).click();
  await page.locator(".status").getByText("healthy").waitFor();
}

// What the brake holds shows, and goes out when somebody says so.
async function hold(page, sink, { id, entra, people }) {
  await api("PATCH", `/directories/${id}`, { brake: { share: 0.1, window_seconds: 3600, floor: 1 } });
  await page.goto("/console");
  for (const person of people) await entra.send("DELETE", `/Users/${person}`);
  await page.getByRole("heading", { name: "Held directories" }).waitFor();
  await page.getByRole("link", { name: "Contoso" }).click();
  await page.getByText("Held by the brake.").waitFor();
  const gone = () => sink.taken().filter((one) => one.event.event === "dsync.user.deleted" && !one.headers["dsync-test"]);
  assert.ok(gone().length < people.length, "the rest is held");
  await page.getByRole("link", { name: "Look at it and decide" }).click();
  await page.getByRole("link", { name: "Leave it held" }).click();
  await page.getByText("Held by the brake.").waitFor();
  await page.getByRole("link", { name: "Look at it and decide" }).click();
  await page.getByRole("button", { name: "Release" }).click();
  await eventually("all of it arrives", () => gone().length === people.length);
  await eventually("nothing is held", async () => {
    await page.goto(`/console/directories/${id}`);
    return (await page.locator("#hold").count()) === 0;
  });
}

// An auditor sees all of it, and none of the buttons.
async function audit(browser, { own }, id) {
  const page = await open(browser);
  await signIn(page, config.auditor_password);
  await page.goto("/console/endpoints");
  await page.getByRole("row", { name: /healthy/ }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Add endpoint" }).count(), 0);
  await page.goto(own);
  await page.getByRole("heading", { name: "Attempts" }).waitFor();
  for (const name of ["Send a test", "Replay", "Rotate secret", "Edit", "Delete endpoint"]) {
    assert.equal(await page.getByRole("link", { name, exact: true }).count(), 0, name);
  }
  assert.equal(await page.getByRole("button", { name: "Turn off" }).count(), 0);
  await page.locator("#attempts-title ~ table tbody a, section:has(#attempts-title) tbody a").first().click();
  await page.getByRole("heading", { name: "Request and answer" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Send this event again" }).count(), 0);
  const forms = ["/edit", "/delete", "/rotate", "/test", "/replay"];
  const release = `/console/directories/${id}/release`;
  for (const address of ["/console/endpoints/new", release, ...forms.map((form) => own + form)]) {
    assert.equal((await page.goto(address)).status(), 403, address);
  }
  await page.goto(own);
  const sent = [...forms, "/enable", "/disable", "/replays/replay_00000000000000000000000000/cancel"];
  for (const address of ["/console/endpoints/new", release, ...sent.map((form) => own + form)]) {
    const status = await page.evaluate(async (address) => {
      const csrf = document.querySelector("input[name=csrf]").value;
      const body = new URLSearchParams({ csrf, event: "dsync.deleted" });
      return (await fetch(address, { method: "POST", body })).status;
    }, address);
    assert.equal(status, 403, address);
  }
  content(page);
}

play(async (browser) => {
  const sink = await Sink.start();
  const { id, entra, organization } = await directory("Contoso");
  const people = [];
  for (let number = 0; number < 30; number += 1) people.push(await entra.user(`person${number}@contoso.example`));
  const options = { permissions: ["clipboard-read", "clipboard-write"] };
  const page = await signedIn(browser, options);
  let alerted = false;
  page.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });
  const other = await signedIn(browser);
  other.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });

  const there = await add(page, sink, id);
  await eventually("the history arrives", () => sink.taken().length === people.length);
  await page.getByText("100\u202f%").waitFor();
  await test(page, sink, there);
  await fail(page, other, sink, entra, there);
  await again(page, sink, there);
  await replay(page, sink, there);
  await rotate(page, other, sink, entra, there);
  await change(page, other, there);
  await hold(page, sink, { id, entra, people: people.slice(0, 8) });
  await audit(browser, there, id);

  // The page of the organization leads to an endpoint for it alone.
  await page.goto(`/console/organizations/${organization}`);
  await page.getByRole("link", { name: "Add endpoint" }).click();
  assert.equal(await page.getByRole("checkbox", { name: "Contoso Inc" }).isChecked(), true);

  await page.goto(there.own);
  await page.getByRole("link", { name: "Delete endpoint" }).click();
  await page.getByRole("button", { name: "Delete endpoint" }).click();
  await page.getByText("No webhook endpoints yet").waitFor();
  assert.equal(alerted, false, "nothing from outside runs");
  content(page);
  content(other);
  sink.close();
});
