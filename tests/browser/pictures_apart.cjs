// Whether the comparison of pictures notices what somebody who looks would: another page, a button that is gone, another
// text, another colour.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { assert, directory, play, signedIn } = require("./browser.cjs");
const { SHOWN_MAX, WHOLE, shown } = require("./pictures.cjs");
const { cut, decode, patched, reduced } = require("./png.cjs");
const { seen, still, taken } = require("./still.cjs");
const { alike, cells } = require("./tiles.cjs");

// What is a picture of nothing if it is gone.
const PARTS = "main button, main a.button, .badge, h1, h2, h3, legend, label, th, td, dt, dd, .figure, .hint, .note, input, select";
const PARTS_MAX = 40;
// Around a part: the lines that are drawn outside of it, and what a letter that is wider takes.
const MARGIN = 16;

// Every two accepted pictures of the same width are pictures of two pages.
function pagesDiffer() {
  const files = fs.readdirSync(WHOLE).filter((file) => file.endsWith(".png"));
  assert.ok(files.length > 250, "they are there");
  const sizes = new Map();
  for (const file of files) {
    const picture = decode(fs.readFileSync(path.join(WHOLE, file)));
    const size = `${picture.width}×${picture.height}`;
    sizes.set(size, [...(sizes.get(size) ?? []), [file, cells(picture)]]);
  }
  const same = [];
  for (const pictures of sizes.values()) {
    pictures.forEach(([file, one], at) => pictures.slice(at + 1).forEach(([next, other]) => {
      if (alike(one, other)) same.push([file, next]);
    }));
  }
  assert.deepEqual(same, []);
}

// What the documentation shows is the upper part of what was accepted.
function shownAreAccepted() {
  for (const file of shown()) {
    const whole = decode(fs.readFileSync(path.join(WHOLE, file)));
    const part = decode(fs.readFileSync(path.join(WHOLE, "..", file)));
    const upper = cut(whole, SHOWN_MAX);
    assert.ok(alike(cells(part), cells(upper)), file);
  }
}

const picture = async (copy) => decode(await taken(copy));
const kept = (picture) => cells(reduced(picture));

// Takes one thing out of a copy, or changes it, and says whether that shows. What is around it is drawn anew, no more.
async function shows(copy, before, part, change) {
  const box = await part.boundingBox();
  const [x, y] = [Math.max(0, Math.floor(box.x) - MARGIN), Math.max(0, Math.floor(box.y) - MARGIN)];
  const [right, bottom] = [box.x + box.width + MARGIN, box.y + box.height + MARGIN].map(Math.ceil);
  const around = { x, y, width: Math.min(right, before.width) - x, height: Math.min(bottom, before.height) - y };
  await part.evaluate(change);
  const after = patched(before, decode(await taken(copy, around)), around);
  return !alike(before.cells, kept(after));
}

async function looked(copy) {
  const before = await picture(copy);
  return { ...before, cells: kept(before) };
}

async function partsCount(page, name) {
  const copy = await still(page);
  for (const [width, scheme] of [[360, "light"], [1280, "dark"]]) {
    await seen(copy, width, scheme);
    const before = await looked(copy);
    assert.ok(alike(before.cells, kept(await picture(copy))), "a page is like itself");
    const parts = (await copy.locator(PARTS).all()).slice(0, PARTS_MAX);
    assert.ok(parts.length > 1, name);
    assert.ok(!(await shows(copy, before, copy.locator("h1"), () => {})), `${name} at ${width} with nothing changed`);
    for (const part of parts) {
      const text = await part.textContent();
      if (!(await part.isVisible()) || (text.trim() === "" && !(await part.evaluate((one) => /INPUT|SELECT/.test(one.tagName))))) continue;
      const said = `${name} at ${width} without “${text.trim()}”`;
      assert.ok(await shows(copy, before, part, (one) => { one.style.visibility = "hidden"; }), said);
      await part.evaluate((one) => { one.style.visibility = ""; });
    }
    for (const part of (await copy.locator("h1, main .button, label, th").all()).slice(0, 8)) {
      if (!(await part.isVisible())) continue;
      const text = await part.innerHTML();
      const other = (one) => { one.innerHTML = one.innerHTML.replace(/([a-z])(?![^<]*>)(?!.*[a-z](?![^<]*>))/s, (letter) => (letter === "m" ? "i" : "m")); };
      assert.ok(await shows(copy, before, part, other), `${name} at ${width} with another letter in “${text}”`);
      await part.evaluate((one, html) => { one.innerHTML = html; }, text);
    }
  }
}

play(async (browser) => {
  pagesDiffer();
  shownAreAccepted();
  const { id, organization, entra } = await directory("Contoso");
  await entra.user("adele@contoso.example");
  const page = await signedIn(browser);
  for (const address of [`directories/${id}`, `organizations/${organization}`, "organizations/new", "api-keys", `directories/${id}/delete`]) {
    await page.goto(`/console/${address}`);
    await partsCount(page, address);
  }
  // The colour of a badge is what it says.
  await page.goto(`/console/directories/${id}`);
  const copy = await still(page);
  await seen(copy, 360, "light");
  const before = await looked(copy);
  assert.ok(await shows(copy, before, copy.locator(".badge.good").first(), (one) => { one.className = "badge bad"; }));
});
