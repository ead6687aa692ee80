// What is checked of every page: nothing that axe-core finds, on a phone and on a desk, in the scheme
// of its browser; nothing wider than the window from 360 to 2,560 pixels,
// less than 100 KB on the first load.
"use strict";

const { accessible, assert, config, content, fits, open } = require("./browser.cjs");

const FIRST_LOAD_BYTES_MAX = 100000;

async function look(page, name, address) {
  await page.goto(address);
  await page.getByRole("heading", { level: 1 }).waitFor();
  for (const width of [360, 1280, 2560]) {
    await page.setViewportSize({ width, height: 800 });
    await fits(page, `${name} at ${width}`);
    if (width <= 1280) await accessible(page, `${name} at ${width}`);
  }
  content(page);
}

// Bytes over the wire, as the browser counts them, with nothing in its cache. A page of something that changes may
// fetch itself anew while it is weighed: that is no part of its first load.
async function weigh(browser, cookies, name, address) {
  const page = await open(browser);
  await page.context().addCookies(cookies);
  await page.goto(address);
  await page.getByRole("heading", { level: 1 }).waitFor();
  const loaded = await page.evaluate(() => {
    const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const anew = (entry) => entry.initiatorType === "xmlhttprequest" && new URL(entry.name).pathname === location.pathname;
    const own = all.filter((entry) => entry.initiatorType !== "other" && !anew(entry) && !/stream|changes/.test(entry.name));
    return own.map(({ name, initiatorType, transferSize }) => ({ name, initiatorType, transferSize }));
  });
  await page.context().close();
  const bytes = loaded.reduce((sum, entry) => sum + entry.transferSize, 0);
  assert.ok(bytes > 0 && bytes < FIRST_LOAD_BYTES_MAX, `${name} weighs ${bytes} bytes: ${JSON.stringify(loaded)}`);
  return bytes;
}

module.exports = { look, weigh };
