"use strict";
// All of this is a help: the page says everything without it.
(() => {
  const byId = (id) => document.getElementById(id);
  const MINUTE = 60000;

  // A page that nobody makes anew must not go on looking fine.
  const made = byId("made"), old = byId("old");
  const age = () => {
    const minutes = Math.floor((Date.now() - Date.parse(made.dateTime)) / MINUTE);
    if (minutes < Number(old.dataset.minutes)) return;
    const hours = Math.floor(minutes / 60);
    const told = hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
    const text = `This page is ${told} old: what it says may be so no longer.`;
    if (old.textContent !== text) old.textContent = text;
    old.hidden = false;
  };
  age();
  setInterval(age, MINUTE);

  // What a link leads to is opened.
  const open = () => {
    const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
    for (let each = target; each; each = each.parentElement) {
      if (each.tagName === "DETAILS") each.open = true;
    }
    if (target && target.closest("details")) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  // Commands can be copied where the browser allows it.
  if (navigator.clipboard) {
    for (const command of document.querySelectorAll(".command")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.setAttribute("aria-label", `Copy: ${command.textContent}`);
      const text = command.textContent;
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(text);
          button.textContent = "Copied";
        } catch {
          button.textContent = "Not allowed";
        }
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
      command.append(button);
    }
  }

  // Search: by name, column, owner, state.
  const query = byId("query"), found = byId("found");
  const shallow = [...document.querySelectorAll("[data-find]")];
  const deep = [...document.querySelectorAll("[data-deep]")];
  const texts = new Map();
  const textOf = (element) => {
    if (!texts.has(element)) texts.set(element, (element.dataset.find ?? element.textContent).toLowerCase());
    return texts.get(element);
  };
  const search = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (element) => words.every((word) => textOf(element).includes(word));
    for (const element of shallow) element.hidden = !fits(element);
    let entries = 0;
    for (const element of deep) {
      element.hidden = !fits(element);
      entries += !element.hidden;
    }
    const rows = document.querySelectorAll(".health tbody tr:not([hidden])").length;
    found.textContent = words.length ? `${rows} in health, ${entries} in dictionary` : "";
  };
  let waiting = 0;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 80);
  });
  byId("search").hidden = false;
  // A browser that goes back remembers what was typed.
  if (query.value) search();

  // Column lineage.
  const data = byId("lineage-data") && JSON.parse(byId("lineage-data").textContent);
  if (!data || !data.columns || !data.columns.length) return;
  const nameOf = ([asset, column]) => `${data.assets[asset][0]}.${column}`;
  const names = data.columns.map(nameOf);
  const before = new Map(), after = new Map();
  const note = (map, key, value) => map.has(key) ? map.get(key).push(value) : map.set(key, [value]);
  for (const [made_, parent] of data.edges) {
    note(before, made_, parent);
    note(after, parent, made_);
  }
  const reach = (start, map) => {
    const seen = new Set(), left = [start];
    while (left.length) {
      for (const next of map.get(left.pop()) ?? []) {
        if (!seen.has(next)) { seen.add(next); left.push(next); }
      }
    }
    return [...seen];
  };
  const trace = byId("trace"), traced = byId("traced"), untrace = byId("untrace"), graph = byId("graph");
  const paragraph = (title, columns) => {
    const element = document.createElement("p");
    element.textContent = `${title}: ${columns.map((each) => names[each]).join(", ") || "nothing"}.`;
    return element;
  };
  const show = () => {
    const start = names.indexOf(trace.value.trim());
    graph.classList.toggle("tracing", start >= 0);
    for (const each of graph.querySelectorAll(".on")) each.classList.remove("on");
    traced.replaceChildren();
    untrace.hidden = !trace.value;
    if (start < 0) return;
    const up = reach(start, before), down = reach(start, after);
    const nodes = new Set([start, ...up, ...down].map((each) => data.assets[data.columns[each][0]][1]));
    for (const id of nodes) byId(id)?.classList.add("on");
    for (const line of graph.querySelectorAll(".lines path")) {
      if (nodes.has(line.dataset.a) && nodes.has(line.dataset.b)) line.classList.add("on");
    }
    traced.append(paragraph("Made from", up), paragraph("Goes into", down));
  };
  const options = byId("columns");
  trace.addEventListener("focus", () => {
    if (options.childElementCount) return;
    for (const name of names) options.append(new Option(name, name));
  });
  trace.addEventListener("input", show);
  untrace.addEventListener("click", () => { trace.value = ""; show(); trace.focus(); });
  byId("tracing").hidden = false;
  if (trace.value) show();
})();
