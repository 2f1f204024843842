// The list of models: what is typed and chosen says which are shown, in the table and the charts.
// It is kept behind the address's "#", so that a link to this page shows the same.
const body = document.getElementById("zoo").tBodies[0], count = document.getElementById("count");
const boxes = ["search", "dataset", "arch"].map(id => document.getElementById(id));
const [search, dataset, arch] = boxes;
function filter() {
  const wanted = search.value.trim().toLowerCase();
  const shown = new Set();
  for (const row of body.rows) {
    row.hidden = !(row.textContent.toLowerCase().includes(wanted)
      && (!dataset.value || row.dataset.set === dataset.value)
      && (!arch.value || row.dataset.arch === arch.value));
    if (!row.hidden) shown.add(row.dataset.name);
  }
  for (const point of document.querySelectorAll("svg [data-name]"))
    point.style.display = shown.has(point.dataset.name) ? "" : "none";
  for (const chart of document.querySelectorAll("figure.chart"))
    chart.hidden = ![...chart.querySelectorAll("[data-name]")].some(p => shown.has(p.dataset.name));
  count.textContent = shown.size + (shown.size === 1 ? " model" : " models");
}
function read() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const box of boxes) {
    box.value = kept.get(box.id) ?? "";
    if (box.selectedIndex === -1) box.value = "";
  }
  filter();
}
function keep() {
  const chosen = boxes.filter(box => box.value.trim()).map(box => [box.id, box.value.trim()]);
  history.replaceState(null, "", "#" + new URLSearchParams(chosen));
  filter();
}
for (const box of boxes)
  for (const event of ["input", "change"]) box.addEventListener(event, keep);
addEventListener("hashchange", read);
read();
