"use strict";
const one = (query) => document.querySelector(query);
const all = (query) => [...document.querySelectorAll(query)];
const counted = (n) => Math.round(n).toLocaleString("en-US");
const short = (n) => { // 1,582,671,872 as 1.58 G
  const [unit, name] = [[1e9, " G"], [1e6, " M"], [1e3, " k"]].find(([unit]) => n >= unit) ?? [1, ""];
  return `${Number((n / unit).toPrecision(3))}${name}`;
};

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
  one("#field-said").textContent = `${row.cells[0].title}: ${field} x ${field}`;
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
    const blocks = found.stages.flatMap((stage) => stage.blocks);
    blocks.flatMap((block) => block.layers).forEach((layer, i) => {
      if (!rows[i]) return;
      rows[i].dataset.field = layer.field;
      [layer.kind, layer.shape.join(" x "), counted(layer.parameters), counted(layer.macs), layer.field, layer.jump]
        .forEach((text, n) => { rows[i].cells[n + 1].textContent = text; });
    });
    const parts = found.stages.flatMap((stage) => [stage, ...stage.blocks.filter((block) => block.name)]);
    all("#stages summary").forEach((summary, i) => {
      const part = parts[i], [shape, macs, parameters] = summary.querySelectorAll(".quiet, .n");
      shape.textContent = part.shape.join(" x ");
      macs.textContent = `${short(part.macs)} MAC`;
      parameters.textContent = short(part.parameters);
      summary.querySelector(".fill").className = `fill w${Math.round((100 * part.macs) / (found.macs || 1))}`;
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
        card.append(await overlay(picture, seen, place.dataset.look), maps(picture, model, place.dataset));
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
  function maps(blob, model, words) {
    const folded = document.createElement("details"), choice = document.createElement("select"), grid = document.createElement("div");
    folded.append(Object.assign(document.createElement("summary"), { textContent: words.maps }), choice, grid);
    choice.setAttribute("aria-label", words.stage);
    grid.className = "maps";
    async function show(stage) {
      try {
        const found = await sent(`/v1/maps?model=${encodeURIComponent(model)}${stage ? `&stage=${encodeURIComponent(stage)}` : ""}`, blob);
        if (!choice.options.length) for (const name of found.stages) choice.add(new Option(name));
        choice.value = found.stage;
        grid.replaceChildren(...found.maps.map((map) => {
          const button = Object.assign(document.createElement("button"), { type: "button" }), label = `${found.stage}, ${map.index}`;
          button.append(Object.assign(heat(map.heat, 64), { ariaLabel: label }), String(map.index));
          button.addEventListener("click", () => projected(found.stage, map.index));
          return button;
        }));
      } catch (error) { wrong(error); }
    }
    async function projected(stage, map) {
      const where = `/v1/explain?model=${encodeURIComponent(model)}&method=guided&stage=${encodeURIComponent(stage)}&map=${map}`;
      try {
        folded.querySelector("figure")?.remove();
        folded.append(await overlay(blob, await sent(where, blob), words.look));
      } catch (error) { wrong(error); }
    }
    const wrong = (error) => folded.append(Object.assign(document.createElement("p"), { textContent: error.message, role: "alert" }));
    folded.addEventListener("toggle", () => { if (folded.open && !choice.options.length) show(""); });
    choice.addEventListener("change", () => show(choice.value));
    return folded;
  }
  function heat(values, side) {
    const rows = values.length, columns = values[0].length, flat = values.flat(), top = Math.max(...flat, 1e-12);
    const small = Object.assign(document.createElement("canvas"), { width: columns, height: rows }), brush = small.getContext("2d");
    const pixels = brush.createImageData(columns, rows);
    flat.forEach((value, i) => {
      const share = Math.max(0, value / top);
      pixels.data.set([255 * Math.min(1, 0.3 + share), 210 * share * share, 60 * (1 - share), 200 * Math.min(1, share + 0.1)], 4 * i);
    });
    brush.putImageData(pixels, 0, 0);
    const large = Object.assign(document.createElement("canvas"), { width: side, height: side });
    large.setAttribute("role", "img");
    large.getContext("2d").drawImage(small, 0, 0, side, side);
    return large;
  }
  async function overlay(blob, seen, label) {
    const image = await createImageBitmap(blob), side = seen.part * Math.min(image.width, image.height), canvas = document.createElement("canvas");
    canvas.width = canvas.height = 256;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${label}: ${seen.method}, ${seen.label}`);
    const draw = canvas.getContext("2d");
    draw.filter = "grayscale(1)";
    draw.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, 256, 256);
    draw.filter = "none";
    draw.drawImage(heat(seen.heat, 256), 0, 0);
    const figure = document.createElement("figure");
    figure.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: `${label}: ${seen.method}, ${seen.label}${seen.probability === null ? "" : ` ${(100 * seen.probability).toFixed(1)} %`}` }));
    return figure;
  }
}

// Runs: curves that grow, any number beside one another; starting and stopping.
const followed = new Map(), COLOURS = 6;
function follow(button) {
  const run = button.dataset.run, before = followed.get(run);
  button.setAttribute("aria-pressed", before ? "false" : "true");
  if (before) {
    before.source.close();
    followed.delete(run);
    return drawn();
  }
  const used = [...followed.values()].map(({ colour }) => colour), free = [...Array(COLOURS).keys()].find((n) => !used.includes(n));
  const held = { points: { loss: [], test_error: [] }, colour: free ?? 0, source: new EventSource(`/runs/${encodeURIComponent(run)}/events`) };
  followed.set(run, held);
  let waiting = false;
  held.source.onopen = () => { for (const key of Object.keys(held.points)) held.points[key] = []; };
  held.source.onmessage = (event) => {
    const line = JSON.parse(event.data);
    for (const key of Object.keys(held.points)) if (key in line) held.points[key].push([line.step, line[key]]);
    if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; drawn(); }); }
  };
  held.source.addEventListener("end", () => held.source.close());
}
function drawn() {
  const place = one("#curves"), shown = [...followed.values()], lines = [], said = [];
  place.hidden = !shown.length;
  one("#curves-title").textContent = [...followed.keys()].join(", ");
  const every = (key, n) => shown.flatMap(({ points }) => points[key].map((point) => point[n]));
  const most = Math.max(1, ...every("loss", 0), ...every("test_error", 0));
  const tops = { loss: Math.max(1e-9, ...every("loss", 1)), test_error: Math.max(1e-9, ...every("test_error", 1)) };
  for (const [run, { points, colour }] of followed) {
    const item = document.createElement("li"), text = [run];
    item.append(Object.assign(document.createElement("span"), { className: `key run${colour}-key` }));
    for (const [key, style, label] of [["loss", "curve second", place.dataset.loss], ["test_error", "curve", place.dataset.error]]) {
      if (!points[key].length) continue;
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("class", `${style} run${colour}`);
      line.setAttribute("points", points[key].map(([step, value]) => `${(30 + 670 * step / most).toFixed(1)},${(280 - 260 * value / tops[key]).toFixed(1)}`).join(" "));
      lines.push(line);
      text.push(`${label} ${points[key].at(-1)[1].toFixed(3)}`);
    }
    item.append(` ${text.join(", ")}`);
    said.push(item);
  }
  one("#curves-drawn").replaceChildren(...lines);
  one("#curves-said").replaceChildren(...said);
}
for (const button of all(".follow")) button.addEventListener("click", () => follow(button));
const posted = (path) => fetch(path, { method: "POST", headers: { "X-Requested-With": "convatlas" } });
for (const button of all(".stop")) button.addEventListener("click", async () => { await posted(`/runs/${encodeURIComponent(button.dataset.run)}/stop`); button.disabled = true; });
for (const form of all("form.start")) form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await posted(`/runs?${new URLSearchParams(new FormData(form))}`), found = await answer.json();
  form.querySelector("[role=status]").textContent = answer.ok ? found.run : found.detail;
  if (answer.ok) setTimeout(() => location.reload(), 1500);
});
