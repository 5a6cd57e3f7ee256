"use strict";
// Everything here is a convenience: the page is complete without it.
(function () {
  var box = document.getElementById("case-filter");
  var field = document.getElementById("case-filter-text");
  var shown = document.getElementById("case-filter-count");
  var rows = Array.prototype.slice.call(document.querySelectorAll("#case-table tbody tr"));
  if (box && field && shown && rows.length > 8) {
    box.hidden = false;
    var apply = function () {
      var words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      var left = 0;
      rows.forEach(function (row) {
        var text = row.textContent.toLowerCase();
        var keep = words.every(function (word) { return text.indexOf(word) !== -1; });
        row.hidden = !keep;
        left += keep ? 1 : 0;
      });
      shown.textContent = left + " of " + rows.length + " shown";
    };
    field.addEventListener("input", apply);
    apply();
  }
  // paper cannot be clicked: tables under plots and messages open for the printer, and close again
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.prototype.slice.call(document.querySelectorAll("details.print:not([open])"));
    opened.forEach(function (item) { item.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (item) { item.open = false; });
  });
})();
