// Where passwords are turned off, the identity provider is the one way in.
"use strict";

const { assert, config, content, open, play } = require("./browser.cjs");
const { stands } = require("./inspect.cjs");

play(async (browser) => {
  const redirect_uri = `${config.base}/console/oidc/callback`;
  const body = JSON.stringify({ redirect_uri, secret: "odd: +/ secret", only_userinfo: false });
  await fetch(`${config.provider}/control`, { method: "POST", body });
  const page = await open(browser);
  await page.goto("/console");
  await page.getByRole("link", { name: "Sign in with the identity provider" }).waitFor();
  assert.equal(await page.getByLabel("Password").count(), 0);
  await stands(page, "sign-in-provider-only");
  const refused = await page.evaluate(async (password) => {
    const cookieless = new URLSearchParams({ password });
    return (await fetch("/console/sign-in", { method: "POST", body: cookieless })).status;
  }, config.password);
  assert.equal(refused, 403);
  await page.getByRole("link", { name: "Sign in with the identity provider" }).click();
  await page.locator("input[name=login]").fill("ada");
  await page.locator("input[name=password]").fill("anything");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("heading", { name: "Pipeline" }).waitFor();
  content(page);
});
