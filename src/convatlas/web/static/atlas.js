"use strict";
const one = (query) => document.querySelector(query);
const all = (query) => [...document.querySelectorAll(query)];
const counted = (n) => Math.round(n).toLocaleString("en-US");

// Dark or light: as the system says, until somebody says otherwise.
const kept = localStorage.getItem("theme");
if (kept) document.documentElement.dataset.theme = kept;
one("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

// A layer's field on the sample picture.
const box = one("#field-box");
function point(row) {
  const field = Number(row.dataset.field), share = Math.min(100, (100 * field) / Number(box.dataset.size));
  box.style.width = box.style.height = `${share}%`;
  one("#field-said").textContent = `${row.cells[0].textContent}: ${field} x ${field}`;
}
function pointed() {
  for (const row of all("tr[data-field]")) {
    row.addEventListener("mouseenter", () => point(row));
    row.addEventListener("focus", () => point(row));
  }
}
if (box) pointed();

// The picture's size: layers are counted anew by the server.
const slider = one("#size");
if (slider) {
  let last = 0;
  slider.addEventListener("input", async () => {
    const mine = ++last, size = Number(slider.value), unit = one("#size-said").textContent.replace(/^[0-9]+ /, "");
    one("#size-said").textContent = `${size} ${unit}`;
    await new Promise((done) => setTimeout(done, 150));
    if (mine !== last) return;
    const answer = await fetch(`/network/${slider.dataset.network}/layers.json?size=${size}`);
    if (mine !== last) return;
    const found = await answer.json();
    one("#size-problem").textContent = answer.ok ? "" : found.detail;
    if (!answer.ok) return;
    for (const key of ["parameters", "macs", "activations"]) one(`#total-${key}`).textContent = counted(found[key]);
    one("#total-memory").textContent = `${(found.memory / 1e6).toFixed(1)} MB`;
    box.dataset.size = size;
    const rows = all("#stages tbody tr");
    found.stages.flatMap((stage) => stage.layers).forEach((layer, i) => {
      if (!rows[i]) return;
      rows[i].dataset.field = layer.field;
      [layer.name, layer.kind, layer.shape.join(" x "), counted(layer.parameters), counted(layer.macs), layer.field, layer.jump]
        .forEach((text, n) => { rows[i].cells[n].textContent = text; });
    });
  });
}

// The calculator.
function numbers(form) {
  return Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, Number(value)]));
}
function convolution() {
  const n = numbers(one("#conv")), list = one("#conv-steps"), word = list.dataset;
  const side = Math.floor((n.side + 2 * n.padding - n.kernel) / n.stride) + 1;
  const fits = n.given % n.groups === 0 && n.made % n.groups === 0 && side > 0;
  const weights = (n.made * n.given * n.kernel ** 2) / n.groups, macs = weights * side ** 2;
  const apart = (n.given * n.kernel ** 2 + n.given * n.made) * side ** 2, full = n.made * n.given * n.kernel ** 2 * side ** 2;
  const lines = fits ? [
    `${word.shape}: ⌊(${n.side} + 2·${n.padding} − ${n.kernel}) / ${n.stride}⌋ + 1 = ${side}; ${n.made} x ${side} x ${side}`,
    `${word.parameters}: ${n.made} · ${n.given} / ${n.groups} · ${n.kernel}² + ${n.made} = ${counted(weights + n.made)}`,
    `${word.macs}: ${counted(weights)} · ${side}² = ${counted(macs)}`,
    `${word.field}: ${n.kernel} x ${n.kernel}`,
    `${word.separable}: (${n.given} · ${n.kernel}² + ${n.given} · ${n.made}) · ${side}² = ${counted(apart)}, ${(100 * apart / full).toFixed(1)} % ${word.full}`,
  ] : ["–"];
  list.replaceChildren(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}
function stack() {
  const n = numbers(one("#stack")), said = one("#stack-said"), k = 2 * n.layers + 1;
  const small = n.layers * 9 * n.maps ** 2, large = k ** 2 * n.maps ** 2;
  said.textContent = `${n.layers} x 3x3 ${said.dataset.says} ${k}x${k}. ${said.dataset.parameters}: ${counted(small)} / ${counted(large)} = ${(100 * small / large).toFixed(0)} %`;
}
function inception() {
  const n = numbers(one("#inception")), said = one("#inception-said"), places = n.side ** 2;
  const naive = places * n.given * (n.one + 9 * n.three + 25 * n.five);
  const reduced = places * (n.given * (n.one + 3 * n.reduced) + n.reduced * (9 * n.three + 25 * n.five));
  said.textContent = `${said.dataset.macs}: ${counted(naive)} → ${counted(reduced)} (${(naive / reduced).toFixed(2)}x)`;
}
for (const [id, run] of [["#conv", convolution], ["#stack", stack], ["#inception", inception]]) {
  if (one(id)) { one(id).addEventListener("input", run); one(id).addEventListener("submit", (event) => event.preventDefault()); run(); }
}

// Trying: a picture for one or more networks.
const tried = one("#try");
if (tried) {
  let picture = null;
  const take = (blob) => { picture = blob; };
  one("#file").addEventListener("change", (event) => { take(event.target.files[0]); all(".sample-choice").forEach((b) => b.setAttribute("aria-pressed", "false")); });
  const drop = one("#drop");
  for (const name of ["dragover", "dragleave", "drop"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", name === "dragover"); });
  drop.addEventListener("drop", (event) => { take(event.dataTransfer.files[0]); ask(); });
  for (const button of all(".sample-choice")) {
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      all(".sample-choice").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
      take(await (await fetch(button.dataset.sample)).blob());
    });
  }
  tried.addEventListener("submit", (event) => { event.preventDefault(); ask(); });

  async function sent(path, blob) {
    const form = new FormData();
    form.append("pictures", blob, "picture");
    const answer = await fetch(path, { method: "POST", body: form });
    const found = await answer.json();
    if (!answer.ok) throw new Error(typeof found.detail === "string" ? found.detail : answer.statusText);
    return found;
  }
  async function ask() {
    if (!picture) return;
    const place = one("#answers"), models = all("input[name=model]:checked").map((input) => input.value);
    place.replaceChildren();
    for (const model of models) {
      const card = document.createElement("section"), title = document.createElement("h2");
      title.textContent = model;
      card.append(title);
      place.append(card);
      try {
        const said = await sent(`/v1/predict?top=5&model=${encodeURIComponent(model)}`, picture);
        card.append(table(said.answers[0].predictions, place.dataset.probability));
        const method = one("#method").value;
        const seen = await sent(`/v1/explain?model=${encodeURIComponent(model)}&method=${encodeURIComponent(method)}`, picture);
        card.append(await overlay(picture, seen, place.dataset.look));
      } catch (error) {
        card.append(Object.assign(document.createElement("p"), { textContent: error.message, role: "alert" }));
      }
    }
  }
  function table(rows, label) {
    const found = document.createElement("table");
    for (const row of rows) {
      const line = found.insertRow();
      line.insertCell().textContent = row.label;
      const cell = line.insertCell();
      cell.className = "n";
      cell.textContent = `${(100 * row.probability).toFixed(1)} %`;
      const meter = Object.assign(document.createElement("meter"), { value: row.probability, max: 1, title: label });
      meter.setAttribute("aria-label", `${row.label} ${label}`);
      line.insertCell().append(meter);
    }
    return found;
  }
  async function overlay(blob, seen, label) {
    const image = await createImageBitmap(blob), side = Math.min(image.width, image.height), canvas = document.createElement("canvas");
    canvas.width = canvas.height = 256;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${label}: ${seen.method}, ${seen.label}`);
    const draw = canvas.getContext("2d"), rows = seen.heat.length, columns = seen.heat[0].length;
    draw.filter = "grayscale(1)";
    draw.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, 256, 256);
    const small = Object.assign(document.createElement("canvas"), { width: columns, height: rows }), brush = small.getContext("2d");
    const pixels = brush.createImageData(columns, rows), values = seen.heat.flat(), top = Math.max(...values, 1e-12);
    values.forEach((value, i) => {
      const share = Math.max(0, value / top);
      pixels.data.set([255 * Math.min(1, 0.3 + share), 210 * share * share, 60 * (1 - share), 200 * Math.min(1, share + 0.1)], 4 * i);
    });
    brush.putImageData(pixels, 0, 0);
    draw.filter = "none";
    draw.drawImage(small, 0, 0, 256, 256);
    const figure = document.createElement("figure");
    figure.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: `${label}: ${seen.method}, ${seen.label} ${(100 * seen.probability).toFixed(1)} %` }));
    return figure;
  }
}

// Runs: curves that grow, starting and stopping.
let source = null;
function follow(run) {
  const place = one("#curves"), points = { loss: [], test_error: [] };
  if (source) source.close();
  place.hidden = false;
  one("#curves-title").textContent = run;
  source = new EventSource(`/runs/${encodeURIComponent(run)}/events`);
  let waiting = false;
  source.onmessage = (event) => {
    const line = JSON.parse(event.data);
    for (const key of Object.keys(points)) if (key in line) points[key].push([line.step, line[key]]);
    if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; drawn(run, points, place.dataset); }); }
  };
  source.addEventListener("end", () => source.close());
}
function drawn(run, points, word) {
  const most = Math.max(1, ...Object.values(points).flat().map(([step]) => step)), lines = [], said = [run];
  for (const [key, style, label] of [["loss", "curve second", word.loss], ["test_error", "curve", word.error]]) {
    if (!points[key].length) continue;
    const top = Math.max(...points[key].map(([, value]) => value), 1e-9);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("class", style);
    line.setAttribute("points", points[key].map(([step, value]) => `${(30 + 670 * step / most).toFixed(1)},${(280 - 260 * value / top).toFixed(1)}`).join(" "));
    lines.push(line);
    said.push(`${label} ${points[key].at(-1)[1].toFixed(3)}`);
  }
  one("#curves-drawn").replaceChildren(...lines);
  one("#curves-said").textContent = said.join(", ");
}
for (const button of all(".follow")) button.addEventListener("click", () => follow(button.dataset.run));
const posted = (path) => fetch(path, { method: "POST", headers: { "X-Requested-With": "convatlas" } });
for (const button of all(".stop")) button.addEventListener("click", async () => { await posted(`/runs/${encodeURIComponent(button.dataset.run)}/stop`); button.disabled = true; });
const begin = one("#start");
if (begin) begin.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await posted(`/runs?recipe=${encodeURIComponent(one("#recipe").value)}&seed=${one("#seed").value}`), found = await answer.json();
  one("#start-said").textContent = answer.ok ? found.run : found.detail;
  if (answer.ok) setTimeout(() => location.reload(), 1500);
});
