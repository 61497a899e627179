/// The page of an explanation. It loads nothing: its policy allows its own style and script alone, by their hashes.
enum HTMLTemplate {
  /// - Parameters:
  ///   - title: Escaped for HTML.
  ///   - json: The data, as it may stand in a script element.
  static func page(title: String, json: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-\(styleHash)'; \
    script-src 'sha256-\(scriptHash)'; base-uri 'none'; form-action 'none'">
    <title>\(title)</title>
    <style>
    \(style)
    </style>
    </head>
    <body>
    <header>
    <h1 id="title"></h1>
    <p id="about"></p>
    </header>
    <main>
    <section id="controls" aria-label="Controls">
    <label>Step <input type="range" id="step" min="0" value="0"> <output id="number" for="step"></output></label>
    <span>L = <output id="loss"></output></span>
    <button type="button" id="play">Play</button>
    <span id="phase" role="status"></span>
    <label>Connections by <select id="colour"><option value="weight">w</option><option value="gradient">∂L/∂w</option></select></label>
    <label>View <select id="view"><option value="network">network</option><option value="matrices">matrices</option></select></label>
    </section>
    <section id="network" aria-label="The network">
    <svg id="drawing" role="group" aria-label="Neurons and connections"></svg>
    <p id="row"></p>
    </section>
    <section aria-label="Formulas">
    <h2 id="what" aria-live="polite"></h2>
    <ul id="lines"></ul>
    </section>
    <section id="matrices" aria-label="Matrices" hidden>
    <div id="tables"></div>
    </section>
    </main>
    <noscript><p>This page needs its script, which it has in itself.</p></noscript>
    <script type="application/json" id="data">\(json)</script>
    <script>
    \(script)
    </script>
    </body>
    </html>

    """
  }
}
