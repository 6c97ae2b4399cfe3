"use strict";
// Colours of the page, of light, dark and paper, handed on to every chart.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SETTINGS = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
const drawn = new Set();

// Signed maps: orange above zero, purple below, the page's own ground at zero.
const signedScale = () => isDark()
  ? [[0, "#b9a5e6"], [0.25, "#6f4fae"], [0.5, "#14161a"], [0.75, "#b3640f"], [1, "#ffc27a"]]
  : [[0, "#542788"], [0.17, "#998ec3"], [0.33, "#d8daeb"], [0.5, "#ffffff"], [0.67, "#fee0b6"], [0.83, "#f1a340"], [1, "#b35806"]];
const risingScale = () => isDark()
  ? [[0, "#14161a"], [0.4, "#542788"], [0.75, "#998ec3"], [1, "#f2effa"]]
  : [[0, "#ffffff"], [0.35, "#998ec3"], [0.7, "#542788"], [1, "#2d004b"]];

// Letters as in the figures; lighter on a dark ground.
const baseColor = (base) => (isDark() ? { A: "#3cc995", C: "#74acff", G: "#f6b93b", T: "#ff6f7a", N: "#9a9a9a" } : DATA.baseColors)[base];

function themed(layout) {
  const axis = { gridcolor: color("grid"), linecolor: color("line"), zerolinecolor: color("soft") };
  const made = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...(layout.font || {}), color: color("ink"), family: "system-ui, sans-serif", size: innerWidth < 700 ? 11 : 13 } };
  if (printing) made.width = PAPER;
  else made.autosize = true;
  for (const name of Object.keys(made).filter((key) => /^[xy]axis\d*$/.test(key)))
    made[name] = { ...made[name], ...axis };
  return made;
}
function colored(traces) {
  return traces.map((trace) => {
    if (trace.type === "heatmap")
      return { ...trace, colorscale: trace.meta === "signed" ? signedScale() : risingScale(), reversescale: false };
    return trace.meta === "letters" ? { ...trace, fillcolor: baseColor(trace.name) } : trace;
  });
}
function draw(element, traces, layout) {
  const heat = traces.some((trace) => trace.type === "heatmap");
  const made = themed(layout);
  if (heat) made.plot_bgcolor = color("untested");
  element.drawnFrom = [traces, layout];
  drawn.add(element);
  return Plotly.react(element, colored(traces), made, SETTINGS);
}
function redraw() { for (const element of drawn) draw(element, ...element.drawnFrom); }
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
matchMedia("print").addEventListener("change", redraw);
// A chart does not shrink to paper by itself; the width is that of A4 within its margins.
const PAPER = 690;
let printing = false;
addEventListener("beforeprint", () => { printing = true; redraw(); });
addEventListener("afterprint", () => { printing = false; redraw(); });

const number = (value, digits = 3) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, "−");
};
