// What belongs to an organization: setup links, host names, roles by group, and its end.
"use strict";

const {
  api, assert, config, content, directory, eventually, open, play, signIn, signedIn, watched,
} = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

const SCRIPT = "<script>alert(1)</script>";

async function links(page, browser, organization) {
  const own = `/console/organizations/${organization}`;
  await page.goto(own);
  await page.getByText("No links yet").waitFor();
  await page.getByRole("link", { name: "Make a link" }).click();
  await stands(page, "link-new");
  await page.getByRole("radio", { name: /A day/ }).check();
  await page.getByRole("button", { name: "Make link" }).click();
  await page.getByRole("heading", { name: "Setup link made" }).waitFor();
  await stands(page, "link-made");
  const link = await page.locator("#link").textContent();
  await page.getByRole("button", { name: "Copy Setup link" }).click();
  await page.getByText("Copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
  await page.reload();
  await page.getByRole("heading", { name: "Contoso Inc" }).waitFor();
  const { data } = await api("GET", `/portal/links?organization=${organization}`);
  assert.equal(data.length, 1, "loading the page again makes no second one");
  assert.equal(data[0].state, "live");
  const hours = (new Date(data[0].expires_at) - new Date(data[0].created_at)) / 3600000;
  assert.equal(hours, 24);
  const states = page.getByRole("table", { name: "Setup links" });
  await states.getByText("waiting").waitFor();

  // It opens for one browser; the page here follows, and revoking it ends the visit.
  const admin = await open(browser);
  await admin.goto(link);
  await admin.getByRole("button").first().click();
  await admin.getByText("Contoso").first().waitFor();
  await page.reload();
  await states.getByText("opened", { exact: true }).waitFor();
  await states.getByRole("link", { name: "Revoke" }).click();
  await stands(page, "link-revoke");
  await page.getByRole("button", { name: "Revoke link" }).click();
  await states.getByText("revoked", { exact: true }).waitFor();
  assert.equal(await states.getByRole("link", { name: "Revoke" }).count(), 0);
  assert.ok((await admin.goto(link)).status() >= 400, "the visit has ended");
  await admin.context().close();
}

async function hostNames(page, { organization, id }) {
  const names = page.getByRole("table", { name: "Host names" });
  await page.getByText("No host names of its own").waitFor();
  await page.getByRole("link", { name: "Add a host name" }).click();
  await page.getByLabel("Host name").fill("https://scim.contoso.example/");
  await page.getByRole("button", { name: "Add host name" }).click();
  await page.getByText("Give a host name such as").first().waitFor();
  assert.equal(await page.getByLabel("Host name").getAttribute("aria-invalid"), "true");
  await stands(page, "host-name-new");
  await page.getByLabel("Host name").fill("SCIM.contoso.example");
  await page.getByRole("button", { name: "Add host name" }).click();
  await names.getByRole("row", { name: /scim\.contoso\.example the organization/ }).waitFor();
  await page.getByRole("link", { name: "Add a host name" }).click();
  await api("PATCH", `/directories/${id}`, { name: SCRIPT });
  await page.reload();
  await page.getByLabel("Host name").fill("people.contoso.example");
  await page.getByRole("radio", { name: SCRIPT }).check();
  await page.getByRole("button", { name: "Add host name" }).click();
  await names.getByRole("row", { name: `people.contoso.example ${SCRIPT}` }).waitFor();
  const other = (await api("POST", "/organizations", { name: "Fabrikam" })).id;
  await page.goto(`/console/organizations/${other}/host-names/new`);
  await page.getByLabel("Host name").fill("scim.contoso.example");
  await page.getByRole("button", { name: "Add host name" }).click();
  await page.getByText("This host name belongs to an organization").first().waitFor();
  await api("PATCH", `/directories/${id}`, { name: "Contoso Europe" });
  await page.goto(`/console/organizations/${organization}`);
  await names.getByRole("row", { name: "people.contoso.example Contoso Europe" }).waitFor();
  await stands(page, "organization-full");
  await names.getByRole("link", { name: "Remove people.contoso.example" }).click();
  await stands(page, "host-name-remove");
  await page.getByRole("button", { name: "Remove host name" }).click();
  await names.getByRole("row", { name: /scim\.contoso/ }).waitFor();
  assert.equal(await names.getByRole("row", { name: /people/ }).count(), 0);
}

async function roles(page, made) {
  const own = `/console/directories/${made.id}`;
  const adele = await made.entra.user("adele@contoso.example");
  await made.entra.group("Sales", [adele]);
  await made.entra.group("Retail Managers", [adele]);
  const mapping = () => api("GET", `/directories/${made.id}/role_mapping`);
  await page.goto(own);
  await page.getByText("No roles by group").waitFor();
  await page.getByRole("link", { name: "Edit roles" }).click();
  const fill = async (number, group, role, place) => {
    await page.getByLabel(`Group ${number}`).fill(group);
    await page.getByLabel(`Role ${number}`, { exact: true }).fill(role);
    if (place !== undefined) await page.getByLabel(`Place ${number}`).fill(place);
  };
  await fill(1, "Sales", "no role");
  await fill(2, "sales", "member");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("Nothing was saved").waitFor();
  assert.equal(await page.getByLabel("Role 1", { exact: true }).getAttribute("aria-invalid"), "true");
  assert.equal(await page.getByLabel("Group 2").getAttribute("aria-invalid"), "true");
  await stands(page, "roles-wrong");

  const second = watched(await page.context().newPage());
  await second.goto(`${own}/roles`);
  await fill(1, "Sales", "seller");
  await fill(2, "Retail Managers", "admin", "1");
  await page.getByLabel("Role of everybody else").fill("member");
  await page.getByRole("button", { name: "More rows" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "Contoso Europe", level: 1 }).waitFor();
  assert.deepEqual(await mapping(), {
    default_role: "member", groups: [{ group: "Retail Managers", role: "admin" }, { group: "Sales", role: "seller" }],
  });
  await eventually("users have the roles", async () => {
    const { data } = await api("GET", `/directory_users?directory=${made.id}`);
    return data[0].roles?.map((role) => role.slug).join() === "admin,seller";
  });
  await page.getByRole("table", { name: "Roles by group" }).getByRole("row", { name: "Sales seller" }).waitFor();

  await second.getByLabel("Role of everybody else").fill("guest");
  await second.getByRole("button", { name: "Save" }).click();
  await second.getByRole("alert").getByText("Somebody else has changed the directory meanwhile.").waitFor();
  assert.equal(await second.getByLabel("Role of everybody else").inputValue(), "guest");
  assert.equal((await mapping()).default_role, "member", "nothing is overwritten in silence");
  await stands(second, "roles-overtaken");
  await second.getByRole("button", { name: "Save" }).click();
  await second.getByText("Everybody else has the role guest").waitFor();
  assert.deepEqual(await mapping(), { default_role: "guest", groups: [] });

  // Names from outside are text.
  await made.entra.group(SCRIPT, [adele]);
  await api("PATCH", `/directories/${made.id}`, { name: SCRIPT });
  await page.goto(`${own}/roles`);
  await fill(1, SCRIPT, "admin");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: SCRIPT, level: 1 }).waitFor();
  await page.getByRole("table", { name: "Roles by group" }).getByRole("row", { name: `${SCRIPT} admin` }).waitFor();
  content(second);
  await second.close();
}

async function auditor(browser, { id, organization }) {
  const page = await open(browser);
  await signIn(page, config.auditor_password);
  const own = `/console/organizations/${organization}`;
  await page.goto(own);
  await page.getByRole("table", { name: "Setup links" }).waitFor();
  assert.equal(await page.getByRole("link", { name: /^(Make|Add|Edit|Delete|Revoke|Remove)/ }).count(), 0);
  for (const path of [`${own}/links/new`, `${own}/host-names/new`, `${own}/delete`, `/console/directories/${id}/roles`]) {
    const refused = await page.evaluate(async (path) => {
      const csrf = document.querySelector("input[name=csrf]").value;
      const body = new URLSearchParams({ csrf, confirmation: "Contoso Inc", lifetime: "day", do: "save" });
      return [(await fetch(path)).status, (await fetch(path, { method: "POST", body })).status];
    }, path);
    assert.deepEqual(refused, [403, 403], path);
  }
  await page.context().close();
}

play(async (browser) => {
  const made = await directory("Contoso");
  const page = await signedIn(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  let alerted = false;
  page.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });
  await links(page, browser, made.organization);
  await hostNames(page, made);
  await roles(page, made);
  await auditor(browser, made);

  // The end asks for the name.
  await page.goto(`/console/organizations/${made.organization}`);
  await page.getByRole("link", { name: "Delete organization" }).click();
  await page.getByLabel("Name of the organization").fill("Contoso");
  await page.getByRole("button", { name: "Delete organization" }).click();
  await page.getByText("That is not the name of the organization.").first().waitFor();
  await stands(page, "organization-delete");
  await page.getByLabel("Name of the organization").fill("Contoso Inc");
  await page.getByRole("button", { name: "Delete organization" }).click();
  await page.getByRole("heading", { name: "Organizations" }).waitFor();
  assert.equal(await page.getByText("Contoso Inc").count(), 0);
  await eventually("its directory is gone", async () => (await api("GET", "/directories")).data.length === 0);
  assert.equal((await made.entra.testConnection()).status, 401);
  content(page);
  assert.equal(alerted, false, "nothing from outside runs");
});
