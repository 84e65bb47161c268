"""The look of the report: light and dark, on a screen, on paper and on a telephone."""

CSS = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f6f7f9; --line: #d9dde3; --text: #1c2128; --quiet: #5b6470;
  --ok: #1a7f37; --bad: #c0231c; --warn: #8a5a00; --pause: #8b95a3;
  --drain: #d99000; --stop: #c8553d; --install: #2f6fb7; --start: #3ba3d0; --verify: #1f9d76;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --panel: #1c2027; --line: #343b46; --text: #e4e8ee; --quiet: #9aa5b3;
    --ok: #4ec46f; --bad: #ff7b72; --warn: #e3b341; --pause: #7d8795;
    --drain: #e6a92e; --stop: #e07b62; --install: #5c9ae0; --start: #62c3ec; --verify: #3fc79b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 34px 0 10px; }
h3 { font-size: 15px; margin: 20px 0 6px; overflow-wrap: anywhere; }
p { margin: 4px 0; overflow-wrap: anywhere; }
code, pre, td.at { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code, pre, td.at { font-size: 13px; }
.quiet, th, dt { color: var(--quiet); }
.ok { color: var(--ok); } .bad { color: var(--bad); } .warn, .working { color: var(--warn); }
.result { font-weight: 600; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.out { border-left: 4px solid var(--bad); margin: 10px 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 14px 0 0; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 500; font-size: 13px; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; min-width: 6em; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.at, td.mark, td.step { white-space: nowrap; }
td.number { min-width: 0; }
td.at, td.mark, td.step, td.took { width: 1px; min-width: 0; }
tr.sum td { font-weight: 600; }
pre { margin: 2px 0 10px 18px; white-space: pre-wrap; overflow-wrap: anywhere; color: var(--quiet); }
.sent { overflow-wrap: anywhere; margin: 0; }
summary { cursor: pointer; font-size: 17px; font-weight: 600; margin: 34px 0 10px; }
ul { margin: 4px 0; padding-left: 20px; }
li { overflow-wrap: anywhere; }
svg { display: block; width: 100%; min-width: 620px; height: auto; }
svg text { fill: var(--text); font-size: 12px; font-family: inherit; }
svg .tick { fill: var(--quiet); font-size: 11px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .paused { fill: var(--pause); opacity: .22; }
svg .idle { opacity: .45; }
svg .failed { stroke: var(--bad); stroke-width: 2.5; fill: none; }
svg .asked { fill: var(--warn); stroke: var(--ground); stroke-width: 1; }
.drain { fill: var(--drain); } .stop { fill: var(--stop); } .install { fill: var(--install); }
.start { fill: var(--start); } .verify { fill: var(--verify); } .other { fill: var(--pause); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 8px 0 0; padding: 0; list-style: none; }
.legend svg { display: inline-block; width: 14px; min-width: 0; height: 14px; vertical-align: -2px; }
@media (max-width: 600px) { main { padding: 16px 12px 40px; } }
@media print { main { max-width: none; padding: 0; } .panel, tr { break-inside: avoid; } }
"""
