"use strict";
const byId = (id) => document.getElementById(id);
const body = document.querySelector("#runs tbody");
const rows = [...body.rows];
const heads = [...document.querySelectorAll("#runs thead th")];
const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
let column = 0;
let descending = false;

// the value of a cell; undefined where it has none, which comes last in either direction
function valueOf(row) {
  const cell = row.cells[column];
  if (heads[column].dataset.kind !== "number") return cell.textContent.trim() || undefined;
  return cell.dataset.value ? Number(cell.dataset.value) : undefined;
}

function sort() {
  const values = new Map(rows.map((row) => [row, valueOf(row)]));
  const sign = descending ? -1 : 1;
  const ordered = [...rows].sort((one, other) => {
    const [first, second] = [values.get(one), values.get(other)];
    if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
    return sign * (typeof first === "number" ? first - second : natural.compare(first, second));
  });
  body.append(...ordered);
  heads.forEach((head, index) => {
    if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  byId("sort").value = String(column);
  byId("direction").setAttribute("aria-pressed", String(descending));
  byId("direction").textContent = descending ? "Highest first" : "Lowest first";
}

// every word must be somewhere in the row
function filter() {
  const wanted = byId("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const status = byId("status")?.value ?? "";
  let count = 0;
  for (const row of rows) {
    const fits = (!status || row.dataset.status === status) && wanted.every((word) => words.get(row).includes(word));
    row.hidden = !fits;
    count += fits;
  }
  byId("shown").textContent = count === rows.length ? `${count} runs` : `${count} of ${rows.length} runs`;
}

heads.forEach((head, index) => {
  if (head.dataset.kind === "none") return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  button.addEventListener("click", () => {
    descending = column === index ? !descending : head.dataset.kind === "number" && index > 0;
    column = index;
    sort();
  });
  head.replaceChildren(button);
  byId("sort").add(new Option(button.textContent, String(index)));
});
byId("sort").addEventListener("change", () => {
  column = Number(byId("sort").value);
  sort();
});
byId("direction").addEventListener("click", () => {
  descending = !descending;
  sort();
});
byId("text").addEventListener("input", filter);
byId("status")?.addEventListener("change", filter);
document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
heads[0].setAttribute("aria-sort", "ascending");
