// Before the page is drawn, so that it does not flash in the other colours: no module, which would run later.
try {
  document.documentElement.dataset.theme = localStorage.getItem("kani.theme") ?? "";
} catch (error) {
  if (!(error instanceof DOMException)) throw error;
}
