// What every page has to stand, for scenes that reach pages of their own: axe-core in light and dark, nothing wider than
// the window from 360 to 2,560 pixels, and looking as it did when somebody looked.
"use strict";

const { accessible, content, fits } = require("./browser.cjs");
const { shoot } = require("./pictures.cjs");

const WIDTHS = [360, 1280, 2560];
const CHECKED = [360, 1280];

// A page as it stands, in the window that shows it. The options are those of `still`.
async function stands(page, name, options) {
  const before = page.viewportSize();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    await fits(page, `${name} at ${width}`);
    if (!CHECKED.includes(width)) continue;
    for (const colorScheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme });
      await accessible(page, `${name} at ${width} in ${colorScheme}`);
    }
  }
  await page.setViewportSize(before);
  await shoot(page, name, options);
  content(page);
}

module.exports = { stands };
