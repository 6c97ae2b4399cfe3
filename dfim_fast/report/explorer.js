// The map of a sequence, and the tracks of the mutant under the cursor.
const LETTERS = "ACGT";
const LETTER = 5; // pixels that a letter needs; narrower ones are drawn as bars
// Room for the map's scale, so that a position stands at the same place in map and tracks.
const RIGHT = () => (innerWidth < 700 ? 8 : 96);
const NEAR = 120; // positions in view around a cell of a long sequence
const TYPES = { float32: Float32Array, int16: Int16Array, int32: Int32Array, uint8: Uint8Array };

async function unpack(view) {
  if (view.arrays) return view.arrays;
  const bytes = Uint8Array.from(atob(view.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  view.arrays = {};
  for (const part of view.parts) {
    const count = part.shape.reduce((a, b) => a * b, 1);
    view.arrays[part.name] = new TYPES[part.type](buffer, part.at, count);
  }
  return view.arrays;
}

function makeExplorer(root) {
  const { views, sources, targets, window: reach, levels, untested } = DATA.explorer;
  const find = (selector) => root.querySelector(selector);
  const [mapBox, trackBox, readout] = [find(".map"), find(".tracks"), find(".readout")];
  const width = reach === null ? targets.length : 2 * reach + 1;
  const targetAt = (s, t) => (reach === null ? targets[t] : targets[s][t]);
  const columns = reach === null ? targets : Array.from({ length: width }, (_, i) => i - reach);
  const tip = document.createElement("div");
  tip.className = "tip";
  document.body.append(tip);
  // s, t: indices; held: keeps its cell while the pointer moves
  const state = { view: null, arrays: null, rows: null, s: 0, t: 0, g: 0, held: false, range: null };

  views.forEach((view, i) => {
    const task = views.some((other) => other.task !== view.task) ? `, ${view.task}` : "";
    find("[data-view]").add(new Option(`${view.name}${task}${view.whole ? "" : " (strongest mutants only)"}`, i));
  });

  const level = (row, t) => state.arrays.fis[row * width + t];
  function best(s, t, wanted = Number(find("[data-mutant]").value)) {
    let found = null;
    for (let g = 0; g < 4; g += 1) {
      const row = state.rows.get(4 * s + g);
      if (row === undefined || (wanted >= 0 && g !== wanted)) continue;
      const value = level(row, t);
      if (value !== untested && (found === null || Math.abs(value) > Math.abs(found.value))) found = { g, row, value };
    }
    return found;
  }

  async function choose(index) {
    const view = views[index];
    const arrays = await unpack(view);
    Object.assign(state, { view, arrays, rows: new Map(), range: null, held: false });
    for (let row = 0; row < arrays.row.length / 2; row += 1)
      state.rows.set(4 * arrays.row[2 * row] + arrays.row[2 * row + 1], row);
    find("[data-view]").value = index;
    await drawMap();
    strongest();
  }

  function drawMap() {
    const z = sources.map((_, s) => columns.map((__, t) => {
      const cell = best(s, t);
      return cell === null ? null : cell.value * state.view.step;
    }));
    const sizes = z.map((row) => row.reduce((top, value) => Math.max(top, Math.abs(value ?? 0)), 0)).filter(Boolean).sort((a, b) => a - b);
    const top = sizes.length ? sizes[Math.floor(0.99 * (sizes.length - 1))] : 1;
    const traces = [{
      type: "heatmap", meta: "signed", z, x: columns, y: sources, zmin: -top, zmax: top, hoverinfo: "none",
      showscale: innerWidth >= 700,
      colorbar: { title: { text: "FIS: importance lost", side: "right" }, thickness: 14, outlinewidth: 0 },
    }, {
      type: "scatter", mode: "markers", x: [], y: [], hoverinfo: "skip", showlegend: false,
      marker: { symbol: "square-open", size: 13, color: color("ink"), line: { width: 2.5 } },
    }];
    const layout = {
      margin: { l: 76, r: RIGHT(), t: 10, b: 48 }, dragmode: "zoom", showlegend: false, uirevision: state.view.name + state.view.task,
      xaxis: { title: { text: reach === null ? "target: whose importance is read" : "target minus source" }, showgrid: false, zeroline: false },
      yaxis: { title: { text: "source: the mutated base" }, autorange: "reversed", showgrid: false, zeroline: false },
    };
    return draw(mapBox, traces, layout);
  }

  // The row and column of the largest |FIS|, of those in the page.
  function strongest() {
    let found = [0, 0, -1];
    sources.forEach((_, s) => columns.forEach((__, t) => {
      const cell = best(s, t);
      if (cell && Math.abs(cell.value) > found[2]) found = [s, t, Math.abs(cell.value)];
    }));
    move(found[0], found[1]);
  }

  function move(s, t, mutant = null) {
    state.s = Math.min(Math.max(s, 0), sources.length - 1);
    state.t = Math.min(Math.max(t, 0), width - 1);
    const cell = mutant === null ? best(state.s, state.t) ?? best(state.s, state.t, -1) : best(state.s, state.t, mutant);
    state.cell = cell;
    if (cell) state.g = cell.g;
    find("[data-source]").value = sources[state.s];
    find("[data-target]").value = targetAt(state.s, state.t);
    tell();
    cancelAnimationFrame(state.frame);
    state.frame = requestAnimationFrame(() => { mark(); drawTracks(); });
  }

  function words() {
    const { view, cell, s, t } = state;
    const [from, to] = [sources[s], targetAt(s, t)];
    const base = (position) => (position < 0 ? "–" : `${view.bases[position]}${position}`);
    if (!cell) return [`${base(from)} → ${base(to)}: not tested`];
    const at = cell.value + levels;
    const fis = cell.value * view.step;
    const judged = ["p", "q"].filter((name) => state.arrays[name]).map((name) => [name, state.arrays[name][at]])
      .map(([name, value]) => `${name} ${value === 0 ? "<1e−38" : number(value, 2)}`);
    const score = `score ${number(view.prediction)} → ${number(state.arrays.mutant_prediction[cell.row])}`;
    return [`source ${base(from)} → ${LETTERS[cell.g]}`, `target ${base(to)}`, `FIS ${number(fis)} (${fis > 0 ? "loses" : fis < 0 ? "gains" : "unchanged"})`, judged.join(", "), score].filter(Boolean);
  }
  function tell() {
    const [first, ...rest] = words();
    const strong = document.createElement("b");
    strong.textContent = first;
    readout.replaceChildren(strong, ` · ${rest.join(" · ")}`);
  }
  function mark() {
    const to = reach === null ? targetAt(state.s, state.t) : columns[state.t];
    mapBox.drawnFrom[0][1].x = [to];
    mapBox.drawnFrom[0][1].y = [sources[state.s]];
    Plotly.restyle(mapBox, { x: [[to]], y: [[sources[state.s]]] }, [1]);
  }

  const fitting = () => Math.floor((trackBox.clientWidth || 1200) / LETTER);

  // What the tracks show unless someone zooms: all, or in a long sequence what lies around the cell.
  function around(length) {
    const all = [-0.5, length - 0.5];
    if (length <= fitting()) return all;
    const ends = [sources[state.s], Math.max(targetAt(state.s, state.t), 0)];
    const air = Math.max(12, (Math.min(NEAR, fitting()) - 1 - Math.abs(ends[0] - ends[1])) / 2);
    return [Math.max(all[0], Math.min(...ends) - air), Math.min(all[1], Math.max(...ends) + air)];
  }

  // One track as filled outlines: a trace for each base, letters or bars.
  function outlines(values, bases, axis, from, to) {
    const asLetters = to - from <= fitting();
    return [..."ACGTN"].map((base) => {
      const [x, y] = [[], []];
      const shape = asLetters ? DATA.glyphs[base] : [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]];
      for (let i = from; i < to; i += 1) {
        if (bases[i] !== base || !values[i]) continue;
        for (const polygon of shape) {
          for (const [px, py] of polygon) { x.push(i - 0.47 + 0.94 * px); y.push(values[i] * py); }
          x.push(null); y.push(null);
        }
      }
      return { type: "scatter", mode: "lines", x, y, fill: "toself", meta: "letters",
        line: { width: 0 }, hoverinfo: "skip", showlegend: false, xaxis: "x", yaxis: axis, name: base };
    });
  }

  function drawTracks() {
    const { view, arrays, s, g } = state;
    const length = view.bases.length;
    const original = Array.from(arrays.attributions);
    const lost = new Array(length).fill(0);
    const mutant = original.slice();
    const row = state.rows.get(4 * s + g);
    const changed = [...view.bases];
    if (row !== undefined) {
      for (let t = 0; t < width; t += 1) {
        const [position, value] = [targetAt(s, t), level(row, t)];
        if (position < 0 || value === untested) continue;
        lost[position] = value * view.step;
        mutant[position] = original[position] - lost[position];
      }
      mutant[sources[s]] = original[sources[s]] - arrays.self_effect[row];
      changed[sources[s]] = LETTERS[g];
    }
    const [low, high] = state.range ?? around(length);
    const [from, to] = [Math.max(0, Math.ceil(low)), Math.min(length, Math.floor(high) + 1)];
    const limits = (...tracks) => {
      const values = tracks.flatMap((track) => track.slice(from, to));
      const [bottom, top] = [Math.min(0, ...values), Math.max(0, ...values)];
      const air = 0.06 * (top - bottom) || 1;
      return [bottom - (bottom < 0 ? air : 0), top + air];
    };
    const traces = [...outlines(original, view.bases, "y", from, to), ...outlines(mutant, changed, "y2", from, to), ...outlines(lost, view.bases, "y3", from, to)];
    const both = limits(original, mutant);
    const name = `${view.bases[sources[s]]}${sources[s]}${row === undefined ? "" : LETTERS[g]}`;
    const axis = (domain, text, range) => ({ domain, range, title: { text }, zeroline: true, nticks: 4, fixedrange: true });
    const at = [targetAt(s, state.t), sources[s]];
    const layout = {
      margin: { l: 76, r: RIGHT(), t: 6, b: 44 }, showlegend: false, dragmode: "zoom",
      xaxis: { range: [low, high], anchor: "y3", title: { text: "position in the sequence (from 0)" }, showgrid: false, zeroline: false },
      yaxis: axis([0.69, 1], "original", both), yaxis2: axis([0.355, 0.645], `with ${name}`, both),
      yaxis3: axis([0, 0.31], "lost", limits(lost)),
      shapes: at.filter((position) => position >= 0).map((position, i) => ({
        type: "rect", xref: "x", yref: "paper", x0: position - 0.5, x1: position + 0.5, y0: 0, y1: 1, layer: "below",
        line: { width: 0 }, fillcolor: i ? "rgba(140,150,165,0.38)" : "rgba(241,163,64,0.30)",
      })),
    };
    draw(trackBox, traces, layout);
    if (!trackBox.listens) {
      trackBox.listens = true;
      trackBox.on("plotly_relayout", (event) => follow(event, "xaxis"));
    }
  }
  // Zoom of the tracks, and of the map where both axes are positions.
  function follow(event, axis) {
    if (event[`${axis}.range[0]`] !== undefined) state.range = [event[`${axis}.range[0]`], event[`${axis}.range[1]`]];
    else if (event[`${axis}.range`]) state.range = [...event[`${axis}.range`]];
    else if (event[`${axis}.autorange`]) state.range = null;
    else return;
    drawTracks();
  }
  function zoom(factor) {
    const { xaxis, yaxis } = mapBox._fullLayout;
    const around = (range, centre) => range.map((edge) => centre + (edge - centre) * factor);
    const x = reach === null ? targetAt(state.s, state.t) : columns[state.t];
    Plotly.relayout(mapBox, { "xaxis.range": around(xaxis.range, x), "yaxis.range": around(yaxis.range, sources[state.s]) });
  }

  find("[data-view]").addEventListener("change", (event) => choose(Number(event.target.value)));
  find("[data-mutant]").addEventListener("change", async () => { await drawMap(); move(state.s, state.t); });
  const seek = () => {
    const s = sources.indexOf(Number(find("[data-source]").value));
    if (s < 0) return;
    const wanted = Number(find("[data-target]").value);
    const t = columns.findIndex((_, i) => targetAt(s, i) === wanted);
    state.held = true;
    move(s, t < 0 ? state.t : t);
  };
  for (const name of ["[data-source]", "[data-target]"]) find(name).addEventListener("change", seek);
  find("[data-whole]").addEventListener("click", () => {
    state.range = [-0.5, state.view.bases.length - 0.5];
    Plotly.relayout(mapBox, { "xaxis.autorange": true, "yaxis.autorange": "reversed" });
    drawTracks();
  });
  mapBox.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
    if (moves[event.key]) { state.held = true; move(state.s + moves[event.key][0], state.t + moves[event.key][1]); }
    else if (event.key === "Home") { state.held = true; strongest(); }
    else if (event.key === "+" || event.key === "=") zoom(0.6);
    else if (event.key === "-") zoom(1 / 0.6);
    else if (event.key === "Escape") state.held = false;
    else return;
    event.preventDefault();
  });

  async function show([name, task, source, mutant, target], scroll) {
    const index = views.findIndex((view) => view.name === name && view.task === task);
    if (state.view !== views[index]) await choose(index);
    const s = sources.indexOf(source);
    const t = columns.findIndex((_, i) => targetAt(s, i) === target);
    state.held = true;
    move(s, t, LETTERS.indexOf(mutant));
    if (scroll) root.scrollIntoView({ block: "start" });
  }

  const ready = choose(0).then(() => {
    mapBox.on("plotly_hover", (event) => {
      if (state.held) return;
      const [s, t] = event.points[0].pointIndex;
      move(s, t);
      tip.textContent = words().join("\n");
      tip.style.display = "block";
      tip.style.left = `${Math.min(event.event.clientX + 16, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.max(8, event.event.clientY - tip.offsetHeight - 12)}px`;
    });
    mapBox.on("plotly_unhover", () => { tip.style.display = "none"; });
    mapBox.on("plotly_click", (event) => {
      if (!Array.isArray(event.points[0].pointIndex)) return;
      state.held = true;
      move(...event.points[0].pointIndex);
    });
    mapBox.on("plotly_relayout", (event) => { if (reach === null) follow(event, "xaxis"); });
  });
  // one after the other: a row chosen early waits for the first map
  let queue = ready;
  return (...given) => { queue = queue.then(() => show(...given)); return queue; };
}
