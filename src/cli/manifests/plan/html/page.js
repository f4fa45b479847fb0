"use strict";
const box = document.querySelector(".search");
const input = document.getElementById("search");
const found = document.getElementById("found");
const entries = [...document.querySelectorAll(".found-by")];
const parts = [...document.querySelectorAll(".part")];
const quiet = document.querySelector("details.quiet");
const marks = window.CSS?.highlights && window.Highlight ? new Highlight() : null;
if (marks) CSS.highlights.set("found", marks);
let texts;

function mark(entry, query) {
  const walker = document.createTreeWalker(entry, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const at = node.data.toLowerCase().indexOf(query);
    if (at < 0) continue;
    const folded = node.parentElement.closest("details:not([open])");
    if (folded && !node.parentElement.closest("summary")) folded.open = true;
    if (!marks) continue;
    const range = new Range();
    range.setStart(node, at);
    range.setEnd(node, Math.min(at + query.length, node.length));
    marks.add(range);
  }
}

function search() {
  const query = input.value.trim().toLowerCase();
  texts ??= entries.map((entry) => entry.textContent.toLowerCase());
  marks?.clear();
  const matches = entries.filter((entry, index) => {
    entry.hidden = !texts[index].includes(query);
    return !entry.hidden;
  });
  for (const part of parts) part.hidden = !part.querySelector(".found-by:not([hidden])");
  if (query && quiet) quiet.open = true;
  // More than one can look through is only filtered.
  if (query && matches.length <= 30) matches.forEach((entry) => mark(entry, query));
  const all = entries.length.toLocaleString("en");
  found.textContent = query ? `${matches.length.toLocaleString("en")} of ${all} resources` : `${all} resources`;
}

let pending;
input.addEventListener("input", () => {
  clearTimeout(pending);
  pending = setTimeout(search, 80);
});
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    input.focus();
  }
  if (event.key === "Escape" && event.target === input) {
    input.value = "";
    search();
  }
});
if (entries.length > 1) box.hidden = false;
