// ---- paths: a scrubber, a needle that stands still, and meters that move

const ANGLE = Math.PI; // of the dial, from its lowest value on the left to its highest on the right

function dial(gauge) {
  const whole = element("div", undefined, "gauge");
  const svg = drawing("svg", { viewBox: "0 0 200 122", role: "img" });
  const at = (value, radius) => {
    const angle = Math.PI - ANGLE * (value - gauge.low) / (gauge.high - gauge.low);
    return [100 + radius * Math.cos(angle), 100 - radius * Math.sin(angle)];
  };
  const goal = [at(gauge.target, 74), at(gauge.target, 96)];
  const needle = drawing("line", { class: "needle", x1: 100, y1: 100 });
  const low = drawing("text", { x: 15, y: 116, "text-anchor": "middle" });
  const high = drawing("text", { x: 185, y: 116, "text-anchor": "middle" });
  low.textContent = number.format(Number(gauge.low.toPrecision(2)));
  high.textContent = number.format(Number(gauge.high.toPrecision(2)));
  svg.append(
    drawing("path", { class: "arc", d: "M15 100A85 85 0 0 1 185 100" }),
    drawing("line", { class: "goal", x1: goal[0][0], y1: goal[0][1], x2: goal[1][0], y2: goal[1][1] }),
    needle, drawing("circle", { class: "hub", cx: 100, cy: 100, r: 5 }), low, high,
  );
  const text = element("div", undefined, "key");
  whole.append(element("h4", gauge.name), svg, text);
  const set = (value) => {
    const [x, y] = at(value ?? gauge.target, 78);
    needle.setAttribute("x2", x);
    needle.setAttribute("y2", y);
    const said = value === null ? "not a member" : `${number.format(value)} ${gauge.unit}`;
    svg.setAttribute("aria-label", `${gauge.name}: ${said}`);
    text.textContent = `${said}; dial ${gauge.about || "of the path"}`;
  };
  return { whole, set };
}

function meters(title, traces, shares) {
  const whole = element("div");
  const list = element("div", undefined, "meters");
  const levels = traces.map((trace) => {
    const known = trace.values.filter((value) => value !== null);
    const low = shares ? 0 : Math.min(...known, 0);
    const high = shares ? 1 : Math.max(...known, low + 1e-9);
    const svg = drawing("svg", { "aria-hidden": "true" });
    const level = drawing("rect", { class: "level", x: 0, y: 1, height: 10, width: "0%" });
    svg.append(drawing("rect", { class: "track", x: 0, y: 0, width: "100%", height: 12 }), level);
    const text = element("span");
    const name = element("span", trace.name);
    name.title = trace.name; // a long one is cut
    list.append(name, svg, text);
    return (frame) => {
      const value = trace.values[frame];
      level.setAttribute("width", value === null ? "0%" : `${100 * (value - low) / (high - low)}%`);
      text.textContent = value === null ? "" : shares ? percent(value) : number.format(Number(value.toPrecision(3)));
    };
  });
  whole.append(element("h4", title), list);
  return { whole, set: (frame) => levels.forEach((level) => level(frame)) };
}

function scrub(article) {
  const path = data.paths[article.dataset.path];
  const [input, output] = [article.querySelector("input"), article.querySelector("output")];
  const [picture, caption] = [article.querySelector(".frame"), article.querySelector(".scrub figcaption")];
  const strip = [...article.querySelector(".strip").children];
  const parts = [];
  if (path.gauge) {
    const own = dial(path.gauge);
    parts.push({ whole: own.whole, set: (frame) => own.set(path.frames[frame].value) });
  }
  if (path.classes) parts.push(meters("Classes", path.classes, true));
  if (path.units) parts.push(meters("Other units of the layer", path.units, false));
  article.querySelector(".dials").append(...parts.map((part) => part.whole));
  const show = () => {
    const [at, frame] = [input.valueAsNumber, path.frames[input.value]];
    picture.hidden = !frame.image;
    if (frame.image) picture.src = frame.image;
    const chance = frame.chance === null ? "" : ` (${percent(frame.chance)})`;
    caption.textContent = frame.member ? `${frame.called}${chance}` : "not a member";
    picture.alt = caption.textContent;
    output.textContent = `${at} of ${path.frames.length - 1}`;
    input.setAttribute("aria-valuetext", `frame ${output.textContent}: ${caption.textContent}`);
    strip.forEach((each, place) => each.classList.toggle("now", place === at));
    parts.forEach((part) => part.set(at));
  };
  picture.classList.toggle("pixelated", strip.some((each) => each.naturalWidth < 128));
  input.addEventListener("input", show);
  strip.forEach((each, place) => each.addEventListener("click", () => { input.value = place; show(); }));
  show();
}

document.querySelectorAll(".path").forEach(scrub);
