"use strict";
// the files of this script share one scope; this one has what the others use
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const grid = byId("grid");
const cards = [...grid.querySelectorAll(".card")];
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

const memberOf = (card) => data.members[card.dataset.at];
const cardOf = (index) => cards.find((card) => memberOf(card).index === index);
const className = (index) => (index === undefined ? "" : data.classes[index] ?? `class ${index}`);
const percent = (share) => `${Math.round(100 * share)} %`;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawing(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function image(source, alt, className = "visual pixelated") {
  const made = element("img", undefined, className);
  made.src = source;
  made.alt = alt;
  return made;
}

// the image of a card, in the largest size there is
function enlarged(shown, own) {
  const made = shown.cloneNode(true);
  if (own.large) made.src = own.large;
  return made;
}

function save(name, text, type) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
