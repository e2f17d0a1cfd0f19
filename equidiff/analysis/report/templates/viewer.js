// ---- one member beside the query

const viewer = byId("viewer");
let viewed = null;

function figure(made, text, className, heard) {
  const whole = element("figure", undefined, className);
  whole.append(made);
  if (heard) whole.append(heard.cloneNode(true));
  whole.append(element("figcaption", text));
  return whole;
}

const soundOf = (card) => card.parentElement.querySelector("audio");

function view(card) {
  viewed = card;
  const member = memberOf(card);
  byId("viewed").textContent = member.class === undefined
    ? member.title
    : `${member.title}: ${className(member.class)} (${percent(member.chance)})`;
  const query = document.querySelector(".query .visual");
  const own = card.querySelector(".visual");
  const shown = [];
  if (query && own) shown.push(figure(enlarged(query, data.query), "query", "of-query", document.querySelector(".query audio")));
  if (own) shown.push(figure(enlarged(own, member), member.title, "of-member", soundOf(card)));
  if (member.nearest) {
    const text = `nearest real image: ${member.nearest.name} (distance ${member.nearest.distance})`;
    shown.push(figure(image(member.nearest.image, text, own.className.baseVal ?? own.className), text, "of-nearest"));
  }
  byId("pairs").replaceChildren(...shown);
  actions(card, member);
  maps(member);
  facts(member);
  // the page behind stays where it is; so does what was scrolled to in here
  if (!viewer.open) { viewer.showModal(); viewer.scrollTop = 0; }
  address(`#member-${member.index}`);
}

function actions(card, member) {
  const download = byId("download");
  const source = soundOf(card)?.src ?? member.large ?? card.querySelector("img")?.src;
  download.hidden = !source;
  if (source) {
    download.href = source;
    download.download = `member-${member.index}.${source.slice(source.indexOf("/") + 1).split(";")[0]}`;
  }
  byId("link").href = `#member-${member.index}`;
}

// a strip: the query's maps above those of the member, one method after the other
function maps(member) {
  const table = element("table");
  const columns = member.maps.map((map) => ({ name: map.method, about: map.about, own: map.picture,
    other: data.query?.maps.find((each) => each.method === map.method)?.picture }));
  if (member.spectrum) {
    columns.push({ name: "spectrum", about: data.spectrum, own: member.spectrum, other: data.query?.spectrum });
  }
  if (!columns.length) return byId("maps").replaceChildren();
  const rows = [["query", "other"], [member.title, "own"]].filter(([, side]) => columns.some((column) => column[side]));
  const head = element("tr");
  head.append(element("td"), ...columns.map((column) => element("th", column.name)));
  const body = rows.map(([name, side]) => {
    const row = element("tr");
    row.append(element("th", name), ...columns.map((column) => {
      const cell = element("td");
      if (column[side]) cell.append(image(column[side], `${column.name} of ${name}`));
      return cell;
    }));
    return row;
  });
  const [top, middle] = [element("thead"), element("tbody")];
  top.append(head);
  middle.append(...body);
  table.append(top, middle);
  const notes = new Map();
  for (const { name, about } of columns) notes.set(about, [...(notes.get(about) ?? []), name]);
  const texts = [...notes].map(([about, names]) => element("p", `${names.join(", ")}: ${about}`, "key"));
  byId("maps").replaceChildren(table, ...texts);
}

function facts(member) {
  const rows = member.facts.map(([name, text]) => [name, text]);
  for (const key of data.keys) {
    const value = member.numbers[key.name];
    if (!["index", "class", "value", "error"].includes(key.name) && value !== null && value !== undefined) {
      rows.push([key.label, `${number.format(value)} ${key.unit}`.trim()]);
    }
  }
  byId("facts").replaceChildren(...rows.map(([name, text]) => {
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
// of the document: a link to a member may leave the focus outside of the dialog
document.addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by && viewer.open) { event.preventDefault(); move(by); }
});
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
// one sound at a time
document.addEventListener("play", (event) => {
  for (const each of document.querySelectorAll("audio")) if (each !== event.target) each.pause();
}, true);
viewer.addEventListener("close", () => {
  for (const each of viewer.querySelectorAll("audio")) each.pause();
  address("");
  if (viewed) viewed.focus({ preventScroll: true });
});
byId("previous").addEventListener("click", () => move(-1));
byId("next").addEventListener("click", () => move(1));
byId("close").addEventListener("click", () => viewer.close());

// ---- links to members

function address(hash) {
  history.replaceState(null, "", hash || location.pathname + location.search);
}

function follow() {
  const index = /^#member-(\d+)$/.exec(location.hash)?.[1];
  const card = index === undefined ? undefined : cardOf(Number(index));
  if (!card) return;
  card.scrollIntoView({ block: "nearest", behavior: "instant" });
  view(card);
}

addEventListener("hashchange", follow);
addEventListener("load", follow);

// ---- the command

byId("copy")?.addEventListener("click", async (event) => {
  const command = byId("command");
  try {
    await navigator.clipboard.writeText(command.textContent);
    event.target.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command);
    event.target.textContent = "Selected: press Ctrl+C to copy";
  }
});
