// A page as it stands, to be looked at: a copy without its scripts, in which nothing moves, and in which what chance and
// the clock decide (times, ids, secrets, ports, how long something took) always says the same.
//
// The rest is the page: its markup and its style in the same browser, with what is typed and ticked.
"use strict";

const { assert, config, eventually } = require("./browser.cjs");

const NARROW = 700;
const HEIGHTS = { narrow: 640, wide: 800 };
// Longer pages are cut: what stands below is more of the same list.
const HEIGHT_MAX = 6000;

// A browser that is short of memory may fail to draw; it says so and succeeds when it is asked again.
const CAPTURES_MAX = 5;

const ULID = "01KF0SX2M4T8Q6W9E3R5Y7P1ZB";
const UUID = "019bc0f1-4a02-7c30-8d5e-6f708192a3b4";
const HASH = "4f2a9c7e10b3d8566e1fa07c92d4b85e3310c6f7a9e2d04b8857c1f36ad290be";
const SECRET = "Yt3kRw8ZbQ5nVx2LhM7cPd4GjS9fTa6E";
const SUFFIX = "R7xQ";
const [DATE, CLOCK] = ["2026-01-15", "09:30:00"];

// In this order. Each stands for something that has its own form; words and numbers that a page counts are left alone.
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const PATTERNS = [
  [escaped(config.base), "https://dsync.example"],
  [`127\\.0\\.0\\.1:${new URL(config.base).port}\\b`, "dsync.example"],
  ["http://127\\.0\\.0\\.1:\\d+", "https://app.example"],
  ["(?<=/scim/v2\\.0/)[0-9a-f]{32}", "0b2f7c5e8a9146d3b07f2e9c41a85d36"],
  ["(/setup/)[\\w-]{30,}", `$1${SECRET}`],
  ["\\b(dsync_|sk_|whsec_|whpk_)[A-Za-z0-9+/_-]{24,}=*", `$1${SECRET}`],
  ["\\b(v1a?,)[A-Za-z0-9+/]{40,}=*", `$1${SECRET}`],
  ["(?<![0-9A-Za-z])[0-9A-HJKMNP-TV-Z]{26}\\b", ULID],
  ["\\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\\b", UUID],
  ["\\b20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z", `${DATE}T${CLOCK}.000Z`],
  ["\\b1[789]\\d{8}(\\d{3})?\\b", "1768469400"],
  ["\\b[0-9a-f]{64}\\b", HASH],
  ['(?<="external_key": ")\\w+', "GdP3kWq8ZtRnVx2L"],
  ['(?<="token_suffix": ")[\\w-]+', SUFFIX],
  ["\\d+\\.\\d ms", "4.2 ms"],
  ["\\d+\\u202fms", "12\u202fms"],
  ["/[\\w./-]*/\\.tmp\\w+", "/var/lib/dsync"],
  // The version of dsync.
  ["(?<![\\d.])\\d+\\.\\d+\\.\\d+(?![\\d.])", "0.1.0"],
  // What is shown of a token later: its last letters.
  ["(ends in …?)(?!that )[\\w-]{4}(?![\\w/-])", `$1${SUFFIX}`],
  // How far something has come that goes on while one looks.
  ["\\d+ attempts in a row", "12 attempts in a row"],
  ["(?<=\\d events?, )\\d+\\u202f(s|min|h|days)", "11\u202fs"],
];

// What else is another in every run on some pages: figures that are measured, lists that grow while one looks.
const FIGURES = {
  pipeline: ["2.4", null, null, "1.8", "5.6"],
  delivered: ["97.6\u202f%", "1\u202f284", "31", "84\u202fms", "412\u202fms"],
};
const BARS = [3, 5, 4, 8, 12, 9, 7, 10, 16, 14, 9, 6, 4, 3, 6, 11, 18, 22, 17, 13, 9, 12, 15, 8];

// Runs in the page. Nothing of the page itself is touched.
function copied({ patterns, suffix, date, clock, figures, bars, options }) {
  const kept = document.documentElement.cloneNode(true);
  const fields = "input, textarea, select";
  const own = [...document.querySelectorAll(fields)];
  kept.querySelectorAll(fields).forEach((field, at) => {
    const { type, value, checked, selectedIndex } = own[at];
    if (field.tagName === "TEXTAREA") field.textContent = value;
    else if (field.tagName === "SELECT") {
      [...field.options].forEach((option, place) => option.toggleAttribute("selected", place === selectedIndex));
    } else if (type === "checkbox" || type === "radio") field.toggleAttribute("checked", checked);
    else field.setAttribute("value", value);
    field.removeAttribute("autofocus");
  });
  for (const one of kept.querySelectorAll("script")) one.remove();
  for (const one of kept.querySelectorAll(".fresh")) one.classList.remove("fresh");
  for (const one of kept.querySelectorAll("time")) {
    const parts = one.querySelectorAll("span");
    [parts[0].textContent, parts[1].textContent] = [date, clock];
  }
  if (options.rows) {
    for (const list of kept.querySelectorAll("#endpoint tbody, [aria-labelledby=siblings-title] tbody")) [...list.children].slice(options.rows).forEach((row) => row.remove());
  }
  for (const one of kept.querySelectorAll("code")) {
    if (/^…[\w-]{4}$/.test(one.textContent)) one.textContent = suffix;
  }
  const expressions = patterns.map(([source, text]) => [new RegExp(source, "g"), text]);
  const same = (text) => expressions.reduce((now, [expression, other]) => now.replace(expression, other), text);
  const texts = document.createTreeWalker(kept, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    const fixed = same(node.data);
    if (fixed !== node.data) node.data = fixed;
  }
  for (const field of kept.querySelectorAll("input[value]")) field.setAttribute("value", same(field.getAttribute("value")));
  const said = options.figures ? figures[options.figures] : [];
  kept.querySelectorAll(".figure").forEach((figure, at) => { if (said[at]) figure.textContent = said[at]; });
  if (options.figures) {
    const wave = (at, shift) => 29 - 24 * Math.abs(Math.sin((at + shift) / 9)) * (0.7 + 0.3 * Math.sin(at * 1.7));
    kept.querySelectorAll(".chart polyline").forEach((line, shift) => {
      line.setAttribute("points", Array.from({ length: 61 }, (_, at) => `${at * 2},${wave(at, shift * 5).toFixed(1)}`).join(" "));
    });
    for (const chart of kept.querySelectorAll(".bars")) {
      const [, , width, height] = chart.getAttribute("viewBox").split(" ").map(Number);
      const rect = (name, place, y, high) =>
        `<rect class="${name}" x="${place * 6 + 0.5}" y="${y.toFixed(1)}" width="5" height="${high.toFixed(1)}"></rect>`;
      chart.innerHTML = Array.from({ length: Math.round(width / 6) }, (_, place) => {
        const [good, bad] = [bars[place % bars.length] * height / 26, place % 11 === 7 ? 3 : 0];
        return rect("delivered", place, height - bad - good, good) + (bad ? rect("failed", place, height - bad, bad) : "");
      }).join("");
    }
  }
  if (options.sorted) {
    for (const list of kept.querySelectorAll(`${options.sorted} tbody`)) {
      list.append(...[...list.children].sort((one, other) => one.textContent.localeCompare(other.textContent)));
    }
  }
  const overTime = [...kept.querySelectorAll("table")].filter((table) => table.caption?.textContent === "Attempts over time");
  for (const { tBodies: [list] } of overTime) {
    const [row] = list.children;
    const counts = [[118, 0, "100"], [96, 2, "97.9"], [104, 0, "100"], [87, 4, "95.4"]];
    list.replaceChildren(...counts.map(([good, bad, share]) => {
      const own = row.cloneNode(true);
      const texts = [null, good, bad, `${share}\u202f%`, "84\u202fms"];
      [...own.children].forEach((cell, at) => { if (at > 0) cell.querySelector(".number").textContent = texts[at]; });
      return own;
    }));
  }
  for (const [selector, text] of options.texts ?? []) for (const one of kept.querySelectorAll(selector)) one.textContent = text;
  return `<!doctype html>${kept.outerHTML}`;
}

// Nothing is on its way: no part is fetched, no letters are loaded. Several parts may be fetched at once, which a
// locator would refuse to wait for.
async function settled(page) {
  await page.evaluate(() => document.fonts.ready);
  const idle = () => !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling");
  await eventually("an end of what is fetched", () => page.evaluate(idle));
}

const copies = new Map();

// The copy in a window of its own, where it can be looked at and changed.
async function still(page, options = {}) {
  await settled(page);
  const html = await page.evaluate(copied, {
    patterns: PATTERNS, suffix: `…${SUFFIX}`, date: DATE, clock: CLOCK, figures: FIGURES, bars: BARS, options,
  });
  const browser = page.context().browser();
  if (!copies.has(browser)) copies.set(browser, await (await browser.newContext({ locale: "en-US" })).newPage());
  const copy = copies.get(browser);
  const address = `${config.base}/copy`;
  await copy.route(address, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }));
  await copy.goto(address, { waitUntil: "load" });
  await copy.unroute(address);
  await copy.evaluate(() => document.fonts.ready);
  assert.equal(await copy.evaluate(() => document.styleSheets.length), 1, "its style is there");
  return copy;
}

// As a window of this width shows it, in this scheme.
async function seen(copy, width, colorScheme) {
  await copy.setViewportSize({ width, height: width < NARROW ? HEIGHTS.narrow : HEIGHTS.wide });
  await copy.emulateMedia({ colorScheme });
}

// All of it, from top to bottom, or a part of it.
async function taken(copy, part) {
  const clip = part ?? { x: 0, y: 0, ...(await size(copy)) };
  for (let left = CAPTURES_MAX; ; left -= 1) {
    try {
      return await copy.screenshot({ fullPage: true, clip, animations: "disabled", caret: "hide" });
    } catch (error) {
      if (left <= 1 || !/Unable to capture/.test(error.message)) throw error;
    }
  }
}

async function size(copy) {
  const { width } = copy.viewportSize();
  const height = await copy.evaluate(() => document.documentElement.scrollHeight);
  return { width, height: Math.min(height, HEIGHT_MAX) };
}

module.exports = { seen, still, taken };
