/* Pages of administrators: the editor of files, and events as they happen. Pages work without it. */
"use strict";

/* As many line numbers as the editor has lines, while it is typed in. */
function follow(editor) {
  const text = editor.querySelector("textarea"), numbers = editor.querySelector("ol");
  const spare = text.rows - text.value.split("\n").length;
  text.addEventListener("input", () => {
    const lines = Math.min(text.value.split("\n").length + spare, 1000);
    while (numbers.children.length < lines) {
      numbers.append(Object.assign(document.createElement("li"), { textContent: numbers.children.length + 1 }));
    }
    while (numbers.children.length > lines) {
      numbers.lastElementChild.remove();
    }
    text.rows = lines;
  });
}

/* A complaint's link leads to its place in the editor. */
function jump(link, text) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const lines = text.value.split("\n"), line = Number(link.dataset.line), column = Number(link.dataset.column);
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    text.focus();
    text.setSelectionRange(start + Math.max(column - 1, 0), start + (lines[line - 1] || "").length);
  });
}

/* What is told stands as text, whatever is in it. */
function shown(event) {
  const row = document.createElement("li"), at = document.createElement("time"), kind = document.createElement("span");
  const then = new Date(event.time * 1000);
  at.dateTime = then.toISOString();
  at.textContent = then.toTimeString().slice(0, 8);
  kind.className = "state";
  kind.textContent = event.kind;
  row.append(at, " ", kind, " ");
  if (/^[a-z0-9][a-z0-9_-]{0,31}$/.test(event.account)) {
    row.append(Object.assign(document.createElement("a"), { href: `/accounts/${event.account}`, textContent: event.account }), " ");
  }
  row.append(event.sentence);
  return row;
}

function listen(list) {
  const source = new EventSource(`/v1/events?after=${encodeURIComponent(list.dataset.last)}`);
  const hear = (message) => {
    list.querySelector(".none")?.remove();
    list.prepend(shown(JSON.parse(message.data)));
    while (list.children.length > 500) {
      list.lastElementChild.remove();
    }
  };
  list.dataset.kinds.split(" ").forEach((kind) => source.addEventListener(kind, hear));
}

/* The machine's page asks again soon after something has happened: once for a burst. */
function refresh(kinds) {
  const source = new EventSource("/v1/events");
  let waiting = 0;
  const hear = () => {
    waiting ||= setTimeout(() => {
      waiting = 0;
      document.querySelector("#machine")?.dispatchEvent(new CustomEvent("happened"));
    }, 2000);
  };
  kinds.forEach((kind) => source.addEventListener(kind, hear));
}

document.querySelectorAll(".editor").forEach(follow);
document.querySelectorAll("#complaints a[data-line]").forEach((link) => jump(link, document.querySelector("#text")));
document.querySelectorAll("#events").forEach(listen);
document.querySelectorAll("#machine").forEach((part) => refresh(part.dataset.kinds.split(" ")));
