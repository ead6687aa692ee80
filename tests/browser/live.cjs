// The connection is lost and comes back: it shows, and what was missed comes once. Two admins meet.
"use strict";

const { Wire, assert, config, content, directory, eventually, play, signedIn } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

play(async (browser) => {
  const { id, organization, entra } = await directory("Acme");
  const wire = await Wire.to(config.base);
  const page = await signedIn(browser, { baseURL: wire.base });
  const lost = page.getByRole("alert").getByText("Connection lost");
  const shown = async () => (await page.locator(".entry-what").allTextContents()).filter((name) => name.includes("@"));

  await page.goto("/console/events?type=dsync.user.created");
  await page.getByText("Live: new events").waitFor();
  await entra.user("a@acme.example");
  await page.getByText("a@acme.example").waitFor();

  // Cut: what happens meanwhile comes when the wire is mended, each once and in order.
  wire.cut();
  await lost.waitFor();
  const missed = [];
  for (let number = 0; number < 120; number += 1) {
    missed.unshift(`missed${number}@acme.example`);
    await entra.user(missed[0]);
  }
  wire.mend();
  await page.getByText("missed119@acme.example").waitFor();
  await lost.waitFor({ state: "hidden" });
  await entra.user("b@acme.example");
  await page.getByText("b@acme.example", { exact: true }).waitFor();
  assert.deepEqual(await shown(), ["b@acme.example", ...missed, "a@acme.example"]);

  // A server that says nothing is lost too, although the connection stands.
  process.kill(config.pid, "SIGSTOP");
  try {
    await lost.waitFor();
  } finally {
    process.kill(config.pid, "SIGCONT");
  }
  await entra.user("c@acme.example");
  await page.getByText("c@acme.example", { exact: true }).waitFor();
  await lost.waitFor({ state: "hidden" });
  assert.deepEqual((await shown()).slice(0, 2), ["c@acme.example", "b@acme.example"]);

  // Paused: nothing moves; resumed: nothing is missing.
  await page.getByRole("button", { name: "Pause" }).click();
  await entra.user("d@acme.example");
  await page.getByText("Paused.").waitFor();
  assert.equal((await shown())[0], "c@acme.example");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("d@acme.example", { exact: true }).waitFor();
  assert.deepEqual((await shown()).slice(0, 2), ["d@acme.example", "c@acme.example"]);

  // A page that has not looked through all of history asks on by itself: what is found joins its list, and the end is said.
  const asksOn = async (text) => {
    await page.goto("/console/events?text=nowhere-at-all");
    await page.getByText("No event fits").waitFor();
    await page.evaluate((text) => {
      const part = document.getElementById("further");
      part.outerHTML = `<div id="further" class="further goes-on" hx-trigger="load" hx-swap="outerHTML"
        hx-get="/console/events/further?text=${text}&gone_on=1"><p class="note">Looked back.</p>
        <nav class="pager"><a href="/console/events">Look further</a></nav></div>`;
      window.htmx.process(document.getElementById("further"));
    }, text);
  };
  await asksOn("missed7%40");
  await page.getByText("missed7@acme.example").waitFor();
  await page.getByRole("status").getByText("Looked through all of history. 1 event found.").waitFor();
  assert.deepEqual(await shown(), ["missed7@acme.example"]);
  await page.locator(".entry summary").first().click();
  await page.getByText("Caused by").waitFor();
  await asksOn("also-nowhere");
  await page.getByText("No event fits").waitFor();
  await page.getByRole("status").getByText("0 events found.").waitFor();
  // Where an answer fails, its link is there.
  await page.route("**/console/events/further?*", (route) => route.fulfill({ status: 503 }));
  await asksOn("missed7%40");
  await page.getByRole("link", { name: "Look further" }).waitFor();
  await page.unroute("**/console/events/further?*");
  await page.goto("/console/events?type=dsync.user.created");
  await page.getByText("Live: new events").waitFor();

  // A page that nobody sees holds no connection, and is current when somebody looks again.
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await eventually("one connection is there", () => wire.streams() === 1);
  await hide(true);
  await eventually("there is none", () => wire.streams() === 0);
  await entra.user("hidden@acme.example");
  await hide(false);
  await page.getByText("hidden@acme.example").waitFor();
  assert.deepEqual((await shown()).slice(0, 2), ["hidden@acme.example", "d@acme.example"]);

  // Parts of pages catch up as well.
  await page.goto(`/console/directories/${id}`);
  const users = page.locator(".tiles .figure").first();
  await eventually("the count is there", async () => (await users.textContent()) === "125");
  wire.cut();
  await lost.waitFor();
  // Who notices first, the stream or what was fetched, says it in its own words.
  await stands(page, "lost", { texts: [["#lost", "Connection lost. What is shown may be out of date. Trying again…"]] });
  await entra.user("e@acme.example");
  wire.mend();
  await eventually("the count follows", async () => (await users.textContent()) === "126");
  await lost.waitFor({ state: "hidden" });

  // What stays the same is the same element under the hand, and stays selected.
  await page.evaluate(() => {
    window.kept = document.querySelector(".tiles a");
    getSelection().selectAllChildren(document.querySelector("dl.facts code"));
  });
  await entra.user("f@acme.example");
  await eventually("the count follows", async () => (await users.textContent()) === "127");
  assert.equal(await page.evaluate(() => window.kept === document.querySelector(".tiles a")), true);
  assert.equal(await page.evaluate(() => getSelection().toString()), id);

  // Nothing changes under a pressed pointer, and all of it when it is let go.
  await page.locator("h1").hover();
  await page.mouse.down();
  const fetched = page.waitForResponse((answer) => answer.url().endsWith(`/console/directories/${id}`));
  await entra.user("g@acme.example");
  await (await fetched).finished();
  assert.equal(await users.textContent(), "127");
  await page.mouse.up();
  await eventually("the count follows", async () => (await users.textContent()) === "128");

  // Two admins with the same form: the second sees both, and decides.
  const other = await signedIn(browser);
  for (const admin of [page, other]) await admin.goto(`/console/organizations/${organization}/edit`);
  await page.getByLabel("Name").fill("Acme of the first");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "Acme of the first" }).waitFor();
  await other.getByLabel("Name").fill("Acme of the second");
  await other.getByLabel("External id").fill("acme");
  await other.getByRole("button", { name: "Save" }).click();
  await other.getByRole("alert").getByText("Somebody else has changed it meanwhile.").waitFor();
  await other.getByText("Acme of the first").first().waitFor();
  await stands(other, "organization-overtaken");
  assert.equal(await other.getByLabel("Name").inputValue(), "Acme of the second");
  await page.reload();
  await page.getByRole("heading", { name: "Acme of the first" }).waitFor();
  await other.getByRole("button", { name: "Save" }).click();
  await other.getByRole("heading", { name: "Acme of the second" }).waitFor();
  for (const admin of [page, other]) await admin.goto(`/console/directories/${id}/edit`);
  await page.getByLabel("Name").fill("First");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "First" }).waitFor();
  await other.getByLabel("Name").fill("Second");
  await other.getByRole("button", { name: "Save" }).click();
  await other.getByRole("alert").getByText("Its name is now First").waitFor();
  content(page);
  content(other);
  wire.close();
});
