// Tables: their look, and what stands in their cells.
"use strict";
window.dash_clientside = window.dash_clientside || {};
(function () {
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

  // "2024-05-06.2", which sorts by time, as "Mon 6 May 2024 (2)".
  const days = "Sun Mon Tue Wed Thu Fri Sat".split(" ");
  grids.njSession = (text) => {
    if (!text) return "";
    const [day, number] = text.split(".");
    return `${days[new Date(day).getUTCDay()]} ${grids.njDate(day)}${number > 1 ? ` (${number})` : ""}`;
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
  cells.Links = (props) =>
    make("span", { className: "nj-chips" }, (props.value || []).map(({ text, href }) => make("a", { href, key: href }, text)));
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
})();
