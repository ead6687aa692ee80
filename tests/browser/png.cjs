// Reads the pictures that the browser takes and those that are kept, and writes the latter: with a palette, which for pages
// of few colours takes a third of the room.
"use strict";

const assert = require("node:assert/strict");
const zlib = require("node:zlib");

const SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");
// Colours of a kept picture. A page has a dozen of its own; the rest are the edges of letters, where near is good enough.
const PALETTE_MAX = 40;
const CHANNELS = { 2: 3, 3: 1, 6: 4 };

function* chunks(file) {
  assert.ok(file.subarray(0, 8).equals(SIGNATURE), "no PNG");
  for (let at = 8; at < file.length;) {
    const length = file.readUInt32BE(at);
    yield [file.toString("latin1", at + 4, at + 8), file.subarray(at + 8, at + 8 + length)];
    at += length + 12;
  }
}

// {width, height, rgb}: three bytes a pixel. What is transparent does not occur.
function decode(file) {
  let header;
  let palette;
  const packed = [];
  for (const [kind, data] of chunks(file)) {
    if (kind === "IHDR") header = data;
    if (kind === "PLTE") palette = data;
    if (kind === "IDAT") packed.push(data);
  }
  const [width, height, depth, colour, interlace] =
    [header.readUInt32BE(0), header.readUInt32BE(4), header[8], header[9], header[12]];
  assert.ok(depth === 8 && interlace === 0 && CHANNELS[colour], "a form of PNG that no picture here has");
  const channels = CHANNELS[colour];
  const lines = unfiltered(zlib.inflateSync(Buffer.concat(packed)), width * channels, height, channels);
  if (channels === 3) return { width, height, rgb: lines };
  const rgb = Buffer.alloc(width * height * 3);
  for (let pixel = 0, to = 0; pixel < width * height; pixel += 1, to += 3) {
    const from = palette ? lines[pixel] * 3 : pixel * channels;
    const source = palette ?? lines;
    rgb[to] = source[from];
    rgb[to + 1] = source[from + 1];
    rgb[to + 2] = source[from + 2];
  }
  return { width, height, rgb };
}

function unfiltered(raw, line, height, step) {
  // Above the first line there is one of nothing.
  const out = Buffer.alloc(line * (height + 1));
  for (let y = 0; y < height; y += 1) {
    const from = y * (line + 1) + 1;
    UNDONE[raw[from - 1]]({ raw, from, out, to: (y + 1) * line, line, step });
  }
  return out.subarray(line);
}

// How a line comes out of what is kept of it, by the number of its filter: none, sub, up, average, Paeth (PNG, section 9). A loop
// of its own for each, since millions of bytes pass through.
const UNDONE = [
  ({ raw, from, out, to, line }) => raw.copy(out, to, from, from + line),
  ({ raw, from, out, to, line, step }) => {
    raw.copy(out, to, from, from + step);
    for (let x = step; x < line; x += 1) out[to + x] = raw[from + x] + out[to + x - step];
  },
  ({ raw, from, out, to, line }) => {
    for (let x = 0; x < line; x += 1) out[to + x] = raw[from + x] + out[to + x - line];
  },
  ({ raw, from, out, to, line, step }) => {
    for (let x = 0; x < step; x += 1) out[to + x] = raw[from + x] + (out[to + x - line] >> 1);
    for (let x = step; x < line; x += 1) out[to + x] = raw[from + x] + ((out[to + x - step] + out[to + x - line]) >> 1);
  },
  ({ raw, from, out, to, line, step }) => {
    for (let x = 0; x < step; x += 1) out[to + x] = raw[from + x] + out[to + x - line];
    for (let x = step; x < line; x += 1) {
      out[to + x] = raw[from + x] + nearest(out[to + x - step], out[to + x - line], out[to + x - line - step]);
    }
  },
];

// Which of the three is nearest to where they point, as Paeth has it.
function nearest(left, up, corner) {
  const a = Math.abs(up - corner);
  const b = Math.abs(left - corner);
  const c = Math.abs(left + up - 2 * corner);
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function encode({ width, height, rgb }) {
  const { colours, index } = palette(rgb);
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) index.copy(lines, y * (width + 1) + 1, y * width, (y + 1) * width);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  [header[8], header[9]] = [8, 3];
  const data = zlib.deflateSync(lines, { level: 9, memLevel: 9 });
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("PLTE", Buffer.from(colours.flat())), chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0))]);
}

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
  const ends = [Buffer.alloc(4), Buffer.alloc(4)];
  ends[0].writeUInt32BE(data.length);
  ends[1].writeUInt32BE(zlib.crc32(body));
  return Buffer.concat([ends[0], body, ends[1]]);
}

// One place for each pixel in a list of colours. A colour is taken into it for how often it is there and for how far it is
// from those that were taken, so that neither a small badge nor the grey of letters is lost.
function palette(rgb) {
  const pixels = rgb.length / 3;
  const counts = new Map();
  const seen = (value, count) => counts.set(value, (counts.get(value) ?? 0) + count);
  runs(rgb, (value, from, to) => seen(value, to - from));
  const there = [...counts].sort(([one, a], [other, b]) => b - a || one - other)
    .map(([value, count]) => ({ value, count, parts: [value >> 16, (value >> 8) & 255, value & 255], far: Infinity, place: 0 }));
  const colours = [];
  for (let next = there[0]; next && colours.length < PALETTE_MAX; next = worst(there)) {
    for (const one of there) {
      const far = apart(one.parts, next.parts);
      if (far < one.far) Object.assign(one, { far, place: colours.length });
    }
    colours.push(next.parts);
  }
  const places = new Map(there.map(({ value, place }) => [value, place]));
  const index = Buffer.alloc(pixels);
  runs(rgb, (value, from, to) => index.fill(places.get(value), from, to));
  return { colours, index };
}

// Pixels beside each other that are the same.
function runs(rgb, each) {
  let [from, last] = [0, -1];
  const pixels = rgb.length / 3;
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const value = (rgb[pixel * 3] << 16) | (rgb[pixel * 3 + 1] << 8) | rgb[pixel * 3 + 2];
    if (value === last) continue;
    if (pixel > from) each(last, from, pixel);
    from = pixel;
    last = value;
  }
  if (pixels > from) each(last, from, pixels);
}

function worst(there) {
  const found = there.reduce((most, one) => (one.far * one.count > most.far * most.count ? one : most));
  return found.far > 0 ? found : null;
}

function apart(one, other) {
  return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2;
}

// As it is once it is kept.
function reduced({ width, height, rgb }) {
  const { colours, index } = palette(rgb);
  const out = Buffer.alloc(rgb.length);
  for (let pixel = 0; pixel < index.length; pixel += 1) {
    const colour = colours[index[pixel]];
    out[pixel * 3] = colour[0];
    out[pixel * 3 + 1] = colour[1];
    out[pixel * 3 + 2] = colour[2];
  }
  return { width, height, rgb: out };
}

// The upper part.
function cut({ width, height, rgb }, most) {
  const kept = Math.min(height, most);
  return { width, height: kept, rgb: rgb.subarray(0, kept * width * 3) };
}

// The same with a part of it drawn anew, whose upper left corner is there.
function patched({ width, height, rgb }, part, { x, y }) {
  const out = Buffer.from(rgb);
  for (let line = 0; line < Math.min(part.height, height - y); line += 1) {
    const from = line * part.width * 3;
    part.rgb.copy(out, ((y + line) * width + x) * 3, from, from + Math.min(part.width, width - x) * 3);
  }
  return { width, height, rgb: out };
}

module.exports = { cut, decode, encode, patched, reduced };
