// What a page looks like, held against the picture that somebody has looked at and accepted: docs/console.
//
// Ids, times and names differ from run to run, so what is compared is the colour of cells, not of pixels. With
// DSYNC_TEST_SCREENSHOTS the pictures are written there instead, to be looked at.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { config } = require("./browser.cjs");

const ACCEPTED = path.join(__dirname, "../../docs/console");
// Pictures were taken with these; where letters have other widths, lines break elsewhere.
const FONTS = path.join(ACCEPTED, "fonts.json");
const CELL = 20;
// Of 255. Other ids and times move a picture by 0.3 on the average, another form in the same frame by 1.8.
const MEAN_MAX = 2;
const FAR = 24;
const FAR_SHARE_MAX = 0.03;
// Where a page shows the server at work, with charts, counts and how long things took, no two pictures are the same; the
// frame and the places are.
const LIVELY = { names: [
  "attempt", "endpoint", "endpoint-failing", "endpoint-table", "endpoint-tested", "held", "replay", "request", "requests",
  "start",
], times: 3 };

// Where a phone shows a secret, chance says at which of its letters the lines break, and where all below them stands.
const NARROW = 700;
const BROKEN_BY_CHANCE = ["api-key-made", "credentials", "endpoint-secret", "link-made", "setup-created", "setup-rotated"];

// Takes the picture of what is in the window, and accepts or compares it.
async function shoot(page, name, width) {
  await page.setViewportSize({ width, height: width < NARROW ? 560 : 600 });
  const file = `${name}-${width}.png`;
  const taken = await page.screenshot({ animations: "disabled", caret: "hide" });
  const folder = config.screenshots;
  if (folder) {
    fs.writeFileSync(path.join(folder, file), taken);
    fs.writeFileSync(path.join(folder, "fonts.json"), `${JSON.stringify(await fonts(page))}\n`);
    return;
  }
  if (!(await hasTheFonts(page)) || (width < NARROW && BROKEN_BY_CHANCE.includes(name))) return;
  assert.ok(fs.existsSync(path.join(ACCEPTED, file)), `nobody has accepted a picture ${file}`);
  const difference = await compare(page, taken, fs.readFileSync(path.join(ACCEPTED, file)));
  const { mean, far } = difference;
  const times = LIVELY.names.includes(name) ? LIVELY.times : 1;
  if (mean <= MEAN_MAX * times && far <= FAR_SHARE_MAX * times) return;
  const left = path.join(process.env.TMPDIR || "/tmp", `dsync-${file}`);
  fs.writeFileSync(left, taken);
  assert.fail(`${file} is not what was accepted (${JSON.stringify(difference)}); see ${left}. \
If it is right, take the pictures anew: DSYNC_TEST_SCREENSHOTS=docs/console`);
}

let asked;

async function hasTheFonts(page) {
  if (asked === undefined) {
    asked = JSON.stringify(await fonts(page)) === fs.readFileSync(FONTS, "utf8").trim();
    if (!asked) console.log("NOT CHECKED: pictures, which were taken with other fonts than this machine has");
  }
  return asked;
}

// How wide this machine's letters are.
function fonts(page) {
  return page.evaluate(() => {
    const { fontFamily } = getComputedStyle(document.body);
    const context = document.createElement("canvas").getContext("2d");
    return [fontFamily, "monospace"].map((family) => {
      context.font = `100px ${family}`;
      return Math.round(context.measureText("Directories of Contoso, 2026: iiiWWW").width);
    });
  });
}

// In a page of its own, where no policy forbids to load them.
async function compare(page, ...pictures) {
  const blank = await page.context().newPage();
  try {
    const [one, other] = await Promise.all(pictures.map((bytes) => blank.evaluate(cells, {
      url: `data:image/png;base64,${bytes.toString("base64")}`, cell: CELL,
    })));
    if (one.length !== other.length) return { mean: 255, far: 1 };
    const apart = one.map((colour, at) => Math.max(...colour.map((value, part) => Math.abs(value - other[at][part]))));
    const mean = apart.reduce((sum, value) => sum + value, 0) / apart.length;
    return { mean, far: apart.filter((value) => value > FAR).length / apart.length };
  } finally {
    await blank.close();
  }
}

// The mean colour of each cell. Runs in the browser.
async function cells({ url, cell }) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.ceil(image.width / cell), Math.ceil(image.height / cell)];
  const context = canvas.getContext("2d");
  // Halved again and again, so that each pixel that is left is the mean of its cell.
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: data.length / 4 }, (_, at) => Array.from(data.subarray(4 * at, 4 * at + 3)));
}

module.exports = { shoot };
