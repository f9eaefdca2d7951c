// What the browser does by itself: figures in the colours of the scheme, exports, keys, links without reloading.
"use strict";
window.dash_clientside = window.dash_clientside || {};
(function () {
  const none = () => window.dash_clientside.no_update;
  let templates = null;

  // ---- figures -------------------------------------------------------------------------------------------------
  function draw(figure, scheme, given) {
    if (!figure || !given) return none();
    templates = given;
    const name = document.documentElement.dataset.mantineColorScheme || scheme;
    const layout = { ...figure.layout, template: name === "dark" ? given.dark : given.light };
    if (window.innerWidth < 600) narrow(figure.data, layout);
    return { data: figure.data.map((trace) => ({ ...trace })), layout };
  }

  // On a phone: less room at the sides, and a long legend below the plot.
  function narrow(data, layout) {
    layout.margin = { ...layout.margin, l: 46, r: (layout.margin || {}).r > 40 ? 46 : 12 };
    const entries = data.filter((trace) => trace.name && trace.showlegend !== false && trace.type !== "heatmap").length;
    if (entries > 2 && layout.showlegend !== false) {
      const height = 18 * Math.ceil(entries / 2) + 8;
      layout.margin.t = 12;
      layout.margin.b = (layout.margin.b || 52) + 8 + height;
      layout.height = (layout.height || 320) + height;
      const plot = layout.height - layout.margin.t - layout.margin.b;
      const below = (layout.margin.b - height) / plot;
      layout.legend = { orientation: "h", x: -0.1, y: -below, yanchor: "top", font: { size: 10 }, entrywidth: 122, tracegroupgap: 0 };
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
      const own = plot.layout.xaxis || {};
      const all = (own._all = own._all || (own.range || []).slice());
      const end = new Date(all[1].replace("T", " ") + (all[1].length < 17 ? ":00" : ""));
      const start = new Date(end - days * 86400000);
      const iso = (moment) => new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
      sharing = true;
      window.Plotly.relayout(plot, { "xaxis.range": days ? [iso(start), all[1]] : all }).then(() => { sharing = false; });
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
    const layout = { ...plot.layout, template: templates.light, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" };
    const { width, height } = plot._fullLayout;
    window.Plotly.downloadImage(
      { data: plot.data, layout },
      { format: form, width: Math.max(width, 600), height, scale: form === "png" ? 2 : 1, filename: name },
    );
  }

  // ---- links and keys ------------------------------------------------------------------------------------------
  function go(href) {
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-export]");
    if (button) return exported(button);
    const period = event.target.closest("[data-period]");
    if (period) return zoom(Number(period.dataset.period), period.dataset.axis);
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(window.location.href).then(() => {
        copy.classList.add("nj-done");
        setTimeout(() => copy.classList.remove("nj-done"), 1200);
      });
      return;
    }
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const to = new URL(link.href, window.location.href);
    if (to.origin !== window.location.origin || !to.pathname.startsWith("/app/")) return;
    if (link.target || link.hasAttribute("download") || link.dataset.leave || to.pathname.startsWith("/app/sign")) return;
    event.preventDefault();
    go(to.pathname + to.search + to.hash);
  });

  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.closest("input, textarea, select, [contenteditable=true], .ag-root-wrapper, [role=listbox], [role=menu]")) return;
    if (event.key.startsWith("Arrow") && at.closest("[role=tablist], [role=slider]")) return;
    for (const link of document.querySelectorAll("[data-keys]")) {
      if (link.dataset.keys.split(" ").includes(event.key)) {
        event.preventDefault();
        link.click();
        return;
      }
    }
  });

  // ---- signing in again, where the session has ended ------------------------------------------------------------
  const plain = window.fetch;
  window.fetch = async function (...given) {
    const answer = await plain.apply(this, given);
    if (answer.status === 401 && answer.url.includes("/app/_")) {
      const here = window.location.pathname + window.location.search;
      window.location.assign(`/app/sign-in?next=${encodeURIComponent(here)}`);
    }
    return answer;
  };

  // ---- new data ------------------------------------------------------------------------------------------------
  async function ask_version(_, known) {
    if (document.hidden) return none();
    try {
      const answer = await window.fetch("/app/_version", { cache: "no-store" });
      if (!answer.ok) return none();
      const version = await answer.text();
      return version && version !== known ? version : none();
    } catch (error) {
      return none(); // the server is away for a moment
    }
  }

  function name_window(title) {
    document.title = title ? `${title} · neurojoint` : "neurojoint";
    return none();
  }

  function remember_days(chosen) {
    const found = new URLSearchParams(window.location.search);
    if (chosen && chosen.length) found.set("days", chosen.join(","));
    else found.delete("days");
    const text = found.toString().replace(/%2C/g, ",");
    window.history.replaceState(window.history.state, "", window.location.pathname + (text ? `?${text}` : ""));
    return none();
  }

  new MutationObserver(() => {
    const scheme = document.documentElement.dataset.mantineColorScheme;
    if (window.dash_clientside.set_props && scheme) window.dash_clientside.set_props("scheme-seen", { data: scheme });
  }).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  let lastPath = "";
  function open_menu(opened, path, navbar) {
    const moved = path !== lastPath;
    lastPath = path;
    return { ...navbar, collapsed: { mobile: moved ? true : !opened } };
  }

  // ---- tables --------------------------------------------------------------------------------------------------
  const grids = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  let look = null;
  grids.njTheme = (quartz) => {
    look = look || quartz.withParams({
      backgroundColor: "var(--nj-surface)",
      foregroundColor: "var(--nj-ink)",
      headerBackgroundColor: "var(--nj-surface-2)",
      headerTextColor: "var(--nj-ink-2)",
      borderColor: "var(--nj-line)",
      rowHoverColor: "var(--nj-hover)",
      oddRowBackgroundColor: "var(--nj-surface)",
      accentColor: "var(--nj-accent)",
      fontFamily: "inherit",
      fontSize: 13,
      headerFontSize: 12,
      headerFontWeight: 600,
      spacing: 5,
      wrapperBorderRadius: 6,
      browserColorScheme: "inherit",
    });
    return look;
  };

  const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  grids.njDate = (text) => {
    if (!text) return "";
    const [year, month, day] = text.slice(0, 10).split("-");
    return `${Number(day)} ${months[month - 1]} ${year}`;
  };

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const make = (...given) => window.React.createElement(...given);
  const chip = ({ text, colour, title, key }) => {
    const named = colour && !colour.startsWith("#");
    const style = colour && !named ? { "--nj-chip": colour } : undefined;
    return make("span", { key, className: `nj-chip nj-${named ? colour : "gray"}`, style, title }, text);
  };
  cells.Link = (props) => {
    const href = props.data && props.data[`${props.colDef.field}_href`];
    if (props.value === null || props.value === undefined) return "";
    const text = props.valueFormatted ?? props.value;
    return href ? make("a", { href }, text) : text;
  };
  cells.Chip = (props) => {
    if (!props.value) return "";
    const look = ((props.colDef.cellRendererParams || {}).looks || {})[props.value] || { text: props.value };
    return chip(look);
  };
  cells.Chips = (props) =>
    make("span", { className: "nj-chips" }, (props.value || []).map((one, i) => chip({ ...one, key: i })));
  // A list of fractions 0-1 as a line, with a dot at the last; the thin line is one half (chance);
  // the axis begins at 0.4, or lower where a value does.
  cells.Sparkline = (props) => {
    const values = props.value || [];
    const width = 96, height = 22, edge = 3;
    const known = values.map((value, i) => [i, value]).filter((pair) => pair[1] !== null && pair[1] !== undefined);
    if (!known.length) return "";
    const x = (i) => edge + (values.length > 1 ? (i / (values.length - 1)) * (width - 2 * edge) : width - 2 * edge);
    const low = Math.min(0.4, ...known.map((pair) => pair[1]));
    const y = (value) => height - edge - ((value - low) / (1 - low)) * (height - 2 * edge);
    const path = known.map((pair, i) => `${i ? "L" : "M"}${x(pair[0]).toFixed(1)} ${y(pair[1]).toFixed(1)}`).join("");
    const last = known[known.length - 1];
    return make("svg", { width, height, className: "nj-spark", role: "img", "aria-label": `last ${Math.round(100 * last[1])} %` },
      make("path", { className: "nj-spark-chance", d: `M${edge} ${y(0.5)}H${width - edge}` }),
      make("path", { d: path }),
      make("circle", { cx: x(last[0]), cy: y(last[1]), r: 2.2 }));
  };

  window.dash_clientside.neurojoint = { draw, share_axis, ask_version, name_window, open_menu, remember_days };
})();
