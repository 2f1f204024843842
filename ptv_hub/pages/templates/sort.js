// Tables of class "sortable": a click on a head sorts by its column, another turns the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = table.tHead.rows[0].cells;
  for (const head of heads) head.querySelector("button").addEventListener("click", () => {
    const column = head.cellIndex, figures = head.classList.contains("figure");
    const before = head.getAttribute("aria-sort");
    const falling = before ? before === "ascending" : figures;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) =>
      figures ? value(a) - value(b) : value(a).localeCompare(value(b), "en", { numeric: true });
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => falling ? order(b, a) : order(a, b));
    table.tBodies[0].append(...rows);
  });
}
