// The script of the page of an explanation, which draws the data and nothing else.

extension HTMLTemplate {
  /// Draws the network, and says what is chosen.
  static let script = #"""
    "use strict";
    (() => {
    const data = JSON.parse(document.getElementById("data").textContent);
    const $ = (id) => document.getElementById(id);
    const svg = $("drawing");
    const shown = (v) => String(Number(v.toPrecision(3))).replace("-", "−");
    const make = (name, attributes, text) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const key in attributes) element.setAttribute(key, attributes[key]);
      if (text !== undefined) element.textContent = text;
      return element;
    };
    let step = 0, chosen = null, timer = null, phase = 0;

    // ---- Places. Column 0 has the inputs, column l the neurons of layer l.
    const columns = [{ title: "Inputs", places: data.inputs, units: data.inputCount }, ...data.layers];
    const tallest = Math.max(...columns.map((c) => c.places.length));
    const gapX = Math.max(120, 560 / Math.max(1, columns.length - 1)), gapY = 72, above = 46;
    const width = gapX * (columns.length - 1) + 80, height = above + gapY * tallest + 16;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const x = (c) => 40 + gapX * c;
    const y = (c, k) => above + 30 + gapY * (k + (tallest - columns[c].places.length) / 2);
    const now = () => data.steps[step];
    const value = (c, k) => (c === 0 ? now().x[k] : now().layers[c - 1].a[k]);
    const isDense = (c) => c > 0 && data.layers[c - 1].isDense;

    function nodeName(c, k) {
      const place = columns[c].places[k] + 1;
      return c === 0 ? `input ${place}` : `neuron ${place} of layer ${c}`;
    }

    // ---- What an element says.
    function lines(what) {
      const result = [];
      const add = (head, list) => { if (list && list.length) { result.push({ head }); list.forEach((l) => result.push({ l })); } };
      if (what.kind === "node") {
        if (what.c === 0) { result.push({ l: `x = ${now().x[what.k]}` }); return result; }
        const layer = now().layers[what.c - 1];
        add("Forward", layer.forward[what.k]);
        if (what.c === columns.length - 1) add("Loss", now().lossLines);
        for (let c = columns.length - 1; c > what.c; c--) {
          add(`From the loss: δ of layer ${c}`, now().layers[c - 1].backward.flat());
        }
        add(`δ of layer ${what.c}`, layer.backward[what.k]);
      } else {
        const layer = now().layers[what.c - 1];
        for (let c = columns.length - 1; c > what.c; c--) {
          add(`From the loss: δ of layer ${c}`, now().layers[c - 1].backward.flat());
        }
        add(`δ of layer ${what.c}`, layer.backward[what.k]);
        add("The weight: ∂L/∂w, and its update", layer.edges[what.k][what.i]);
      }
      return result;
    }

    function tell() {
      const list = $("lines");
      list.replaceChildren();
      if (!chosen) { $("what").textContent = "Choose a neuron or a connection."; return; }
      $("what").textContent = chosen.kind === "node"
        ? `${nodeName(chosen.c, chosen.k)}, step ${now().number}`
        : `Weight from ${nodeName(chosen.c - 1, chosen.i)} to ${nodeName(chosen.c, chosen.k)}, step ${now().number}`;
      for (const line of lines(chosen)) {
        const item = document.createElement("li");
        item.textContent = line.head ?? line.l;
        if (line.head) item.className = "head";
        list.append(item);
      }
    }

    // ---- The drawing.
    function draw() {
      const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
      svg.replaceChildren();
      const byGradient = $("colour").value === "gradient";
      for (let c = 1; c < columns.length; c++) {
        const matrix = isDense(c) ? (byGradient ? now().layers[c - 1].gradients : now().layers[c - 1].weights) : null;
        const most = matrix ? Math.max(1e-300, ...matrix.flat().map(Math.abs)) : 1;
        columns[c].places.forEach((place, k) => {
          columns[c - 1].places.forEach((from, i) => {
            if (!matrix && from !== place) return;
            const v = matrix ? matrix[k][i] : 1;
            const group = make("g", { class: "link" });
            const points = { x1: x(c - 1), y1: y(c - 1, i), x2: x(c), y2: y(c, k) };
            group.append(make("line", { ...points, class: "edge " + (v < 0 ? "minus" : "plus"),
              "stroke-width": (1 + 5 * Math.abs(v) / most).toFixed(2), "stroke-opacity": matrix ? 0.85 : 0.3 }));
            if (matrix) {
              group.append(make("line", { ...points, class: "target" }));
              const what = { kind: "edge", c, k, i };
              press(group, what, `w ${now().layers[c - 1].weights[k][i]}, gradient ${now().layers[c - 1].gradients[k][i]}, `
                + `from ${nodeName(c - 1, i)} to ${nodeName(c, k)}`);
              group.dataset.weight = now().layers[c - 1].weights[k][i];
              group.dataset.gradient = now().layers[c - 1].gradients[k][i];
            }
            svg.append(group);
          });
        });
      }
      columns.forEach((column, c) => {
        svg.append(make("text", { x: x(c), y: 16, class: "caption" }, c === 0 ? "inputs" : `layer ${c}`));
        const hidden = column.units - column.places.length;
        if (hidden > 0) svg.append(make("text", { x: x(c), y: 32, class: "caption" }, `… ${hidden} more`));
        column.places.forEach((place, k) => {
          const group = make("g", { class: "node" });
          group.append(make("circle", { cx: x(c), cy: y(c, k), r: 25 }));
          group.append(make("text", { x: x(c), y: y(c, k) + 4 }, shown(value(c, k))));
          group.dataset.value = value(c, k);
          if (c > 0) group.dataset.delta = now().layers[c - 1].delta[k];
          press(group, { kind: "node", c, k }, `${nodeName(c, k)}: ${c === 0 ? "x" : "a"} = ${value(c, k)}`
            + (c > 0 ? `, delta = ${now().layers[c - 1].delta[k]}` : ""));
          svg.append(group);
        });
      });
      $("number").textContent = `${now().number} of ${data.steps[data.steps.length - 1].number}`;
      $("loss").textContent = shown(now().loss);
      $("loss").dataset.value = now().loss;
      light();
      tell();
      tables();
      const again = focus && svg.querySelector(`[data-key="${focus}"]`);
      if (again) again.focus();
    }

    function press(group, what, label) {
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "button");
      group.setAttribute("aria-label", label);
      group.dataset.key = [what.kind, what.c, what.k, what.i].join("-");
      group.what = what;
      const choose = () => { chosen = what; light(); tell(); };
      for (const event of ["click", "focus", "mouseenter"]) group.addEventListener(event, choose);
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); }
      });
    }

    // Lit: what is chosen, and the path from the loss back to it; or the layer that is played.
    function light() {
      const count = columns.length - 1;
      for (const group of svg.children) {
        if (!group.what) continue;
        const w = group.what;
        let lit = false;
        if (timer !== null) {
          const c = phase <= count ? phase : 2 * count + 1 - phase;
          lit = w.c === c;
        } else if (chosen) {
          lit = w.c > chosen.c && (w.kind === "node" || w.c > chosen.c + 1
            || w.i === chosen.k);
          lit = lit || (w.kind === "node" && w.c === chosen.c && w.k === chosen.k);
          lit = lit || (chosen.kind === "edge" && w.kind === "edge" && w.c === chosen.c && w.k === chosen.k && w.i === chosen.i);
        }
        group.classList.toggle("lit", lit);
        group.classList.toggle("chosen", !!chosen && w.kind === chosen.kind && w.c === chosen.c && w.k === chosen.k
          && w.i === chosen.i);
      }
    }

    // ---- Matrices.
    function tables() {
      const place = $("tables");
      place.replaceChildren();
      now().layers.forEach((layer, l) => {
        const head = document.createElement("h2");
        head.textContent = data.layers[l].title;
        place.append(head);
        const add = (name, rows) => {
          if (!rows.length) return;
          const scroll = document.createElement("div");
          scroll.className = "scroll";
          const table = document.createElement("table");
          table.createCaption().textContent = name;
          for (const row of rows) {
            const line = table.insertRow();
            for (const v of row) line.insertCell().textContent = shown(v);
          }
          scroll.append(table);
          place.append(scroll);
        };
        add("W", layer.weights);
        add("z", layer.z.map((v) => [v]));
        add("a", layer.a.map((v) => [v]));
        add("δ", layer.delta.map((v) => [v]));
        add("∂L/∂W", layer.gradients);
        add("W after the update", layer.after);
      });
    }

    // ---- Playing: forward layer by layer, then backward, then the next step.
    function stop() {
      clearInterval(timer);
      timer = null;
      $("play").textContent = "Play";
      $("phase").textContent = "";
      light();
    }
    function play() {
      phase = 0;
      $("play").textContent = "Stop";
      timer = setInterval(() => {
        phase += 1;
        if (phase > 2 * (columns.length - 1)) {
          if (step + 1 >= data.steps.length) return stop();
          phase = 0;
          step += 1;
          $("step").value = step;
          draw();
        }
        const count = columns.length - 1;
        $("phase").textContent = phase <= count ? `forward, layer ${phase}` : `backward, layer ${2 * count + 1 - phase}`;
        light();
      }, 900);
      light();
    }

    $("step").max = data.steps.length - 1;
    $("step").addEventListener("input", () => { step = Number($("step").value); draw(); });
    $("colour").addEventListener("change", draw);
    $("view").addEventListener("change", () => {
      $("matrices").hidden = $("view").value !== "matrices";
      $("network").hidden = $("view").value === "matrices";
    });
    $("play").addEventListener("click", () => (timer === null ? play() : stop()));
    document.addEventListener("keydown", (event) => { if (event.key === "Escape" && timer !== null) stop(); });
    $("title").textContent = data.title;
    $("about").textContent = [`${data.inputCount} inputs`, ...data.layers.map((l) => l.title)].join(" → ");
    $("row").textContent = Math.max(...data.steps.map((s) => s.rows)) > 1 ? `Row ${data.row} of each batch is drawn.` : "";
    draw();
    })();
    """#

  /// The SHA-256 of what stands in its element, for the content security policy; Tests/interop/test_explain.py computes it.
  static let scriptHash = "0haRxJRx2gfylMj3Vj6jh5plTuW8ABKQ2dJeMSh3LDk="
}
