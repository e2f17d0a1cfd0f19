// ---- a table of the members on the page

// quoted as RFC 4180 asks; a text that a spreadsheet would take for a formula gets an apostrophe
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function table() {
  const keys = data.keys.filter((key) => !["index", "class", "value"].includes(key.name));
  const classes = Object.keys(data.classes).length ? ["class", "class index", "probability"] : [];
  const head = ["member", ...classes, ...data.outputs, ...keys.map((key) => key.label), "file"];
  const rows = data.members.map((member) => [
    member.index,
    ...(classes.length ? [className(member.class), member.class, member.chance] : []),
    ...data.outputs.map((_, output) => member.measured[output]),
    ...keys.map((key) => member.numbers[key.name]),
    member.file,
  ]);
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

byId("csv").addEventListener("click", () => save(`members-${data.run.id}.csv`, table(), "text/csv"));
