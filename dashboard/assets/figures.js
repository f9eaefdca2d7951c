// Figures: drawn in the colours of the scheme, with labels where there is room, zoomed together, exported.
"use strict";
window.dash_clientside = window.dash_clientside || {};
(function () {
  const none = () => window.dash_clientside.no_update;
  let templates = null;
  function draw(figure, scheme, given) {
    if (!figure || !given) return none();
    templates = given;
    const name = document.documentElement.dataset.mantineColorScheme || scheme;
    const layout = { ...figure.layout, template: name === "dark" ? given.dark : given.light };
    const { axis } = window.dash_clientside.callback_context.outputs_list.id;
    if (layout.xaxis && layout.xaxis.range) whole[axis] = [...layout.xaxis.range];
    if (banded[axis]) layout.shapes = with_bands(layout.shapes, axis);
    label(layout);
    if (window.innerWidth < 600) narrow(figure.data, layout);
    return { data: figure.data.map((trace) => ({ ...trace })), layout };
  }

  // The names of marked days stand above the plot, in as many rows as they need, and the legend above them.
  function label(layout) {
    const notes = (layout.annotations || []).filter((note) => note.name === "mark");
    const range = (layout.xaxis || {}).range;
    if (!notes.length || !range || notes.some((note) => note.yref !== "paper" || note.y !== 1)) return;
    const when = (day) => new Date(String(day).slice(0, 10)).getTime();
    const inside = window.innerWidth - (window.innerWidth < 768 ? 130 : 390); // px, of the plot
    const scale = inside / Math.max(when(range[1]) - when(range[0]), 86400000);
    const ends = [];
    const placed = new Map();
    for (const note of [...notes].sort((a, b) => when(a.x) - when(b.x))) {
      const x = when(note.x) * scale;
      let row = ends.findIndex((end) => x > end);
      if (row < 0) row = ends.length;
      ends[row] = x + 6.2 * note.text.length + 6;
      placed.set(note, { ...note, yanchor: "bottom", xanchor: "left", xshift: -2, yshift: 12 * row });
    }
    layout.annotations = layout.annotations.map((note) => placed.get(note) || note);
    const rise = 12 * ends.length + 4;
    const margin = layout.margin || {};
    layout._rise = rise;
    layout.margin = { ...margin, t: (margin.t || 34) + rise };
    layout.height = (layout.height || 320) + rise;
    const plot = layout.height - layout.margin.t - (margin.b || 42);
    layout.legend = { ...layout.legend, y: 1 + (rise + 4) / plot, yanchor: "bottom" };
  }

  // On a phone: less room at the sides, and a long legend below the plot.
  function narrow(data, layout) {
    layout.margin = { ...layout.margin, l: 46, r: (layout.margin || {}).r > 40 ? 46 : 12 };
    const entries = data.filter((trace) => trace.name && trace.showlegend !== false && trace.type !== "heatmap").length;
    if (entries > 2 && layout.showlegend !== false) {
      const height = 18 * Math.ceil(entries / 2) + 8;
      const top = layout.margin.t || 34;
      layout.margin.t = 12 + (layout._rise || 0);
      layout.margin.b = (layout.margin.b || 52) + 14 + height;
      layout.height = (layout.height || 320) + height + 14 - (top - layout.margin.t);
      const plot = layout.height - layout.margin.t - layout.margin.b;
      const legend = { orientation: "h", x: -0.1, yanchor: "top", font: { size: 10 }, tracegroupgap: 0 };
      layout.legend = { ...legend, y: -(layout.margin.b - height) / plot, entrywidth: 0.5, entrywidthmode: "fraction" };
    }
  }

  const whole = {}; // of each shared axis the range in which all is seen

  // Days as bands behind what is drawn over an axis of dates.
  const banded = {};
  const others = (shapes) => (shapes || []).filter((shape) => shape.name !== "chosen day");
  function with_bands(shapes, axis) {
    const noon = (day, hours) => new Date(new Date(`${day}T00:00Z`).getTime() + hours * 3600000).toISOString().slice(0, 16);
    const bands = (banded[axis] || []).map((day) => ({
      type: "rect", name: "chosen day", x0: noon(day, -12), x1: noon(day, 12), y0: 0, y1: 1, yref: "paper", layer: "below",
      line: { width: 0 }, fillcolor: "rgba(16, 152, 173, 0.18)",
    }));
    return [...others(shapes), ...bands];
  }

  async function band_days(axis, days) {
    banded[axis] = days;
    const isDrawn = ({ plot }) => plot._fullLayout.xaxis.type === "date"; // before that an empty plot stands there
    const all = () => plots().filter(({ id }) => id.axis === axis);
    const cards = document.querySelectorAll(".nj-figure");
    for (let i = 0; i < 100 && !(plots().length === cards.length && all().every(isDrawn)); i++) {
      await new Promise((done) => setTimeout(done, 50));
      if (banded[axis] !== days) return; // chosen anew meanwhile
    }
    for (const { plot } of all().filter(isDrawn)) {
      window.Plotly.relayout(plot, { shapes: with_bands(plot.layout.shapes, axis) });
    }
  }

  let sharing = false;
  function share_axis(changes) {
    if (sharing || !window.Plotly) return none();
    const triggered = window.dash_clientside.callback_context.triggered[0];
    if (!triggered || !triggered.value) return none();
    const change = triggered.value;
    const id = JSON.parse(triggered.prop_id.replace(/\.relayoutData$/, ""));
    if (!id.axis) return none();
    const update = {};
    for (const [name, value] of Object.entries(change)) {
      const found = name.match(/^xaxis\d*\.(range\[[01]\]|range|autorange)$/);
      if (found) update[found[1]] = value;
    }
    if (!Object.keys(update).length) return none();
    sharing = true;
    const waiting = [];
    for (const { plot, id: its } of plots()) {
      if (its.axis !== id.axis || its.name === id.name) continue;
      const wanted = {};
      for (const axis of Object.keys(plot._fullLayout).filter((name) => /^xaxis\d*$/.test(name))) {
        for (const [part, value] of Object.entries(update)) wanted[`${axis}.${part}`] = value;
      }
      waiting.push(window.Plotly.relayout(plot, wanted));
    }
    Promise.allSettled(waiting).then(() => { sharing = false; });
    return none();
  }

  // All figures of an axis show the last days only, or all of them (0).
  function zoom(days, axis) {
    for (const { plot, id } of plots()) {
      if (id.axis !== axis) continue;
      const all = whole[axis];
      const end = new Date(all[1].replace("T", " ") + (all[1].length < 17 ? ":00" : ""));
      const start = new Date(end - days * 86400000);
      const iso = (moment) => new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
      sharing = true;
      window.Plotly.relayout(plot, { "xaxis.range": days ? [iso(start), all[1]] : [...all] }).then(() => { sharing = false; });
    }
  }

  // Every figure of the page that is drawn, with the id of its graph.
  function plots() {
    const found = [];
    for (const card of document.querySelectorAll(".nj-figure")) {
      const plot = card.querySelector(".js-plotly-plot");
      const own = card.querySelector('[id*="\\"type\\":\\"figure\\""]');
      if (plot && own && plot._fullLayout) found.push({ plot, id: JSON.parse(own.id) });
    }
    return found;
  }

  function save(text, name, kind) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  const quoted = (value) => {
    if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
    const text = String(value);
    return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };

  // What is drawn, one line for each point: the trace's name, its axes' titles, x, y, z, ends of error bars, text.
  function table(plot) {
    const rows = [["trace", "x", "y", "z", "error_minus", "error_plus", "text"]];
    const titles = (axis) => ((plot._fullLayout[axis] || {}).title || {}).text || "";
    for (const trace of plot._fullData) {
      if (trace.visible !== true) continue;
      const ends = trace.error_y && trace.error_y.visible ? trace.error_y : {};
      const plus = ends.array || [], minus = ends.symmetric === false ? ends.arrayminus || [] : plus;
      const x = trace.x || [], y = trace.y || [], text = trace.text || [], name = trace.name || "";
      if (trace.z) {
        for (let row = 0; row < trace.z.length; row++) {
          for (let column = 0; column < trace.z[row].length; column++) {
            const value = trace.z[row][column];
            if (value !== null && !Number.isNaN(value)) rows.push([name, x[column], y[row], value, "", "", ""]);
          }
        }
      } else {
        for (let i = 0; i < Math.max(x.length, y.length); i++) {
          if (x[i] === null && y[i] === null) continue; // an entry of the legend
          const words = Array.isArray(text) ? text[i] : text;
          rows.push([name, x[i], y[i], "", minus[i], plus[i], words]);
        }
      }
    }
    const axes = Object.keys(plot._fullLayout).filter((name) => /^[xy]axis\d*$/.test(name) && titles(name));
    const heads = axes.map((name) => `# ${name}: ${titles(name).replace(/<[^>]*>/g, " ")}`);
    return heads.concat(rows.map((row) => row.map(quoted).join(","))).join("\n") + "\n";
  }

  function exported(button) {
    const card = button.closest(".nj-figure");
    const plot = card.querySelector(".js-plotly-plot");
    if (!plot || !plot._fullLayout) return;
    const form = button.dataset.export;
    const page = document.title.replace(/ · neurojoint$/, "").replace(/[^\w.-]+/g, "_");
    const name = `${page}_${card.dataset.figure}`;
    if (form === "csv") return save(table(plot), `${name}.csv`, "text/csv");
    const shapes = others(plot.layout.shapes);
    const layout = { ...plot.layout, shapes, template: templates.light, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" };
    const { width, height } = plot._fullLayout;
    window.Plotly.downloadImage(
      { data: plot.data, layout },
      { format: form, width: Math.max(width, 600), height, scale: form === "png" ? 2 : 1, filename: name },
    );
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-export]");
    if (button) return exported(button);
    const period = event.target.closest("[data-period]");
    if (period) zoom(Number(period.dataset.period), period.dataset.axis);
  });

  const shared = (window.dash_clientside.neurojoint = window.dash_clientside.neurojoint || {});
  Object.assign(shared, { draw, share_axis, band_days });
})();
