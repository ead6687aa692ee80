// Signing in and out, as an admin and as an auditor.
"use strict";

const { assert, config, content, directory, open, play, signIn } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

play(async (browser) => {
  const { id, organization } = await directory("Acme");
  const page = await open(browser);

  // Whoever is not signed in is asked, and comes back to where they wanted to go.
  await page.goto(`/console/directories/${id}`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("That is not the password.").waitFor();
  await stands(page, "sign-in-wrong");
  await page.getByLabel("Password").fill(config.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Acme" }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/console/directories/${id}`);

  const cookie = (await page.context().cookies()).find((one) => one.name === "dsync");
  assert.ok(cookie.httpOnly && cookie.sameSite === "Lax", JSON.stringify(cookie));

  // The form that signs in is refused where it was made for another browser.
  const elsewhere = await open(browser);
  await elsewhere.goto("/console/sign-in");
  await elsewhere.context().clearCookies();
  await elsewhere.getByLabel("Password").fill(config.password);
  await elsewhere.getByRole("button", { name: "Sign in" }).click();
  await elsewhere.getByRole("alert").getByText("This form was made for another browser").waitFor();
  await elsewhere.getByLabel("Password").fill(config.password);
  await elsewhere.getByRole("button", { name: "Sign in" }).click();
  await elsewhere.getByRole("heading", { name: "Pipeline" }).waitFor();
  await elsewhere.context().close();

  // A form of an earlier session is refused, and so is one that carries another's token.
  await page.goto("/console/organizations/new");
  await page.getByLabel("Name").fill("Forged");
  await page.locator("main input[name=csrf]").evaluate((field) => { field.value = "guessed"; });
  await page.getByRole("button", { name: "Add organization" }).click();
  await page.getByRole("heading", { name: "This form is out of date" }).waitFor();
  await stands(page, "form-out-of-date");
  await page.goto("/console/organizations");
  assert.equal(await page.getByText("Forged").count(), 0);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goto("/console");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.context().addCookies([cookie]);
  await page.goto("/console");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  content(page);

  // An auditor reads, sees no button that changes anything, and is refused without one.
  const auditor = await open(browser);
  await signIn(auditor, config.auditor_password);
  await auditor.goto(`/console/directories/${id}`);
  await auditor.getByRole("heading", { name: "Acme" }).waitFor();
  await stands(auditor, "directory-auditor");
  for (const name of ["Make token", "Delete directory", "Rename"]) {
    assert.equal(await auditor.getByRole("link", { name }).count(), 0, name);
  }
  for (const path of [`directories/${id}/delete`, `organizations/${organization}/edit`, "organizations/new"]) {
    const shown = await auditor.goto(`/console/${path}`);
    assert.equal(shown.status(), 403, path);
  }
  await auditor.goto(`/console/directories/${id}`);
  const refused = await auditor.evaluate(async (id) => {
    const csrf = document.querySelector("input[name=csrf]").value;
    const body = new URLSearchParams({ csrf, confirmation: "Acme" });
    const answer = await fetch(`/console/directories/${id}/delete`, { method: "POST", body });
    return [answer.status, await answer.text()];
  }, id);
  assert.equal(refused[0], 403);
  assert.match(refused[1], /Auditors change nothing/);
  await auditor.reload();
  await auditor.getByText("not connected yet").waitFor();
  content(auditor);
});
