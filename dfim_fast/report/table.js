// Tables: sorted by heading, filtered, a page at a time; a row may show something elsewhere.
const PAGE = 15;

function makeTable(root, choose) {
  const { columns, rows, link, flag, size } = DATA.tables[root.dataset.table];
  const at = (name) => columns.findIndex((column) => column.name === name);
  const find = (selector) => root.querySelector(selector);
  const state = { order: null, down: true, page: 0, chosen: null };
  const texts = rows.map((row) => row.slice(0, columns.length).join(" ").toLowerCase());
  const linked = (row) => link && row[columns.length] !== null && row[columns.length] !== undefined;

  const head = find("thead").insertRow();
  const heads = columns.map((column, i) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = column.type;
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => {
      state.down = state.order === i ? !state.down : column.type !== "text";
      state.order = i;
      state.page = 0;
      show();
    });
    cell.append(button);
    head.append(cell);
    return [cell, button];
  });

  function found() {
    const words = find("[data-filter]").value.toLowerCase().split(/\s+/).filter(Boolean);
    const least = Number(find("[data-least]")?.value || 0);
    const only = find("[data-only]")?.checked;
    const kept = rows.map((_, i) => i).filter((i) =>
      words.every((word) => texts[i].includes(word)) &&
      (!least || Math.abs(rows[i][at(size)]) >= least) && (!only || rows[i][at(flag)]));
    if (state.order === null) return kept;
    const key = (i) => rows[i][state.order];
    const sign = state.down ? -1 : 1;
    // rows without a value stand last, whichever way
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
    };
    return kept.sort((a, b) => compare(a, b) || a - b);
  }

  function show() {
    const kept = found();
    const pages = Math.max(1, Math.ceil(kept.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    heads.forEach(([cell, button], i) => {
      const sorted = state.order === i;
      cell.setAttribute("aria-sort", sorted ? (state.down ? "descending" : "ascending") : "none");
      button.textContent = columns[i].label + (sorted ? (state.down ? " ▾" : " ▴") : "");
    });
    const body = find("tbody");
    body.replaceChildren(...kept.slice(state.page * PAGE, (state.page + 1) * PAGE).map(line));
    find("[data-count]").textContent = `${kept.length.toLocaleString()} of ${rows.length.toLocaleString()} rows`;
    find("[data-page]").textContent = `${state.page + 1} / ${pages}`;
    find("[data-back]").disabled = state.page === 0;
    find("[data-next]").disabled = state.page === pages - 1;
  }

  function line(i) {
    const row = document.createElement("tr");
    columns.forEach((column, c) => {
      const cell = row.insertCell();
      const value = rows[i][c];
      cell.className = column.type;
      cell.textContent = column.type === "flag" ? (value === null ? "–" : value ? "yes" : "no")
        : column.type === "text" ? (value ?? "–") : column.type === "p" && value === 0 ? "<1e−300" : number(value, column.type === "integer" ? 8 : 3);
      if (column.type === "text") cell.title = value ?? "";
    });
    if (linked(rows[i])) {
      row.className = "linked" + (state.chosen === i ? " chosen" : "");
      const first = row.cells[0];
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = first.textContent;
      button.setAttribute("aria-label", `show ${[...row.cells].slice(0, 3).map((c) => c.textContent).join(", ")}`);
      first.replaceChildren(button);
      row.addEventListener("click", () => pick(i, true));
    }
    return row;
  }

  function pick(i, scroll) {
    state.chosen = i;
    const held = document.activeElement?.closest?.("tr")?.rowIndex;
    show();
    if (held) root.querySelector("table").rows[held]?.querySelector("button")?.focus();
    choose(link, rows[i][columns.length], scroll);
  }

  for (const name of ["[data-filter]", "[data-least]", "[data-only]"])
    find(name)?.addEventListener("input", () => { state.page = 0; show(); });
  find("[data-back]").addEventListener("click", () => { state.page -= 1; show(); });
  find("[data-next]").addEventListener("click", () => { state.page += 1; show(); });
  const first = rows.findIndex(linked);
  if (first >= 0) pick(first, false); else show();
}
