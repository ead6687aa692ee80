// The attribute map: read, edited with every kind of mistake, previewed, applied while the page is open, and not
// overwritten by a second admin.
"use strict";

const { api, assert, config, content, directory, eventually, open, play, signIn, signedIn, watched } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

const SCRIPT = "<script>alert(1)</script>";
const ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async function world() {
  const made = await directory("Contoso");
  await made.entra.user("adele@contoso.example", {
    displayName: "Adele Vance", emails: [], [ENTERPRISE]: { department: "Retail" },
    addresses: [{ type: "work", locality: "Oslo" }],
  });
  const diego = await made.entra.user("diego@contoso.example", {
    displayName: "Diego Siciliani", addresses: [{ type: "work", locality: "Madrid" }],
  });
  return { ...made, diego };
}

play(async (browser) => {
  const { id, entra, diego } = await world();
  const own = `/console/directories/${id}`;
  const page = await signedIn(browser);
  let alerted = false;
  page.on("dialog", (dialog) => { alerted = true; dialog.dismiss(); });

  await page.goto(own);
  await page.getByText("nothing is mapped").waitFor();
  await page.getByRole("link", { name: "Attribute map" }).click();
  await page.getByText("Nothing is mapped", { exact: true }).waitFor();
  await stands(page, "map-empty");
  await page.getByRole("link", { name: "Edit the map" }).click();

  // What is wrong stands at its field, and what was typed stays.
  await page.getByLabel("E-mail email").fill("emails\nemails[type eq");
  await page.getByLabel("Name 1", { exact: true }).fill("place of work");
  await page.getByLabel("Paths 1", { exact: true }).fill("title");
  await page.getByLabel("Name 2", { exact: true }).fill("secret");
  await page.getByLabel("Paths 2", { exact: true }).fill("password");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByRole("alert").getByText("Nothing was saved").waitFor();
  const wrong = (name) => page.getByLabel(name).evaluate((field) =>
    [field.getAttribute("aria-invalid"), document.getElementById(field.getAttribute("aria-describedby")).textContent]);
  assert.match((await wrong("E-mail email")).join(" "), /true .*emails\[type eq/);
  assert.match((await wrong("Paths 2")).join(" "), /true .*is never told/);
  assert.match((await wrong("Name 1")).join(" "), /true .*cannot be the name of an attribute/);
  assert.equal(await page.getByLabel("E-mail email").inputValue(), "emails\nemails[type eq");
  await stands(page, "map-wrong");
  await page.getByLabel("Name 1", { exact: true }).fill(SCRIPT);
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByText(`${SCRIPT} cannot be the name`, { exact: false }).or(page.getByRole("alert")).first().waitFor();
  assert.equal(await page.getByLabel("Name 1", { exact: true }).inputValue(), SCRIPT);
  assert.equal((await api("GET", `/directories/${id}`)).attribute_map?.custom?.secret, undefined);

  // A chain, one that fills itself, and one of our own with the rows that are asked for.
  await page.getByLabel("E-mail email").fill("emails\nuserName");
  await page.getByLabel("Name 1", { exact: true }).fill("office");
  await page.getByLabel("Paths 1", { exact: true }).fill('addresses[type eq "work"].locality');
  await page.getByLabel("Name 2", { exact: true }).fill("");
  await page.getByLabel("Paths 2", { exact: true }).fill("");
  await page.getByLabel("department_name").check();
  await page.getByRole("button", { name: "More rows" }).click();
  await page.getByLabel("Name 6", { exact: true }).fill("shown");
  await page.getByLabel("Paths 6", { exact: true }).fill("displayName");
  await page.getByRole("button", { name: "Preview" }).click();
  const preview = page.getByRole("region", { name: "Preview" });
  await preview.getByText("Of the 2 latest users").waitFor();
  const change = (name) => preview.locator(".card").filter({ hasText: name });
  const rows = await change("adele@contoso.example").getByRole("row").allTextContents();
  assert.deepEqual(rows.slice(1), [
    "emailnoneadele@contoso.example", "department_namenoneRetail", "officenoneOslo", "shownnoneAdele Vance",
  ]);
  await stands(page, "map-preview");
  await entra.send("PATCH", `/Users/${diego}`, {
    schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    Operations: [
      { op: "Replace", path: "displayName", value: SCRIPT },
      { op: "Replace", path: 'addresses[type eq "work"].locality', value: SCRIPT },
    ],
  });
  await eventually("names from outside are text", async () => {
    await page.getByRole("button", { name: "Preview" }).click();
    return (await preview.getByText(SCRIPT).count()) > 0;
  });
  assert.deepEqual((await api("GET", `/directories/${id}`)).attribute_map.custom, {}, "a preview changes nothing");

  // A second admin has the form open meanwhile.
  const second = watched(await page.context().newPage());
  await second.goto(`${own}/map/edit`);
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("heading", { name: "Attribute map" }).waitFor();
  await page.locator("#map").getByText("All 2 users follow the rules.").waitFor();
  await stands(page, "map");
  const mapped = async () => (await api("GET", `/directories/${id}`)).attribute_map;
  assert.deepEqual((await mapped()).standard.email, ["emails", "userName"]);
  const { data } = await api("GET", `/directory_users?directory=${id}`);
  const adele = data.find((user) => user.username === "adele@contoso.example");
  assert.deepEqual([adele.email, adele.custom_attributes.office], ["adele@contoso.example", "Oslo"]);

  await second.getByLabel("Name 1", { exact: true }).fill("title");
  await second.getByLabel("Paths 1", { exact: true }).fill("title");
  await second.getByRole("button", { name: "Apply" }).click();
  await second.getByRole("alert").getByText("Somebody else has changed the directory meanwhile.").waitFor();
  await second.getByRole("alert").getByRole("row", { name: /office/ }).waitFor();
  assert.equal(await second.getByLabel("Name 1", { exact: true }).inputValue(), "title");
  assert.ok((await mapped()).custom.office, "nothing is overwritten in silence");
  await stands(second, "map-overtaken");
  await second.getByRole("button", { name: "Apply" }).click();
  await second.getByRole("heading", { name: "Attribute map" }).waitFor();
  assert.deepEqual(Object.keys((await mapped()).custom), ["title"]);

  // The first page has followed without being loaded again.
  await page.getByRole("row", { name: /^title/ }).waitFor();
  assert.equal(await page.getByRole("row", { name: /office/ }).count(), 0);
  await page.goto(`${own}/map/edit`);
  await page.getByText("What the identity provider sends").click();
  await page.locator(".sent .json").getByText("userName").waitFor();
  content(page);
  content(second);
  assert.equal(alerted, false, "nothing from outside runs");

  // An auditor reads it and changes nothing.
  const auditor = await open(browser);
  await signIn(auditor, config.auditor_password);
  await auditor.goto(`${own}/map`);
  await auditor.getByRole("row", { name: /^title/ }).waitFor();
  assert.equal(await auditor.getByRole("link", { name: "Edit the map" }).count(), 0);
  assert.equal((await auditor.goto(`${own}/map/edit`)).status(), 403);
  await auditor.goto(`${own}/map`);
  const refused = await auditor.evaluate(async (address) => {
    const csrf = document.querySelector("input[name=csrf]").value;
    const body = new URLSearchParams({ csrf, do: "apply", made_from: "2026-01-01T00:00:00.000Z" });
    return (await fetch(address, { method: "POST", body })).status;
  }, `${own}/map/edit`);
  assert.equal(refused, 403);
  assert.deepEqual(Object.keys((await mapped()).custom), ["title"]);
  content(auditor);

  // Without a script, too.
  const plain = await open(browser, { javaScriptEnabled: false });
  await signIn(plain);
  await plain.goto(`${own}/map/edit`);
  await plain.getByLabel("Name 1", { exact: true }).fill("");
  await plain.getByLabel("Paths 1", { exact: true }).fill("");
  await plain.getByRole("button", { name: "Apply" }).click();
  await plain.getByText("Nothing is mapped", { exact: true }).waitFor();
  await eventually("the map is gone", async () => Object.keys((await mapped()).custom).length === 0);
});
