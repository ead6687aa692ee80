// Every page: nothing that axe-core finds in light or dark, nothing wider than the window from 360 to 2,560 pixels,
// less than 100 KB on the first load, all of it readable without a script, and looking as it did when somebody looked.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");
const { api, assert, directory, eventually, open, play, signIn, signedIn } = require("./browser.cjs");
const { checked, look, weigh } = require("./page_checks.cjs");
const { shoot } = require("./pictures.cjs");
const { Sink } = require("./sink.cjs");

const PEOPLE = ["Adele Vance", "Alex Wilber", "Diego Siciliani", "Grady Archie", "Isaiah Langer", "Johanna Lorenz",
  "Joni Sherman", "Lee Gu", "Lidia Holloway", "Lynne Robbins", "Megan Bowen", "Miriam Graham", "Nestor Wilke",
  "Patti Fernandez", "Pradeep Gupta", "ירון לוי", "ليلى حداد"];

// What a picture does not leave to chance beside what it never does.
const PICTURED = {
  // Two endpoints are told at once.
  event: { sorted: ".event" },
  start: { figures: "pipeline", texts: [[".stage:last-child .note", "3 events wait for the endpoint that is furthest behind"]] },
};

async function world() {
  const sink = await Sink.start();
  await api("POST", "/webhook_endpoints", { endpoint_url: sink.url });
  await api("POST", "/webhook_endpoints", {
    endpoint_url: "http://127.0.0.1:9/webhooks", events: ["dsync.user.created"], retry_schedule: "1h",
  });
  const { id, organization, entra } = await directory("Contoso");
  await directory("Fabrikam", "okta scim v2.0");
  await api("PUT", `/organizations/${organization}`, {
    name: "Contoso Inc", external_id: "contoso", domain_data: [{ domain: "contoso.example" }],
  });
  await api("PATCH", `/directories/${id}/scim_settings`, { debug_requests: true });
  await entra.testConnection();
  const members = [];
  for (const [index, formatted] of PEOPLE.entries()) {
    const [givenName, familyName] = formatted.split(" ");
    members.push(await entra.user(`person${index + 1}@contoso.example`, {
      name: { formatted, givenName, familyName }, displayName: formatted, title: "Retail Manager", active: index !== 3,
    }));
  }
  for (let index = 0; index < 15; index += 1) await entra.user(`more${index}@contoso.example`);
  const group = await entra.group("Sales and Marketing", members);
  await entra.group("Empty", []);
  await entra.send("POST", "/Users", { schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"], userName: "person1@contoso.example" });
  await entra.send("PATCH", `/Groups/${group}`, {
    schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    Operations: [{ op: "Remove", path: `members[value eq "${members[0]}"]` }],
  });
  return { id, organization, entra, sink };
}

async function addresses({ id, organization, entra }) {
  const [users, groups, events] = await Promise.all([
    api("GET", `/directory_users?directory=${id}&limit=100`), api("GET", `/directory_groups?directory=${id}`),
    api("GET", "/events?order=desc&limit=100"),
  ]);
  const adele = users.data.find((user) => user.first_name === "Adele");
  const sales = groups.data.find((group) => group.name === "Sales and Marketing");
  const created = events.data.findLast((event) => event.event === "dsync.user.created");
  let requests;
  await eventually("the requests are noted", async () => {
    requests = (await api("GET", `/directories/${id}/requests?limit=50`)).data;
    return requests.length === entra.sent;
  });
  const refused = requests.find((request) => request.status === 409);
  const { data: [token] } = await api("GET", `/directories/${id}/tokens`);
  const directoryPath = `/console/directories/${id}`;
  return {
    start: "/console",
    organizations: "/console/organizations",
    organization: `/console/organizations/${organization}`,
    "organization-new": "/console/organizations/new",
    "organization-edit": `/console/organizations/${organization}/edit`,
    "directory-new": `/console/organizations/${organization}/directories/new`,
    directory: directoryPath,
    "directory-edit": `${directoryPath}/edit`,
    "directory-delete": `${directoryPath}/delete`,
    "token-new": `${directoryPath}/tokens/new`,
    "token-revoke": `${directoryPath}/tokens/${token.id}/revoke`,
    users: `${directoryPath}/users`,
    user: `/console/users/${adele.id}`,
    groups: `${directoryPath}/groups`,
    group: `/console/groups/${sales.id}`,
    requests: `${directoryPath}/requests`,
    request: `${directoryPath}/requests/${refused.id}`,
    events: "/console/events",
    event: `/console/events/${created.id}`,
    missing: "/console/users/directory_user_00000000000000000000000000",
  };
}

// Browsers get the smaller form of htmx, and have to get the same.
function sameInBothForms() {
  const of = (name) => fs.readFileSync(path.join(__dirname, "../../console/assets", name));
  assert.ok(zlib.gunzipSync(of("htmx.min.js.gz")).equals(of("htmx.min.js")));
}

// The dark is other values of what the light names, so that a page is the same in all but its colours: `checked` rests on it.
function coloursAloneDiffer() {
  const style = fs.readFileSync(path.join(__dirname, "../../console/assets/console.css"), "utf8");
  assert.equal(style.split("prefers-color-scheme").length, 2, "there is one block of them");
  const [, dark] = style.match(/@media \(prefers-color-scheme: dark\) \{\s*:root \{([^{}]*)\}\s*\}/);
  for (const line of dark.split(";").map((line) => line.trim()).filter(Boolean)) {
    assert.match(line, /^(--[a-z-]+: #[0-9a-f]{6}|color-scheme: dark)$/);
  }
}

async function withoutScript(browser, { organization, id }) {
  const page = await open(browser, { javaScriptEnabled: false });
  await signIn(page);
  await page.goto(`/console/directories/${id}/users`);
  await page.getByRole("searchbox").fill("person1@");
  await page.getByRole("button", { name: "Search" }).click();
  assert.equal(await page.locator("tbody tr").count(), 1);
  await page.goto(`/console/directories/${id}/users`);
  await page.getByRole("link", { name: "Older" }).click();
  await page.getByRole("link", { name: "Newer" }).waitFor();
  await page.goto(`/console/organizations/${organization}/directories/new`);
  await page.getByRole("radio", { name: /Okta/ }).check();
  await page.getByLabel("Name").fill("Without script");
  await page.getByRole("button", { name: "Create directory" }).click();
  assert.match(await page.locator("#bearer-token").textContent(), /^dsync_/);
  // Sent again, as a browser does that loads the page again: the same directory, and no token.
  await page.reload();
  await page.getByRole("heading", { name: "Without script" }).waitFor();
  await page.goto("/console/events");
  await page.locator(".entry summary").first().click();
  await page.locator(".entry").first().getByRole("link", { name: "Open the event" }).click();
  await page.getByRole("heading", { name: "Caused by" }).waitFor();
}

play(async (browser) => {
  sameInBothForms();
  coloursAloneDiffer();
  const there = await world();
  const all = await addresses(there);
  const signedOut = await open(browser);
  await look(signedOut, "sign-in", "/console/sign-in");
  await shoot(signedOut, "sign-in");
  const page = await signedIn(browser);
  const cookies = await page.context().cookies();
  // What an event led to.
  await eventually("the delivery is shown", async () => {
    await page.goto(all.event);
    return (await page.getByRole("row", { name: /127\.0\.0\.1:9\/webhooks no connection/ }).count()) > 0
      && (await page.getByRole("row", { name: /webhooks 200/ }).count()) > 0;
  });
  await eventually("the charts show what has passed through", async () => {
    await page.goto(all.start);
    const lines = await page.locator(".chart polyline").evaluateAll((all) => all.map((one) => one.getAttribute("points")));
    const isFlat = (points) => points.trim().split(" ").every((point) => point.endsWith(",29.0"));
    return lines.length === 3 && !lines.some(isFlat) && (await page.getByText("up to date").count()) === 1;
  });
  let heaviest = 0;
  for (const [name, address] of Object.entries(all)) {
    await look(page, name, address);
    await shoot(page, name, PICTURED[name]);
    heaviest = Math.max(heaviest, await weigh(browser, cookies, name, address));
  }
  // What opens under a line, and the page that shows a token, are no addresses.
  await page.goto(all.events);
  await page.locator(".entry summary").first().click();
  await page.getByRole("heading", { name: "Caused by" }).waitFor();
  await checked(page, "an open event");
  await page.goto(all["directory-new"]);
  await page.getByRole("radio", { name: /Entra/ }).check();
  await page.getByLabel("Name").fill("Contoso Europe");
  await page.getByRole("button", { name: "Create directory" }).click();
  await page.getByRole("heading", { name: "Directory created" }).waitFor();
  await checked(page, "credentials");
  await shoot(page, "credentials");
  await withoutScript(browser, there);
  there.sink.close();
  console.log(`heaviest first load: ${heaviest} bytes`);
});
