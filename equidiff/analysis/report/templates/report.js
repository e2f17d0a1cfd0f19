"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const grid = document.getElementById("grid");
const cards = [...grid.querySelectorAll(".card")];
const sort = document.getElementById("sort");
const direction = document.getElementById("direction");
const form = document.querySelector(".controls");
const viewer = document.getElementById("viewer");
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
let viewed = null;

const numberOf = (card, key) => data.members[card.dataset.at].numbers[key];
const visible = () => [...grid.querySelectorAll("li:not([hidden]) .card")];

// ---- sorting and filtering

function arrange() {
  const key = sort.value;
  const sign = direction.getAttribute("aria-pressed") === "true" ? -1 : 1;
  const place = (card) => numberOf(card, key) ?? null;
  const sorted = [...cards].sort((a, b) => {
    const [x, y] = [place(a), place(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x - y) || a.dataset.at - b.dataset.at;
  });
  const limits = [...form.querySelectorAll("fieldset")].map((set) => ({
    key: set.dataset.key,
    low: limit(set.querySelector(".low"), -Infinity),
    high: limit(set.querySelector(".high"), Infinity),
  }));
  for (const card of sorted) {
    card.parentElement.hidden = !limits.every(({ key, low, high }) => {
      const value = numberOf(card, key);
      if (value === null || value === undefined) return low === -Infinity && high === Infinity;
      return value >= low && value <= high;
    });
    caption(card, key);
    grid.append(card.parentElement);
  }
  document.getElementById("shown").textContent = `${visible().length} of ${cards.length} members shown`;
}

function limit(input, otherwise) {
  return input.value === "" || Number.isNaN(input.valueAsNumber) ? otherwise : input.valueAsNumber;
}

// the value, and below it the number that the cards are sorted by, if it is another
function caption(card, key) {
  const line = card.querySelector(".caption");
  line.dataset.value ??= line.textContent;
  const value = numberOf(card, key);
  const shown = key === "index" || value === null || value === undefined ? "" : number.format(value);
  line.textContent = line.dataset.value;
  if (shown) line.append(document.createElement("br"), shown);
}

form.addEventListener("input", arrange);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => {
  const chosen = sort.value;
  setTimeout(() => { sort.value = chosen; arrange(); });
});
direction.addEventListener("click", () => {
  direction.setAttribute("aria-pressed", direction.getAttribute("aria-pressed") !== "true");
  arrange();
});

// ---- arrow keys in the grid

grid.addEventListener("keydown", (event) => {
  const shown = visible();
  const at = shown.indexOf(document.activeElement);
  if (at < 0) return;
  const top = shown[0].parentElement.offsetTop;
  const columns = Math.max(shown.filter((card) => card.parentElement.offsetTop === top).length, 1);
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: shown.length - 1 - at };
  if (!(event.key in moves)) return;
  event.preventDefault();
  shown[Math.min(Math.max(at + moves[event.key], 0), shown.length - 1)].focus();
});

// ---- one member beside the query

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function image(source, alt) {
  const made = element("img", undefined, "visual pixelated");
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

function pair(title, ofQuery, ofMember, caption, note) {
  const into = document.getElementById("pairs");
  into.append(element("h3", title));
  if (note) into.append(element("p", note));
  for (const [made, text, className] of [[ofQuery, "query", "of-query"], [ofMember, caption, "of-member"]]) {
    if (!made) continue;
    const figure = element("figure", undefined, className);
    figure.append(made, element("figcaption", text));
    into.append(figure);
  }
}

function view(card) {
  viewed = card;
  const member = data.members[card.dataset.at];
  const query = data.query;
  document.getElementById("viewed").textContent = member.title;
  const pairs = document.getElementById("pairs");
  pairs.replaceChildren();
  pairs.classList.toggle("alone", !query);
  const shownQuery = document.querySelector(".query .visual");
  const shown = card.querySelector(".visual");
  if (shown) pair(data.what, shownQuery && enlarged(shownQuery, query), enlarged(shown, member), member.title);
  if (member.spectrum) {
    const ofQuery = query && image(query.spectrum, "spectrum of the query");
    pair("Spectrum", ofQuery, image(member.spectrum, `spectrum of ${member.title}`), member.title, data.spectrum);
  }
  for (const map of member.maps) {
    const other = query && query.maps.find((each) => each.method === map.method);
    const ofQuery = other && image(other.picture, `${map.method} on the query`);
    pair(map.method, ofQuery, image(map.picture, `${map.method} on ${member.title}`), member.title, map.about);
  }
  facts(member);
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
}

function facts(member) {
  const rows = member.facts.map(([name, text]) => [name, text]);
  for (const key of data.keys) {
    const value = member.numbers[key.name];
    if (key.name !== "index" && value !== null && value !== undefined) {
      rows.push([key.label, `${number.format(value)} ${key.unit}`.trim()]);
    }
  }
  const table = document.getElementById("facts");
  table.replaceChildren(...rows.map(([name, text]) => {
    const row = element("tr");
    const head = element("th", name);
    head.scope = "row";
    row.append(head, element("td", text));
    return row;
  }));
}

function move(by) {
  const shown = visible();
  const at = shown.indexOf(viewed) + by;
  if (at >= 0 && at < shown.length) view(shown[at]);
}

grid.addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (card) view(card);
});
viewer.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by) { event.preventDefault(); move(by); }
});
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => { if (viewed) viewed.focus(); });
document.getElementById("previous").addEventListener("click", () => move(-1));
document.getElementById("next").addEventListener("click", () => move(1));
document.getElementById("close").addEventListener("click", () => viewer.close());

// ---- the command

document.getElementById("copy")?.addEventListener("click", async (event) => {
  const command = document.getElementById("command");
  try {
    await navigator.clipboard.writeText(command.textContent);
    event.target.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command);
    event.target.textContent = "Selected: press Ctrl+C to copy";
  }
});
