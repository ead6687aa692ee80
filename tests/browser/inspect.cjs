// What every page has to stand, for scenes that reach pages of their own: axe-core in light and dark, nothing wider than
// the window from 360 to 2,560 pixels, and a picture for the documentation where one is asked for.
"use strict";

const path = require("node:path");
const { accessible, config, content, fits } = require("./browser.cjs");

const WIDTHS = [360, 1280, 2560];
const PICTURED = { 360: 560, 1280: 600 };

// A page as it stands, in the window that shows it.
async function stands(page, name) {
  const before = page.viewportSize();
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${name} in ${colorScheme}`);
    if (config.screenshots && process.env.DSYNC_TEST_DARK) await picture(page, `${name}-${colorScheme}`);
  }
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    await fits(page, `${name} at ${width}`);
  }
  if (config.screenshots) await picture(page, name);
  await page.setViewportSize(before);
  content(page);
}

// DSYNC_TEST_DARK has whole pages taken in both colours, to be looked at; the documentation has neither.
async function picture(page, name) {
  for (const [width, height] of Object.entries(PICTURED)) {
    await page.setViewportSize({ width: Number(width), height });
    await page.screenshot({
      path: path.join(config.screenshots, `${name}-${width}.png`), animations: "disabled",
      fullPage: Boolean(process.env.DSYNC_TEST_DARK),
    });
  }
}

module.exports = { stands };
