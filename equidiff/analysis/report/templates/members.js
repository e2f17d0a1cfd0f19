// ---- sorting and filtering

const sort = byId("sort");
const direction = byId("direction");
const form = document.querySelector(".controls");
const chosenClass = byId("class");
const chips = [...document.querySelectorAll(".chip")];
let brushed = null; // a box of the map: left, top, right, bottom, from 0 to 1

const numberOf = (card, key) => memberOf(card).numbers[key];
const visible = () => [...grid.querySelectorAll("li:not([hidden]) .card")];

function arrange() {
  const key = sort.value;
  const sign = direction.getAttribute("aria-pressed") === "true" ? -1 : 1;
  const place = (card) => numberOf(card, key) ?? null;
  const sorted = [...cards].sort((a, b) => {
    const [x, y] = [place(a), place(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a.dataset.at - b.dataset.at;
    return sign * (x - y) || a.dataset.at - b.dataset.at;
  });
  const limits = [...form.querySelectorAll("fieldset")].map((set) => ({
    key: set.dataset.key,
    low: limit(set.querySelector(".low"), -Infinity),
    high: limit(set.querySelector(".high"), Infinity),
  }));
  for (const card of sorted) {
    const fits = limits.every(({ key, low, high }) => {
      const value = numberOf(card, key);
      if (value === null || value === undefined) return low === -Infinity && high === Infinity;
      return value >= low && value <= high;
    });
    card.parentElement.hidden = !(fits && isOfClass(card) && isInBox(card));
    caption(card, key);
    grid.append(card.parentElement);
  }
  for (const chip of chips) chip.setAttribute("aria-pressed", chip.dataset.class === chosenClass.value);
  byId("shown").textContent = `${visible().length} of ${cards.length} members${data.total > cards.length ? " on this page" : ""} shown`;
  dispatchEvent(new Event("arranged"));
}

function limit(input, otherwise) {
  return input.value === "" || Number.isNaN(input.valueAsNumber) ? otherwise : input.valueAsNumber;
}

const isOfClass = (card) => !chosenClass?.value || String(memberOf(card).class) === chosenClass.value;

function isInBox(card) {
  if (!brushed) return true;
  const place = memberOf(card).place;
  return Boolean(place) && place.every((x, axis) => x >= brushed[axis] && x <= brushed[axis + 2]);
}

// the value, and after it the number that the cards are sorted by, if it is another
function caption(card, key) {
  const line = card.querySelector(".value");
  line.dataset.value ??= line.textContent;
  const value = numberOf(card, key);
  const hidden = ["index", "class", "value"].includes(key) || value === null || value === undefined;
  line.textContent = hidden ? line.dataset.value : `${line.dataset.value} · ${number.format(value)}`;
}

form.addEventListener("input", arrange);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => {
  const chosen = sort.value;
  brushed = null;
  setTimeout(() => { sort.value = chosen; arrange(); });
});
direction.addEventListener("click", () => {
  const highest = direction.getAttribute("aria-pressed") !== "true";
  direction.setAttribute("aria-pressed", highest);
  direction.textContent = highest ? "Highest first" : "Lowest first";
  arrange();
});
for (const chip of chips) {
  chip.addEventListener("click", () => {
    const own = chip.dataset.class;
    chosenClass.value = chosenClass.value === own ? "" : own;
    arrange();
  });
}

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
