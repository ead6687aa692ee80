// What is checked of every page: nothing that axe-core finds, on a phone and on a desk, in light and dark; nothing wider
// than the window from 360 to 2,560 pixels; less than 100 KB on the first load.
"use strict";

const { COLOURS, accessible, assert, content, fits, open } = require("./browser.cjs");

const FIRST_LOAD_BYTES_MAX = 100000;

const WIDTHS = [360, 1280, 2560];
const CHECKED = [360, 1280];

// A page as it stands. In the dark it has other colours and is the same in all else, which `pages` looks after.
async function checked(page, name) {
  const before = page.viewportSize();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    await fits(page, `${name} at ${width}`);
    if (!CHECKED.includes(width)) continue;
    await page.emulateMedia({ colorScheme: "dark" });
    await accessible(page, `${name} at ${width} in the dark`, COLOURS);
    await page.emulateMedia({ colorScheme: "light" });
    await accessible(page, `${name} at ${width}`);
  }
  await page.setViewportSize(before);
  content(page);
}

async function look(page, name, address) {
  await page.goto(address);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await checked(page, name);
}

const scales = new Map();

// A page that has nothing in its cache, however often it loads.
async function scale(browser) {
  if (!scales.has(browser)) {
    const page = await open(browser);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.setCacheDisabled", { cacheDisabled: true });
    scales.set(browser, page);
  }
  return scales.get(browser);
}

// Bytes over the wire, as the browser counts them. A page of something that changes may fetch itself anew while it is
// weighed: that is no part of its first load.
async function weigh(browser, cookies, name, address) {
  const page = await scale(browser);
  await page.context().addCookies(cookies);
  await page.goto(address);
  await page.getByRole("heading", { level: 1 }).waitFor();
  const loaded = await page.evaluate(() => {
    const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const anew = (entry) => entry.initiatorType === "xmlhttprequest" && new URL(entry.name).pathname === location.pathname;
    const own = all.filter((entry) => entry.initiatorType !== "other" && !anew(entry) && !/stream|changes/.test(entry.name));
    return own.map(({ name, initiatorType, transferSize }) => ({ name, initiatorType, transferSize }));
  });
  const unweighed = loaded.filter((entry) => entry.transferSize === 0);
  assert.deepEqual(unweighed, [], `${name} has from a cache`);
  const bytes = loaded.reduce((sum, entry) => sum + entry.transferSize, 0);
  assert.ok(bytes > 0 && bytes < FIRST_LOAD_BYTES_MAX, `${name} weighs ${bytes} bytes: ${JSON.stringify(loaded)}`);
  return bytes;
}

module.exports = { checked, look, weigh };
