// ---- the two-choice game

const QUESTION = "Which of the two can the network not tell from the query?";
const game = byId("game");
let played = null;

// mulberry32: the same seed gives the same rounds in every browser
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, random) {
  const all = [...items];
  for (let last = all.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [all[last], all[other]] = [all[other], all[last]];
  }
  return all;
}

// a member and a prior sample for each round: of one class where possible, and none twice while others are left
function roundsOf(count, seed) {
  const random = randomOf(seed);
  const members = shuffled(data.members.keys(), random).slice(0, count);
  const others = shuffled(data.prior.keys(), random).filter((at) => !data.prior[at].member);
  const used = new Map();
  return members.map((at) => {
    const own = data.members[at].class;
    const same = others.filter((each) => own !== undefined && data.prior[each].class === own);
    const among = same.length ? same : others;
    const prior = among.reduce((best, each) => ((used.get(each) ?? 0) < (used.get(best) ?? 0) ? each : best));
    used.set(prior, (used.get(prior) ?? 0) + 1);
    return { member: at, prior, matched: same.length > 0, left: random() < 0.5 ? "member" : "prior" };
  });
}

function wilson(hits, count) {
  const z = 1.959963984540054;
  const share = hits / count;
  const middle = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  return [Math.max(middle - half, 0), Math.min(middle + half, 1)];
}

const pictureOf = (round, side) => {
  if (side === "prior") return image(data.prior[round.prior].image, "", cards[round.member].querySelector("img").className);
  const shown = enlarged(cards[round.member].querySelector("img"), data.members[round.member]);
  shown.alt = ""; // its own text would tell
  return shown;
};

function start(count, seed) {
  const rounds = roundsOf(count, seed);
  played = { seed, started: new Date().toISOString(), rounds, at: 0, shownAt: 0 };
  byId("score").hidden = true;
  byId("stage").hidden = false;
  byId("game-query").replaceChildren(enlarged(document.querySelector(".query img"), data.query), element("figcaption", "query"));
  ask();
}

function ask() {
  const round = played.rounds[played.at];
  const sides = round.left === "member" ? ["member", "prior"] : ["prior", "member"];
  byId("round").textContent = `Round ${played.at + 1} of ${played.rounds.length}: ${QUESTION.toLowerCase()}`;
  document.querySelectorAll(".choice").forEach((button, place) => {
    button.replaceChildren(pictureOf(round, sides[place]), element("span", place ? "right" : "left"));
  });
  document.querySelector(".choice").focus({ preventScroll: true });
  played.shownAt = performance.now();
}

function choose(side) {
  const round = played.rounds[played.at];
  round.choice = (side === "left") === (round.left === "member") ? "member" : "prior";
  round.side = side;
  round.ms = Math.round(performance.now() - played.shownAt);
  played.at += 1;
  if (played.at < played.rounds.length) ask();
  else score();
}

function scoreOf() {
  const count = played.rounds.length;
  const hits = played.rounds.filter((round) => round.choice === "member").length;
  return { hits, rounds: count, share: hits / count, interval: wilson(hits, count) };
}

function score() {
  const { hits, rounds, share, interval } = scoreOf();
  const [low, high] = interval;
  const between = `${hits} of ${rounds} right: ${percent(share)} (95 % interval ${percent(low)} to ${percent(high)}).`;
  let meaning = "Chance alone gives 50 %, which lies in the interval: these rounds show no difference that you see.";
  if (low > 0.5) meaning = "That is above chance: you see some of what the network goes by.";
  if (high < 0.5) meaning = "That is below chance: to you, others look more like the query than the members do.";
  byId("score-text").textContent = `${between} ${meaning}`;
  byId("stage").hidden = true;
  byId("score").hidden = false;
  byId("rounds").replaceChildren(...played.rounds.map(review));
  byId("game-json").focus({ preventScroll: true });
}

// a round as it was played; the member has a frame
function review(round) {
  const item = element("li");
  const two = element("div", undefined, "two");
  for (const side of round.left === "member" ? ["member", "prior"] : ["prior", "member"]) {
    const half = element("div", undefined, side);
    half.append(pictureOf(round, side), element("div", side === "member" ? data.members[round.member].title : "prior sample"));
    two.append(half);
  }
  const right = round.choice === "member";
  item.append(two, element("div", right ? "right" : "wrong", right ? "right" : "wrong"));
  return item;
}

function exported() {
  const called = (index) => (index === undefined ? {} : { index, name: className(index) });
  return {
    schema_version: 1,
    what: "EquiDiff two-choice game",
    asked: QUESTION,
    run: data.run,
    seed: played.seed,
    started: played.started,
    score: scoreOf(),
    rounds: played.rounds.map((round, at) => ({
      round: at + 1,
      member: data.members[round.member].index,
      member_class: called(data.members[round.member].class),
      prior: round.prior,
      prior_class: called(data.prior[round.prior].class),
      matched: round.matched,
      left: round.left,
      side: round.side,
      choice: round.choice,
      ms: round.ms,
    })),
  };
}

if (game) {
  byId("game-start").addEventListener("submit", (event) => {
    event.preventDefault();
    const [rounds, seed] = [byId("game-rounds"), byId("game-seed")].map((input) => input.valueAsNumber || 0);
    start(Math.min(Math.max(rounds, 1), data.members.length), seed);
  });
  for (const button of game.querySelectorAll(".choice")) {
    button.addEventListener("click", () => choose(button.dataset.choice));
  }
  byId("stage").addEventListener("keydown", (event) => {
    const side = { ArrowLeft: "left", ArrowRight: "right" }[event.key];
    if (side && !event.repeat) { event.preventDefault(); choose(side); }
  });
  byId("game-json").addEventListener("click", () => {
    save(`game-${data.run.id}-${played.seed}.json`, `${JSON.stringify(exported(), null, 2)}\n`, "application/json");
  });
}
