"use strict";

function sortValue(row, column) {
  const value = row.cells[column].dataset.value;
  return value === undefined || value === "" || Number.isNaN(Number(value)) ? value : Number(value);
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

// what has no value stays at the end in either direction
function sortBy(header) {
  const table = header.closest("table");
  const body = table.tBodies[0];
  const current = header.getAttribute("aria-sort");
  const first = header.dataset.sort === "up" ? "ascending" : "descending";
  const second = first === "ascending" ? "descending" : "ascending";
  const order = current === first ? second : first;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [sortValue(row, header.cellIndex), row]);
  rows.sort(([a], [b]) => (a === undefined) - (b === undefined) || (a === undefined ? 0 : sign * compare(a, b)));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  body.append(...rows.map(([, row]) => row));
}

for (const header of document.querySelectorAll("th[data-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  button.addEventListener("click", () => sortBy(header));
  header.append(button);
}

const tip = document.getElementById("tip");

function showTip(point) {
  tip.textContent = point.dataset.tip;
  tip.hidden = false;
  const mark = point.querySelector(".ring").getBoundingClientRect();
  const width = document.documentElement.clientWidth;
  const left = Math.min(Math.max(8, mark.left + mark.width / 2 - tip.offsetWidth / 2), width - tip.offsetWidth - 8);
  const above = mark.top - tip.offsetHeight - 6;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${(above > 0 ? above : mark.bottom + 6) + window.scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}

for (const point of document.querySelectorAll("[data-tip]")) {
  point.addEventListener("pointerenter", () => showTip(point));
  point.addEventListener("pointerleave", hideTip);
  point.addEventListener("focus", () => showTip(point));
  point.addEventListener("blur", hideTip);
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});
