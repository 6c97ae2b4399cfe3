// Puts the page together; charts further down are drawn when they come near the window.
const explorer = DATA.explorer ? makeExplorer(document.querySelector(".explorer")) : null;

function showProfile(index) {
  for (const box of document.querySelectorAll("[data-profile]")) {
    const { entries, axis } = DATA.profiles[box.dataset.profile];
    const { title, x, y, label } = entries[index];
    const trace = { type: "bar", x, y, text: typeof x[0] === "number" && x.length <= 80 ? label : undefined, hovertext: label, textposition: "outside",
      hovertemplate: "%{hovertext}, %{x}: %{y}<extra></extra>", cliponaxis: false,
      marker: { color: y.map((value) => (value > 0 ? "#D9731A" : "#7B5FC0")) } };
    draw(box, [trace], { height: 360, margin: { l: 70, r: 16, t: 36, b: 60 }, title: { text: title, font: { size: 15 } },
      xaxis: { title: { text: axis[0] }, automargin: true }, yaxis: { title: { text: axis[1] }, zeroline: true } });
  }
}
function choose(link, value, scroll) {
  if (link === "explorer") return explorer(value, scroll);
  showProfile(value);
  if (scroll) document.querySelector(".profile").scrollIntoView({ block: "nearest" });
}
for (const root of document.querySelectorAll("[data-table]")) makeTable(root, choose);

const later = new Set(document.querySelectorAll("[data-chart]"));
function drawChart(box) {
  if (!later.delete(box)) return;
  const { data, layout } = DATA.charts[box.dataset.chart];
  draw(box, data, layout);
}
addEventListener("beforeprint", () => { for (const box of [...later]) drawChart(box); });
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) drawChart(entry.target);
}, { rootMargin: "600px" });
for (const box of later) near.observe(box);
