// The style sheet of the page of an explanation.

extension HTMLTemplate {
  /// Colours for light and dark; one column, or two where there is room.
  static let style = #"""
    :root { color-scheme: light dark; --back: #fbfaf7; --ink: #1c1b19; --soft: #6b675f; --line: #d9d5cc; --card: #ffffff;
      --plus: #0b6bcb; --minus: #c2410c; --lit: #b7791f; --focus: #7c3aed; }
    @media (prefers-color-scheme: dark) { :root { --back: #16171a; --ink: #ecebe7; --soft: #a3a099; --line: #3a3b40;
      --card: #1f2024; --plus: #6cb2ff; --minus: #ff9466; --lit: #f2c14e; --focus: #b794ff; } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
    header, main { max-width: 1320px; margin: 0 auto; padding: 16px; }
    h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
    h2 { font-size: 1.05rem; margin: 0 0 8px; }
    p { margin: 0 0 8px; color: var(--soft); }
    main { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr); padding-top: 0; }
    @media (min-width: 1000px) { main { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); } #controls { grid-column: 1 / -1; } }
    section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px; min-width: 0; }
    #controls { display: flex; flex-wrap: wrap; gap: 12px 20px; align-items: center; }
    #controls label { display: flex; gap: 8px; align-items: center; min-width: 0; }
    input[type=range] { width: min(320px, 50vw); min-width: 80px; }
    button, select { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--line); border-radius: 8px;
      padding: 6px 14px; min-height: 40px; max-width: 100%; }
    output { font-variant-numeric: tabular-nums; }
    svg { display: block; width: 100%; height: auto; }
    .edge { stroke-linecap: round; fill: none; }
    .plus { stroke: var(--plus); } .minus { stroke: var(--minus); }
    .target { stroke: transparent; stroke-width: 14; fill: none; cursor: pointer; }
    .node circle { fill: var(--card); stroke: var(--ink); stroke-width: 1.5; cursor: pointer; }
    text { fill: var(--ink); text-anchor: middle; font: 12px ui-monospace, monospace; pointer-events: none; }
    .caption { font: 12px system-ui, sans-serif; fill: var(--soft); }
    .lit circle { stroke: var(--lit); stroke-width: 4; }
    .lit .edge { stroke: var(--lit); }
    .chosen circle { fill: var(--lit); fill-opacity: .25; }
    [tabindex]:focus { outline: none; }
    [tabindex]:focus-visible circle, [tabindex]:focus-visible .edge { stroke: var(--focus); stroke-width: 5; }
    #lines { font: 14px/1.6 ui-monospace, monospace; padding: 0; margin: 0; list-style: none; }
    #lines li { padding: 2px 0 2px 1.5em; text-indent: -1.5em; overflow-wrap: anywhere; }
    #lines li.head { font: 600 14px/1.6 system-ui, sans-serif; color: var(--soft); text-indent: 0; padding-left: 0; }
    #matrices { grid-column: 1 / -1; }
    #matrices[hidden], #network[hidden] { display: none; }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; font: 13px ui-monospace, monospace; margin: 4px 0 12px; }
    caption { text-align: left; font: 600 13px system-ui, sans-serif; }
    td { border: 1px solid var(--line); padding: 2px 8px; text-align: right; }
    @media print { #controls { display: none; } body { background: #fff; color: #000; } section { break-inside: avoid; }
      #matrices[hidden] { display: block; } }
    """#

  /// The SHA-256 of what stands in its element, for the content security policy; Tests/interop/test_explain.py computes it.
  static let styleHash = "iUMJ0cIwb4f83/DJ7UpWk0yFN/vVVEb5OsQjUZYuJL4="
}
