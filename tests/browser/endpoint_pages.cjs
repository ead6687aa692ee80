// The pages about webhook endpoints and about what is held: each accessible, within the window and light.
"use strict";

const { api, directory, eventually, play, signedIn } = require("./browser.cjs");
const { checked, look, weigh } = require("./page_checks.cjs");
const { shoot } = require("./pictures.cjs");
const { Sink } = require("./sink.cjs");

const BEGIN = "2020-01-01T00:00:00Z";
const LONG = "integrations/directory-sync/tenants/contoso-europe/environments/production/webhooks/users-and-groups/v2/receive";

// What a picture does not leave to chance beside what it never does.
const measured = { figures: "delivered", rows: 12 };
// What fails is tried again while one looks, and the slower the run the more often.
const tried = (title) => [[`[aria-labelledby=${title}] td:nth-child(3) .number`, "1"]];
const PICTURED = {
  endpoint: measured, "endpoint-table": measured, "endpoint-off": { rows: 12 },
  "endpoint-failing": { ...measured, texts: tried("attempts-title") },
  attempt: { rows: 1, texts: tried("siblings-title") },
  held: { figures: "pipeline", texts: [[".stage:last-child .note", "9 events wait for the endpoint that is furthest behind"]] },
};

async function world() {
  const sink = await Sink.start();
  sink.answer = "received";
  // One of its own: what fails below is not to fail here, whenever the operator is told of something.
  const operators = await Sink.start();
  const { id, organization, entra } = await directory("Contoso");
  const url = (path) => sink.url.replace("/webhooks", path);
  const make = (body) => api("POST", "/webhook_endpoints", body);
  const healthy = await make({ endpoint_url: url("/webhooks"), organizations: [organization], ed25519: true, timeout_seconds: 30 });
  // Of one type: which of its events is tried next is another in every run.
  const failing = await make({
    endpoint_url: `http://127.0.0.1:9/${LONG}`, retry_schedule: "1s,1s,1s,1s,1s,1s,1s,1s,1s", events: ["dsync.user.created"],
  });
  const off = await make({ endpoint_url: url("/off"), events: ["dsync.group.*"], order: "directory" });
  const operator = await make({ endpoint_url: operators.url.replace("/webhooks", "/operator"), kind: "operational" });
  await api("PATCH", `/webhook_endpoints/${off.id}`, { status: "disabled" });
  await api("PATCH", `/directories/${id}`, { brake: { share: 0.1, window_seconds: 3600, floor: 1 } });
  const people = [];
  const invite = async () => people.push(await entra.user(`person${people.length}@contoso.example`));
  const attempts = async (endpoint, query = "") => (await api("GET", `/webhook_endpoints/${endpoint.id}/deliveries?limit=100${query}`)).data;
  while (people.length < 8) await invite();
  // From then on it is tried now and then, however many events its lane finds at once.
  await eventually("the operator is told that one fails", async () => (await attempts(operator)).length === 1);
  while (people.length < 40) await invite();
  await eventually("the users are told of", () => sink.taken().length >= people.length);
  await api("POST", `/webhook_endpoints/${healthy.id}/rotate_secret`, { overlap_seconds: 3600 });
  sink.status = 500;
  await entra.user("late@contoso.example");
  await eventually("one fails", () => sink.arrived.some((one) => one.status === 500));
  sink.status = 200;
  for (const person of people.slice(0, 9)) await entra.send("DELETE", `/Users/${person}`);
  await eventually("something is held", async () => (await api("GET", `/directories/${id}`)).hold !== null);
  // The one that failed is tried again after some seconds.
  const waiting = async () => (await api("GET", `/webhook_endpoints/${healthy.id}`)).health.lag_events;
  await eventually("only what is held waits", async () => (await waiting()) === 5);
  await replayed(healthy);
  await eventually("the operator is told of what is held", async () => (await attempts(operator)).length === 2);
  let attempt;
  await eventually("more attempts than a picture has are listed", async () => {
    // The first at the first event: how many others there are by now is another in every run.
    const data = await attempts(failing, "&status=failed&event=dsync.user.created");
    const order = (one, other) => one.event_id.localeCompare(other.event_id) || one.attempt - other.attempt;
    [attempt] = data.sort(order);
    return data.length > measured.rows;
  });
  const close = () => [sink, operators].forEach((one) => one.close());
  return { sink, id, healthy: healthy.id, failing: failing.id, off: off.id, attempt: attempt.id, close };
}

// One that is done. Events of several users go out side by side: of one type, their attempts look the same in any order.
async function replayed(endpoint) {
  const wanted = { from: BEGIN, events: ["dsync.user.created"] };
  const { replay_id: id } = await api("POST", `/webhook_endpoints/${endpoint.id}/replay`, wanted);
  await eventually("a replay is done", async () => (await api("GET", `/webhook_endpoints/${endpoint.id}/replays/${id}`)).finished_at);
}

// One that has come as far as the app answers.
async function replaying(page, { healthy, sink }) {
  sink.patience = 12;
  const { replay_id: id } = await api("POST", `/webhook_endpoints/${healthy}/replay`, { from: BEGIN });
  const address = `/console/endpoints/${healthy}/replays/${id}`;
  await page.goto(address);
  await page.getByText(/12 of \d+ events/).waitFor();
  return address;
}

function addresses({ id, healthy, failing, off, attempt }) {
  const own = `/console/endpoints/${healthy}`;
  return {
    endpoints: "/console/endpoints",
    "endpoint-new": "/console/endpoints/new",
    endpoint: own,
    "endpoint-table": `${own}?table=1&span=hour`,
    "endpoint-failing": `/console/endpoints/${failing}`,
    "endpoint-off": `/console/endpoints/${off}`,
    "endpoint-edit": `${own}/edit`,
    "endpoint-delete": `${own}/delete`,
    "endpoint-rotate": `${own}/rotate`,
    "endpoint-test": `${own}/test`,
    "endpoint-replay": `${own}/replay`,
    attempt: `/console/endpoints/${failing}/attempts/${attempt}`,
    held: "/console",
    "directory-held": `/console/directories/${id}`,
    release: `/console/directories/${id}/release`,
  };
}

// What is the answer to a form has no address.
async function answers(page, { healthy }) {
  const own = `/console/endpoints/${healthy}`;
  await page.goto(`${own}/test`);
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByRole("heading", { name: "It took the test" }).waitFor();
  await checked(page, "a test");
  await shoot(page, "endpoint-tested");
  await page.goto("/console/endpoints/new");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("alert").getByText("endpoint_url is required.").waitFor();
  await checked(page, "a refused form");
  await page.getByLabel("URL", { exact: true }).fill("https://app.example/light");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("heading", { name: "Endpoint added" }).waitFor();
  await checked(page, "a secret");
  await shoot(page, "endpoint-secret");
}

play(async (browser) => {
  const there = await world();
  const page = await signedIn(browser);
  const cookies = await page.context().cookies();
  let heaviest = 0;
  const every = async (name, address) => {
    await look(page, name, address);
    await shoot(page, name, PICTURED[name]);
    heaviest = Math.max(heaviest, await weigh(browser, cookies, name, address));
  };
  for (const [name, address] of Object.entries(addresses(there))) await every(name, address);
  await answers(page, there);
  await every("replay", await replaying(page, there));
  there.close();
  console.log(`heaviest first load: ${heaviest} bytes`);
});
