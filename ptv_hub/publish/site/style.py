"""CSS and JavaScript of the pages; they stand inside each of them."""

STYLE = """
.filters { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: 1rem 0; }
.filters input, .filters select { font: inherit; color: inherit; background: var(--sheet);
  border: 1px solid var(--line); border-radius: .4rem; padding: .45rem .6rem; min-width: 0; }
.filters input { flex: 1 1 12rem; }
.filters output { color: var(--faint); }
main { max-width: 1240px; }
#zoo { width: 100%; }
#zoo td { white-space: nowrap; }
#zoo th { position: sticky; top: 0; background: var(--paper); padding: 0; }
#zoo th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: .45rem .5rem; width: 100%; text-align: inherit; cursor: pointer; white-space: nowrap; }
#zoo th[aria-sort] button { color: var(--text); }
#zoo th[aria-sort="ascending"] button::after { content: " \\2191"; }
#zoo th[aria-sort="descending"] button::after { content: " \\2193"; }
#zoo td { padding: .4rem .5rem; }
#zoo tbody tr:hover { background: var(--sheet); }
.chart { max-width: 860px; }
.chart a { text-decoration: none; }
.chart a:hover text, .chart a:focus text { text-decoration: underline; }
.long, p, li { overflow-wrap: anywhere; }
.code { position: relative; margin: .6rem 0; }
.code pre { margin: 0; padding: .8rem 4.5rem .8rem 1rem; background: var(--sheet);
  border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto; }
.code .copy { position: absolute; top: .4rem; right: .4rem; font: inherit; font-size: .8rem;
  color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: .3rem;
  padding: .2rem .6rem; cursor: pointer; }
details ol { columns: 14rem; }
@media (max-width: 640px) {
  main { padding: 1rem .75rem 2rem; }
  #zoo .extra { display: none; }
  #zoo td, #zoo th button { padding: .5rem .25rem; font-size: .86rem; }
  #zoo td:first-child { white-space: normal; overflow-wrap: break-word; }
  .chart { overflow-x: auto; }
  .chart svg { min-width: 560px; }
}
"""

LIST_SCRIPT = """
const table = document.getElementById("zoo"), body = table.tBodies[0];
const search = document.getElementById("search"), count = document.getElementById("count");
const chosen = { set: document.getElementById("dataset"), arch: document.getElementById("arch") };
function filter() {
  const wanted = search.value.trim().toLowerCase();
  const shown = new Set();
  for (const row of body.rows) {
    row.hidden = !(row.textContent.toLowerCase().includes(wanted)
      && Object.entries(chosen).every(([k, box]) => !box.value || row.dataset[k] === box.value));
    if (!row.hidden) shown.add(row.dataset.name);
  }
  for (const point of document.querySelectorAll("svg [data-name]"))
    point.style.display = shown.has(point.dataset.name) ? "" : "none";
  for (const chart of document.querySelectorAll(".chart"))
    chart.hidden = ![...chart.querySelectorAll("[data-name]")].some(p => shown.has(p.dataset.name));
  count.textContent = shown.size + (shown.size === 1 ? " model" : " models");
}
function sort(head) {
  const column = head.cellIndex, figures = head.classList.contains("figure");
  const before = head.getAttribute("aria-sort");
  const falling = before ? before === "ascending" : figures;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const value = row => row.cells[column].dataset.value;
  const order = (a, b) => figures ? value(a) - value(b) : value(a).localeCompare(value(b));
  const rows = [...body.rows].sort((a, b) => falling ? order(b, a) : order(a, b));
  body.append(...rows);
}
for (const head of table.tHead.rows[0].cells)
  head.querySelector("button").addEventListener("click", () => sort(head));
for (const box of [search, ...Object.values(chosen)])
  for (const event of ["input", "change"]) box.addEventListener(event, filter);
filter();
"""

COPY_SCRIPT = """
for (const button of document.querySelectorAll(".copy"))
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "selected"; }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
"""
