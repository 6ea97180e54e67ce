"use strict";
// The page works without this, too: here are only clicks, lists, themes and the matrices of many nodes.
// Whatever nodes wrote is set as textContent, never as markup.
(() => {
  const PAGE = 100;
  const get = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const { words, texts, columns, rtt, bands } = JSON.parse(get("data").textContent);
  const total = rtt.length;
  const word = (column, at) => words[columns[column][at]];
  const WORDS = { passed: "passed", warned: "warning", failed: "failed", error: "no answer" };
  const RANK = { failed: 0, error: 1, warned: 2, passed: 3 };
  const rank = (at) => RANK[word("status", at)];
  const isBad = (at) => rank(at) < 2;
  let isOnly = false;

  function make(tag, style, text) {
    const made = document.createElement(tag);
    if (style) made.className = style;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // The same words as Check.title in stacklab/checks/result.py; tests/browser compares them.
  function title(at) {
    const [kind, node, target, network, address, device, subject] =
      ["kind", "node", "target", "network", "address", "device", "subject"].map((name) => word(name, at));
    if (kind === "login") return `host -> ${node} ${address} (${network}): login`;
    let to = target && target !== node ? ` -> ${target} ${address}`.trimEnd() : "";
    if (!to && address) to = ` ${address}`;
    return node + (device && ` ${device}`) + to + (network && ` (${network})`) + `: ${kind}` + (subject && ` ${subject}`);
  }

  function pick(fits) {
    const found = [];
    for (let at = 0; at < total; at++) if (fits(at)) found.push(at);
    return found;
  }

  // --- evidence

  function article(at) {
    const made = make("article", `problem ${word("status", at)}`);
    const head = make("h3");
    head.append(make("span", `pill ${word("status", at)}`, WORDS[word("status", at)]), ` ${title(at)}`);
    made.append(head, make("p", "", word("detail", at)));
    if (rtt[at]) made.append(make("p", "dim", `slowest round trip: ${rtt[at]} ms`));
    const [command, output, evidence] = texts[at] || [];
    if (command) made.append(make("pre", "command", command));
    if (output) made.append(make("pre", "", output));
    if (evidence) made.append(make("pre", "evidence", evidence));
    return made;
  }

  // Adds PAGE items at a time, and a button for the next ones.
  function fill(box, items, draw) {
    box.replaceChildren();
    if (!items.length) box.append(make("p", "dim", "none"));
    const add = (from) => {
      box.append(...items.slice(from, from + PAGE).map(draw));
      const left = items.length - from - PAGE;
      if (left <= 0) return;
      const more = make("button", "more", `${Math.min(PAGE, left)} more of ${left}`);
      more.type = "button";
      more.addEventListener("click", () => { more.remove(); add(from + PAGE); });
      box.append(more);
    };
    add(0);
  }

  function show(head, items) {
    get("evidence-title").textContent = head;
    fill(get("evidence-body"), items.sort((a, b) => rank(a) - rank(b) || a - b), article);
    const dialog = get("evidence");
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  const showWay = (network, from, to) =>
    show(`${from} -> ${to} on ${network}`, pick((at) =>
      word("node", at) === from && word("target", at) === to && word("network", at) === network));
  const showNode = (name) => show(name, pick((at) => word("node", at) === name));

  const dialog = get("evidence");
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  function opens(element, act) {
    element.addEventListener("click", act);
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      act(event);
    });
  }

  for (const node of all("svg .node")) {
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", "button");
    node.setAttribute("aria-label", `checks of ${node.dataset.node}`);
    opens(node, () => showNode(node.dataset.node));
  }

  for (const link of all("a[data-at]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      show(title(Number(link.dataset.at)), [Number(link.dataset.at)]);
    });
  }

  // --- matrices: one stop for TAB each, arrows inside

  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  for (const table of all("table.heat")) {
    const rows = all("tbody tr", table).map((row) => all("td", row));
    const cells = rows.flat().filter((cell) => cell.classList.contains("cell"));
    const place = new Map(rows.flatMap((row, y) => row.map((cell, x) => [cell, [y, x]])));
    const first = table.querySelector("td.failed, td.error") || cells[0];
    for (const cell of cells) {
      cell.tabIndex = cell === first ? 0 : -1;
      cell.setAttribute("role", "button");
    }
    const cellOf = (event) => event.target.closest("td.cell");
    const open = (cell) => showWay(table.dataset.network, cell.dataset.from, cell.dataset.to);
    table.addEventListener("click", (event) => { if (cellOf(event)) open(cellOf(event)); });
    table.addEventListener("keydown", (event) => {
      const cell = cellOf(event);
      if (!cell) return;
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(cell); }
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      let [y, x] = place.get(cell);
      do { y += step[0]; x += step[1]; } while (rows[y]?.[x] && !rows[y][x].classList.contains("cell"));
      const next = rows[y]?.[x];
      if (!next) return;
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }

  const colour = (style) => {
    const probe = make("span", style);
    document.body.append(probe);
    const found = getComputedStyle(probe).backgroundColor;
    probe.remove();
    return found;
  };

  function bigMatrix(canvas) {
    const network = canvas.dataset.network;
    const names = JSON.parse(canvas.closest(".scroll").nextElementSibling.textContent);
    const place = new Map(names.map((name, at) => [name, at]));
    const n = names.length;
    const band = new Int8Array(n * n).fill(-1); // -1: nothing to try, 6: passed without a round trip
    const trips = new Float32Array(n * n);
    const worst = new Uint8Array(n * n).fill(3);
    for (let at = 0; at < total; at++) {
      if (word("network", at) !== network) continue;
      const y = place.get(word("node", at)), x = place.get(word("target", at));
      if (y === undefined || x === undefined || x === y) continue;
      const cell = y * n + x;
      worst[cell] = Math.min(worst[cell], rank(at));
      if (rtt[at]) { trips[cell] = rtt[at]; band[cell] = bands.filter((limit) => rtt[at] >= limit).length; }
      else if (word("reason", at) === "cut") band[cell] = 7;
      else if (band[cell] < 0) band[cell] = 6;
    }
    const size = Math.max(5, Math.min(14, Math.floor(canvas.closest(".scroll").clientWidth / n)));
    const scale = window.devicePixelRatio || 1;
    canvas.width = canvas.height = n * size * scale;
    canvas.style.width = canvas.style.height = `${n * size}px`;
    const now = get(canvas.getAttribute("aria-describedby"));
    let [row, column] = [-1, -1];

    const picture = make("canvas"); // without the cursor, which moves with the pointer

    function paint() {
      picture.width = picture.height = canvas.width;
      const pen = picture.getContext("2d");
      pen.scale(scale, scale);
      const fills = [0, 1, 2, 3, 4, 5].map((number) => colour(`b${number}`)).concat(colour("plainly"), "#8b949e");
      const bad = ["#d92d20", "#7a57b5", "#f0b429"];
      for (let y = 0; y < n; y++) {
        for (let x = 0; x < n; x++) {
          const cell = y * n + x;
          if (band[cell] < 0 || (isOnly && worst[cell] > 1)) continue;
          pen.fillStyle = worst[cell] < 3 ? bad[worst[cell]] : fills[band[cell]];
          pen.fillRect(x * size, y * size, size - 1, size - 1);
        }
      }
      draw();
    }

    function draw() {
      const pen = canvas.getContext("2d");
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(picture, 0, 0);
      if (row < 0) return;
      pen.scale(scale, scale);
      pen.lineWidth = 2;
      pen.strokeStyle = getComputedStyle(document.body).color;
      pen.strokeRect(column * size - 1, row * size - 1, size + 1, size + 1);
    }

    function go(y, x) {
      if (y < 0 || x < 0 || y >= n || x >= n) return;
      [row, column] = [y, x];
      const cell = y * n + x;
      const said = worst[cell] < 3 ? ["failed", "no answer", "a warning"][worst[cell]] : "";
      const trip = trips[cell] ? `${trips[cell].toFixed(1)} ms` : "";
      const how = [said, trip].filter(Boolean).join(", ") || (band[cell] < 0 ? "nothing to try" : band[cell] === 7 ? "cut, as expected" : "passed");
      now.textContent = `${names[y]} -> ${names[x]}: ${how}`;
      draw();
    }
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [Math.floor((event.clientY - box.top) / size), Math.floor((event.clientX - box.left) / size)];
    };
    const open = () => { if (row >= 0 && band[row * n + column] >= 0) showWay(network, names[row], names[column]); };
    canvas.addEventListener("pointermove", (event) => go(...at(event)));
    canvas.addEventListener("click", (event) => { go(...at(event)); open(); });
    canvas.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (event.key === "Enter") open();
      else if (step) go(Math.max(row, 0) + step[0], Math.max(column, 0) + step[1]);
      else return;
      event.preventDefault();
    });
    paint();
    return paint;
  }

  const redraws = all("canvas").map(bigMatrix);
  const redraw = () => redraws.forEach((paint) => paint());

  // --- all checks, layer by layer; a list is made when it is opened

  function list(details) {
    const layer = details.dataset.layer;
    const items = pick((at) => word("layer", at) === layer && (!isOnly || isBad(at)));
    fill(details.querySelector(".rows"), items, (at) => {
      const row = make("button", "row");
      row.type = "button";
      row.append(
        make("span", `pill ${word("status", at)}`, WORDS[word("status", at)]),
        make("span", "what", title(at)), make("span", "why", word("detail", at)));
      row.addEventListener("click", () => show(title(at), [at]));
      return row;
    });
  }
  for (const details of all("details[data-layer]")) details.addEventListener("toggle", () => { if (details.open) list(details); });

  // --- the switches

  get("only").addEventListener("change", (event) => {
    isOnly = event.target.checked;
    document.body.classList.toggle("only", isOnly);
    all("details[data-layer][open]").forEach(list);
    redraw();
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { get("theme").textContent = isDark() ? "light" : "dark"; };
  get("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
    redraw();
  });
  dark.addEventListener("change", () => { name(); redraw(); });
  name();
  document.querySelector(".tools").hidden = false;
})();
