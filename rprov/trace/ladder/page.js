(function () {
  "use strict";
  var which = document.getElementById("which"), all = document.getElementById("all");
  var charts = Array.prototype.slice.call(document.querySelectorAll(".chart"));
  function shown() {
    return charts.filter(function (chart) { return !chart.hidden; });
  }
  function show() {
    charts.forEach(function (chart, place) { chart.hidden = String(place) !== which.value; });
  }
  if (which) {
    which.parentNode.hidden = false;
    which.addEventListener("change", show);
    show();
  }
  all.hidden = false;
  all.addEventListener("click", function () {
    var open = all.getAttribute("aria-pressed") !== "true";
    all.setAttribute("aria-pressed", String(open));
    all.textContent = open ? "Close all messages" : "Open all messages";
    shown().forEach(function (chart) {
      chart.querySelectorAll("details").forEach(function (item) { item.open = open; });
    });
  });
})();
