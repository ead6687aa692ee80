// The pages about webhook endpoints and about what is held: each accessible, within the window and light.
"use strict";

const { accessible, api, directory, eventually, open, play, signedIn } = require("./browser.cjs");
const { look, weigh } = require("./page_checks.cjs");
const { shoot } = require("./pictures.cjs");
const { Sink } = require("./sink.cjs");

async function world() {
  const sink = await Sink.start();
  const { id, organization, entra } = await directory("Contoso");
  const url = (path) => sink.url.replace("/webhooks", path);
  const make = (body) => api("POST", "/webhook_endpoints", body);
  const healthy = await make({ endpoint_url: url("/webhooks"), organizations: [organization], ed25519: true });
  const failing = await make({
    endpoint_url: `http://127.0.0.1:9/${"a-long-path-".repeat(12)}`, retry_schedule: "1s,1s,1s,1s,1s,1s,1s,1s,1s",
  });
  const off = await make({ endpoint_url: url("/off"), events: ["dsync.group.*"], order: "directory" });
  await make({ endpoint_url: url("/operator"), kind: "operational" });
  await api("PATCH", `/webhook_endpoints/${off.id}`, { status: "disabled" });
  await api("PATCH", `/directories/${id}`, { brake: { share: 0.1, window_seconds: 3600, floor: 1 } });
  const people = [];
  for (let number = 0; number < 40; number += 1) people.push(await entra.user(`person${number}@contoso.example`));
  await eventually("the users are told of", () => sink.taken().length >= people.length);
  await api("POST", `/webhook_endpoints/${healthy.id}/rotate_secret`, { overlap_seconds: 3600 });
  sink.status = 500;
  await entra.user("late@contoso.example");
  await eventually("one fails", () => sink.arrived.some((one) => one.status === 500));
  sink.status = 200;
  for (const person of people.slice(0, 9)) await entra.send("DELETE", `/Users/${person}`);
  await eventually("something is held", async () => (await api("GET", `/directories/${id}`)).hold !== null);
  const begin = { from: "2020-01-01T00:00:00Z", rate: 1 };
  const { replay_id: replay } = await api("POST", `/webhook_endpoints/${healthy.id}/replay`, begin);
  let attempt;
  await eventually("attempts are listed", async () => {
    const { data } = await api("GET", `/webhook_endpoints/${failing.id}/deliveries?status=failed&limit=1`);
    attempt = data[0];
    return attempt !== undefined;
  });
  return { sink, id, healthy: healthy.id, failing: failing.id, off: off.id, attempt: attempt.id, replay };
}

function addresses({ id, healthy, failing, off, attempt, replay }) {
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
    replay: `${own}/replays/${replay}`,
    attempt: `/console/endpoints/${failing}/attempts/${attempt}`,
    held: "/console",
    "directory-held": `/console/directories/${id}`,
    release: `/console/directories/${id}/release`,
  };
}

// What is the answer to a form has no address.
async function answers(page, { healthy }, scheme) {
  const own = `/console/endpoints/${healthy}`;
  await page.goto(`${own}/test`);
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByRole("heading", { name: "It took the test" }).waitFor();
  await accessible(page, `a test, ${scheme}`);
  if (scheme === "light") for (const width of [360, 1280]) await shoot(page, "endpoint-tested", width);
  await page.goto("/console/endpoints/new");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("alert").getByText("endpoint_url is required.").waitFor();
  await accessible(page, `a refused form, ${scheme}`);
  await page.getByLabel("URL", { exact: true }).fill(`https://app.example/${scheme}`);
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("heading", { name: "Endpoint added" }).waitFor();
  await accessible(page, `a secret, ${scheme}`);
  if (scheme === "light") for (const width of [360, 1280]) await shoot(page, "endpoint-secret", width);
}

play(async (browser) => {
  const there = await world();
  const light = await signedIn(browser, { colorScheme: "light" });
  const cookies = await light.context().cookies();
  const dark = await open(browser, { colorScheme: "dark" });
  await dark.context().addCookies(cookies);
  let heaviest = 0;
  for (const [name, address] of Object.entries(addresses(there))) {
    await look(light, name, address);
    for (const width of [360, 1280]) await shoot(light, name, width);
    await look(dark, name, address);
    heaviest = Math.max(heaviest, await weigh(browser, cookies, name, address));
  }
  await answers(light, there, "light");
  await answers(dark, there, "dark");
  there.sink.close();
  console.log(`heaviest first load: ${heaviest} bytes`);
});
