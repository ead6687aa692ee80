// What a page looks like, from top to bottom, held against the picture that somebody has looked at and accepted.
//
// With DSYNC_TEST_SCREENSHOTS=$PWD/docs/console the pictures are written instead, to be looked at: whole pages into `pages`
// there, and beside it the upper parts of those that the documentation shows.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { config } = require("./browser.cjs");
const { cut, decode, encode, reduced } = require("./png.cjs");
const { seen, still, taken } = require("./still.cjs");
const { cells, difference } = require("./tiles.cjs");

const DOCS = path.join(__dirname, "../../docs");
const ACCEPTED = path.join(DOCS, "console");
const PAGES = "pages";
const WHOLE = path.join(ACCEPTED, PAGES);
// What the pictures were taken with: where letters have other widths, lines break elsewhere, and another Chromium draws
// lines and fields in its own way. Whichever the distribution has is installed.
const TAKEN_WITH = "taken_with.json";
// What the documentation shows is what a window shows.
const SHOWN_MAX = 720;
const WIDTHS = [360, 1280];

// A page on a phone and on a desk, and on a desk in the dark.
async function shoot(page, name, options) {
  const copy = await still(page, options);
  for (const width of WIDTHS) await one(copy, `${name}-${width}`, width, "light");
  await one(copy, `${name}-dark`, 1280, "dark");
}

async function one(copy, name, width, scheme) {
  const file = `${name}.png`;
  await seen(copy, width, scheme);
  const now = reduced(decode(await taken(copy)));
  if (config.screenshots) return accept(copy, file, now);
  if (!(await drawsAlike(copy))) return;
  const accepted = path.join(WHOLE, file);
  assert.ok(fs.existsSync(accepted), `nobody has accepted a picture ${file}`);
  const found = difference(cells(now), cells(decode(fs.readFileSync(accepted))));
  if (found === null) return;
  const left = path.join(process.env.TMPDIR || "/tmp", `dsync-${file}`);
  fs.writeFileSync(left, encode(now));
  assert.fail(`${file} is not what was accepted (${JSON.stringify(found)}); see ${left}. \
If it is right, take the pictures anew: DSYNC_TEST_SCREENSHOTS=$PWD/docs/console`);
}

async function accept(copy, file, now) {
  fs.mkdirSync(path.join(config.screenshots, PAGES), { recursive: true });
  fs.writeFileSync(path.join(config.screenshots, PAGES, file), encode(now));
  if (shown().has(file)) fs.writeFileSync(path.join(config.screenshots, file), encode(cut(now, SHOWN_MAX)));
  fs.writeFileSync(path.join(config.screenshots, TAKEN_WITH), `${JSON.stringify(await drawing(copy))}\n`);
}

// The pictures that the documentation shows.
function shown() {
  const texts = fs.readdirSync(DOCS).filter((name) => name.endsWith(".md")).map((name) => fs.readFileSync(path.join(DOCS, name), "utf8"));
  return new Set(texts.flatMap((text) => [...text.matchAll(/\(console\/([\w-]+\.png)\)/g)].map(([, file]) => file)));
}

let alike;

async function drawsAlike(page) {
  if (alike === undefined) {
    const now = await drawing(page);
    const then = JSON.parse(fs.readFileSync(path.join(ACCEPTED, TAKEN_WITH), "utf8"));
    alike = JSON.stringify(now) === JSON.stringify(then);
    if (!alike) console.log(`NOT CHECKED: pictures of the console: ${differs(then, now)}`);
  }
  return alike;
}

function differs(then, now) {
  if (then.chromium === now.chromium) return "they were taken with other fonts than this machine has";
  return `they were taken with Chromium ${then.chromium}, and here is ${now.chromium}; take them anew with DSYNC_TEST_SCREENSHOTS=$PWD/docs/console`;
}

// How wide this machine's letters are, and which Chromium draws them.
async function drawing(page) {
  const widths = await page.evaluate(() => {
    const { fontFamily } = getComputedStyle(document.body);
    const context = document.createElement("canvas").getContext("2d");
    return [fontFamily, "monospace"].map((family) => {
      context.font = `100px ${family}`;
      return Math.round(context.measureText("Directories of Contoso, 2026: iiiWWW").width);
    });
  });
  return { widths, chromium: Number(page.context().browser().version().split(".")[0]) };
}

module.exports = { SHOWN_MAX, WHOLE, shoot, shown };
