// Whether two pictures are of the same page: cell by cell, so that one button counts as much in a long page as in a short.
"use strict";

// Smaller than any letter.
const CELL = 8;
// Of 255, for the mean colour of a cell. The same page moves it by nothing, another letter in small grey text by 5 and more.
const FAR = 4;

function cells({ width, height, rgb }) {
  const [across, down] = [Math.ceil(width / CELL), Math.ceil(height / CELL)];
  const means = new Float64Array(across * down * 3);
  for (let y = 0, at = 0; y < height; y += 1) {
    const row = Math.floor(y / CELL) * across;
    for (let column = 0; column < across; column += 1) {
      let [red, green, blue] = [0, 0, 0];
      for (const end = Math.min((column + 1) * CELL, width) * 3 + y * width * 3; at < end; at += 3) {
        red += rgb[at];
        green += rgb[at + 1];
        blue += rgb[at + 2];
      }
      const cell = (row + column) * 3;
      means[cell] += red;
      means[cell + 1] += green;
      means[cell + 2] += blue;
    }
  }
  for (let cell = 0; cell < across * down; cell += 1) {
    const wide = Math.min(CELL, width - (cell % across) * CELL);
    const high = Math.min(CELL, height - Math.floor(cell / across) * CELL);
    for (let part = 0; part < 3; part += 1) means[cell * 3 + part] /= wide * high;
  }
  return { width, height, across, down, means };
}

// Whether they are of the same page.
function alike(one, other) {
  if (one.width !== other.width || one.height !== other.height) return false;
  for (let at = 0; at < one.means.length; at += 1) {
    if (Math.abs(one.means[at] - other.means[at]) > FAR) return false;
  }
  return true;
}

// Where they differ, in pixels; or null, if they do not.
function difference(one, other) {
  if (alike(one, other)) return null;
  if (one.width !== other.width || one.height !== other.height) {
    return { sizes: [one, other].map(({ width, height }) => `${width}×${height}`) };
  }
  const isFar = (cell) => [0, 1, 2].some((part) => Math.abs(one.means[cell * 3 + part] - other.means[cell * 3 + part]) > FAR);
  const far = new Set(Array.from({ length: one.across * one.down }, (_, cell) => cell).filter(isFar));
  let largest = [];
  for (const cell of far) {
    const cluster = together(far, cell, one.across);
    if (cluster.length > largest.length) largest = cluster;
  }
  const [x, y] = [largest.map((cell) => cell % one.across), largest.map((cell) => Math.floor(cell / one.across))];
  const from = [Math.min(...x) * CELL, Math.min(...y) * CELL];
  return { from, to: [(Math.max(...x) + 1) * CELL, (Math.max(...y) + 1) * CELL], cells: largest.length };
}

// The far cells around this one, which are taken out of the set.
function together(far, first, across) {
  const found = [];
  const open = [first];
  far.delete(first);
  while (open.length > 0) {
    const cell = open.pop();
    found.push(cell);
    for (const down of [-1, 0, 1]) {
      for (const right of [-1, 0, 1]) {
        const column = (cell % across) + right;
        const next = cell + down * across + right;
        if (column >= 0 && column < across && far.delete(next)) open.push(next);
      }
    }
  }
  return found;
}

module.exports = { alike, cells, difference };
