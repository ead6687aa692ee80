// What every page has to stand, for scenes that reach pages of their own: what is checked of every page, and looking as it
// did when somebody looked.
"use strict";

const { checked } = require("./page_checks.cjs");
const { shoot } = require("./pictures.cjs");

// A page as it stands, in the window that shows it. The options are those of `still`.
async function stands(page, name, options) {
  await checked(page, name);
  await shoot(page, name, options);
}

module.exports = { stands };
