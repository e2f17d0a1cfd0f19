// ---- the map: a box that filters the cards, and a look at the nearest sample

const plane = byId("plane-of-map");
const STEP = 0.05; // of the side, for each press of an arrow key

function placeOf(event) {
  const box = plane.getBoundingClientRect();
  const within = (value) => Math.min(Math.max(value, 0), 1);
  return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
}

function brush(box) {
  brushed = box;
  arrange();
}

function drawBox() {
  const [left, top, right, bottom] = brushed ?? [0, 0, 0, 0];
  const sizes = { x: left, y: top, width: right - left, height: bottom - top };
  for (const [name, share] of Object.entries(sizes)) byId("brush").setAttribute(name, 400 * share);
  const hidden = new Set(cards.filter((card) => card.parentElement.hidden).map((card) => card.dataset.at));
  for (const mark of plane.querySelectorAll(".member-mark")) mark.classList.toggle("out", hidden.has(mark.dataset.at));
}

// members and prior samples with their places, for the look
const marks = plane ? [
  ...data.members.map((member, at) => ({ place: member.place, card: cards[at], text: member.title, of: member })),
  ...data.prior.map((each, at) => ({ place: each.place, text: `prior sample ${at}`, of: each })),
].filter((mark) => mark.place) : [];

function nearest([x, y]) {
  const away = (mark) => Math.hypot(mark.place[0] - x, mark.place[1] - y);
  const found = marks.reduce((best, mark) => (!best || away(mark) < away(best) ? mark : best), null);
  return found && away(found) < 0.04 ? found : null;
}

function look(mark) {
  const near = byId("near");
  near.hidden = !mark;
  if (!mark) return;
  const shown = mark.card?.querySelector(".visual");
  const made = shown ? [shown.cloneNode(true)] : mark.of.image ? [image(mark.of.image, mark.text)] : [];
  const called = className(mark.of.class);
  near.replaceChildren(...made, element("div", mark.text), ...(called ? [element("div", called)] : []));
  const [x, y] = mark.place;
  const side = plane.getBoundingClientRect();
  near.style.left = `${Math.min(Math.max(x * side.width - near.offsetWidth / 2, 0), side.width - near.offsetWidth)}px`;
  near.style.top = y > 0.5 ? `${y * side.height - near.offsetHeight - 12}px` : `${y * side.height + 12}px`;
}

function drag(from) {
  const before = brushed;
  const over = new AbortController();
  let moved = false;
  const to = (event) => {
    const [x, y] = placeOf(event);
    const box = [Math.min(from[0], x), Math.min(from[1], y), Math.max(from[0], x), Math.max(from[1], y)];
    moved ||= box[2] - box[0] > 0.01 || box[3] - box[1] > 0.01;
    if (moved) { look(null); brush(box); }
  };
  const end = (event) => {
    over.abort();
    // a finger that scrolls the page after all
    if (event.type === "pointercancel") return brush(before);
    if (moved) return;
    // a click: open the member there, or remove the box
    const mark = nearest(placeOf(event));
    if (mark?.card) view(mark.card);
    else if (!mark) brush(null);
  };
  plane.addEventListener("pointermove", to, { signal: over.signal });
  for (const name of ["pointerup", "pointercancel"]) plane.addEventListener(name, end, { signal: over.signal });
}

function pressed(event) {
  if (event.key === "Escape" && brushed) { event.preventDefault(); return brush(null); }
  const move = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (!move) return;
  event.preventDefault();
  if (!brushed) return brush([0.25, 0.25, 0.75, 0.75]);
  const box = [...brushed];
  for (const axis of [0, 1]) {
    const [size, by] = [box[axis + 2] - box[axis], move[axis]];
    if (event.shiftKey) box[axis + 2] = Math.min(Math.max(box[axis + 2] + by, box[axis] + STEP), 1);
    else {
      box[axis] = Math.min(Math.max(box[axis] + by, 0), 1 - size);
      box[axis + 2] = box[axis] + size;
    }
  }
  brush(box);
}

if (plane) {
  addEventListener("arranged", drawBox);
  plane.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    plane.setPointerCapture(event.pointerId);
    drag(placeOf(event));
  });
  plane.addEventListener("pointermove", (event) => { if (!event.buttons) look(nearest(placeOf(event))); });
  plane.addEventListener("pointerleave", () => look(null));
  plane.addEventListener("keydown", pressed);
}
