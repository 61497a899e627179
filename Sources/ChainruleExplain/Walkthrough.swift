import Chainrule

/// An explanation put into the order in which it is told: sections, and in them equations with numbers put in.
///
/// It says what is shown, and a rendering says how. Long lists make their elements when asked for them, so
/// that a rendering that shows a few of a million weights makes those few.
struct Walkthrough {
  var blocks: [Block]

  enum Block {
    case section(title: String, formulas: [String], blocks: [Block])
    /// A quantity, the numbers it comes from, and what the core computed: z₁ = 0.12·2 + 0.33·3 = 1.23
    case equation(name: String, Relation, Formula, value: Double)
    /// x = (2, 3)
    case vector(name: String, [Double])
    /// w₁₁: 0.12 → 0.13
    case change(name: String, from: Double, to: Double)
    case list(List)
  }

  enum Relation: String {
    case equals = "="
    case becomes = "←"
  }

  struct List {
    /// What the elements are.
    var kind: Kind
    var count: Int
    var element: (Int) -> [Block]

    /// By the plural of what is listed.
    enum Kind: String { case batches, rows, neurons, weights }
  }
}

extension Walkthrough {
  init(_ explanation: Explanation) {
    let batches = explanation.batches
    let tale = Tale(explanation: explanation)
    blocks = [
      .list(
        List(kind: .batches, count: batches.count) { index in
          let title = batches.count == 1 ? "Batch" : "Batch \(index + 1) of \(batches.count)"
          return [.section(title: title, formulas: [], blocks: tale.batch(batches[index]))]
        }),
      tale.afterwards,
    ]
  }
}

/// Tells one explanation, part by part. Layers, rows and neurons count from 0 here, from 1 where they show.
private struct Tale {
  typealias Block = Walkthrough.Block
  typealias List = Walkthrough.List

  let explanation: Explanation
  var layers: [Chainrule.Layer] { explanation.layers }
  var loss: Loss { explanation.loss }

  func batch(_ batch: Explanation.Batch) -> [Block] {
    let rows = batch.x.count
    let steps: [Block] =
      if rows == 1 {
        row(0, of: batch)
      } else {
        [
          .list(
            List(kind: .rows, count: rows) { row in
              [.section(title: "Row \(row + 1) of \(rows)", formulas: [], blocks: self.row(row, of: batch))]
            }), meanLoss(of: batch),
        ]
      }
    return statistics(of: batch) + steps + [gradients(of: batch)] + clipping(of: batch) + [update(of: batch)]
  }

  func row(_ row: Int, of batch: Explanation.Batch) -> [Block] {
    [.vector(name: "x", batch.x[row])] + targets(row, of: batch) + [
      .section(title: "Forward", formulas: [], blocks: layers.indices.map { forward($0, row, of: batch) }),
      rowLoss(row, of: batch),
      .section(
        title: "Backward",
        formulas: [
          layers.indices.allSatisfy(hasActivation) ? "δ = ∂L/∂z" : "δ = ∂L/∂z, or ∂L/∂a where there is no f"
        ],
        blocks: layers.indices.reversed().map { backward($0, row, of: batch) }),
    ]
  }

  /// y, and as the loss takes it where it is smoothed, or a class label of hinge.
  func targets(_ row: Int, of batch: Explanation.Batch) -> [Block] {
    let y = Block.vector(name: "y", batch.y[row])
    if loss == .hinge && batch.y[row].contains(0) {
      return [y, .vector(name: "y, 0 as −1", smoothed(row, of: batch))]
    }
    if explanation.regularization.labelSmoothing == 0 { return [y] }
    let name = loss == .crossEntropy ? "(1 − s)·y + s/n" : "(1 − s)·y + s/2"
    return [y, .vector(name: name, smoothed(row, of: batch))]
  }

  func smoothed(_ row: Int, of batch: Explanation.Batch) -> [Double] {
    loss.smoothed(batch.y[row], explanation.regularization)
  }

  /// Layer `layer`, "Layer 2, sigmoid", and what it says.
  func section(_ layer: Int, _ formulas: [String], _ blocks: [Block]) -> Block {
    let kind: String =
      switch layers[layer] {
      case .dense(let dense): "\(dense.activation)"
      case .activation(let activation): "activation \(activation)"
      case .dropout, .batchNorm, .layerNorm, .scaling, .residual, .custom: layers[layer].description
      }
    return .section(title: "Layer \(layer + 1), \(kind)", formulas: formulas, blocks: blocks)
  }

  func neurons(_ count: Int, _ element: @escaping (Int) -> [Block]) -> Block {
    .list(List(kind: .neurons, count: count, element: element))
  }

  /// What layer `layer` takes, "xᵢ" or "aᵢ⁽¹⁾".
  func input(_ layer: Int, _ index: String = "ᵢ") -> String {
    layer == 0 ? "x\(index)" : "a\(index)\(superscript(layer))"
  }

  /// a and y as those of output j
  func indexed(_ formula: Formula) -> Formula {
    formula.map { symbol in ["a", "y"].contains(symbol) ? .symbol(symbol + "ⱼ") : nil }
  }

  func inputs(_ layer: Int, of batch: Explanation.Batch) -> [[Double]] {
    layer == 0 ? batch.x : batch.layers[layer - 1].a
  }
}

// MARK: - Forward

extension Tale {
  func forward(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    let trace = batch.layers[layer]
    let (z, a, x) = (trace.z[row], trace.a[row], inputs(layer, of: batch)[row])
    let input = input(layer, "ⱼ")
    switch layers[layer] {
    case .dense(let dense):
      return section(
        layer,
        ["zⱼ = Σᵢ wⱼᵢ·\(self.input(layer))" + (dense.bias ? " + bⱼ" : "")] + formulas(of: dense.activation),
        [
          neurons(dense.units) { j in
            var terms = zip(trace.before.weights![j], x).map { Formula.number($0) * .number($1) }
            if let bias = trace.before.bias { terms.append(.number(bias[j])) }
            return [.equation(name: "z\(index(j))", .equals, .sum(of: terms), value: z[j])]
          }, activations(dense.activation, z, a),
        ])
    case .activation(let activation):
      return section(
        layer, ["zⱼ = \(input)"] + formulas(of: activation), [activations(activation, z, a)])
    case .dropout(let dropout):
      return section(
        layer, ["aⱼ = mⱼ·\(input)", "mⱼ = 1/(1 − \(FormulaText().number(dropout.rate))), 0 where dropped"],
        [
          neurons(a.count) { j in
            let m = mask(layer, j, row, of: batch)
            return [.equation(name: "a\(index(j))", .equals, m * .number(x[j]), value: a[j])]
          }
        ])
    case .batchNorm:
      return section(
        layer, ["zⱼ = (\(input) − μⱼ)/√(σ²ⱼ + ε)", "aⱼ = γⱼ·zⱼ + βⱼ"],
        normalised(layer, row, of: batch))
    case .layerNorm:
      let sums = Sums(x)
      return section(
        layer,
        [
          "μ = Σⱼ \(input)/n", "σ² = Σⱼ (\(input) − μ)²/n", "zⱼ = (\(input) − μ)/√(σ² + ε)",
          "aⱼ = γⱼ·zⱼ + βⱼ",
        ],
        [
          .equation(name: "μ", .equals, sums.meanFormula, value: sums.mean),
          .equation(name: "σ²", .equals, sums.varianceFormula, value: sums.variance),
        ] + normalised(layer, row, of: batch))
    case .scaling(let scaling):
      return section(
        layer, ["aⱼ = (\(input) − mⱼ)/sⱼ"],
        [
          neurons(a.count) { j in
            let formula = (.number(x[j]) - .number(scaling.mean[j])) / .number(scaling.deviation[j])
            return [.equation(name: "a\(index(j))", .equals, formula, value: a[j])]
          }
        ])
    case .residual(let span):
      let start = inputs(layer - span, of: batch)[row]
      return section(
        layer, ["aⱼ = \(input) + \(self.input(layer - span, "ⱼ"))"],
        [
          neurons(a.count) { j in
            [.equation(name: "a\(index(j))", .equals, .number(x[j]) + .number(start[j]), value: a[j])]
          }
        ])
    case .custom:  // No step file has one.
      return section(layer, [], [])
    }
  }

  /// "aⱼ = f(zⱼ)", and what f is.
  func formulas(of activation: Activation) -> [String] {
    if activation == .identity { return ["aⱼ = zⱼ"] }
    guard let f = activation.formula else { return ["aⱼ = e^zⱼ/Σₖ e^zₖ"] }
    return ["aⱼ = f(zⱼ)", "f(z) = \(FormulaText()(f))"]
  }

  func activations(_ activation: Activation, _ z: [Double], _ a: [Double]) -> Block {
    neurons(a.count) { j in
      let formula =
        activation.formula?.with(["z": z[j]])
        ?? .exp(.number(z[j])) / .sum(of: z.map { .exp(.number($0)) })
      return [.equation(name: "a\(index(j))", .equals, formula, value: a[j])]
    }
  }

  /// z and a of a normalisation.
  func normalised(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    let (trace, x) = (batch.layers[layer], inputs(layer, of: batch)[row])
    let (gamma, beta) = (trace.before.gamma!, trace.before.beta!)
    return [
      neurons(x.count) { j in
        let formula =
          (.number(x[j]) - .number(sums(layer, j, row, of: batch).mean)) / deviation(layer, j, row, of: batch)
        return [.equation(name: "z\(index(j))", .equals, formula, value: trace.z[row][j])]
      },
      neurons(x.count) { j in
        let formula = .number(gamma[j]) * .number(trace.z[row][j]) + .number(beta[j])
        return [.equation(name: "a\(index(j))", .equals, formula, value: trace.a[row][j])]
      },
    ]
  }

  /// √(σ² + ε)
  func deviation(_ layer: Int, _ j: Int, _ row: Int, of batch: Explanation.Batch) -> Formula {
    let ε: Double =
      switch layers[layer] {
      case .batchNorm(let norm): norm.epsilon
      case .layerNorm(let norm): norm.epsilon
      case .dense, .activation, .dropout, .scaling, .residual, .custom: 0
      }
    return √(.number(sums(layer, j, row, of: batch).variance) + .number(ε))
  }

  /// μ and σ² of what feature j of a row is normalised with: of its column in a batchNorm, else of the row.
  func sums(_ layer: Int, _ j: Int, _ row: Int, of batch: Explanation.Batch) -> Sums {
    let x = inputs(layer, of: batch)
    if case .batchNorm = layers[layer] { return Sums(x.map { $0[j] }) }
    return Sums(x[row])
  }

  /// What a dropout multiplies with: 0, or 1/(1 − p).
  func mask(_ layer: Int, _ j: Int, _ row: Int, of batch: Explanation.Batch) -> Formula {
    guard case .dropout(let dropout) = layers[layer] else { return 1 }
    // What was 0 before is 0 either way.
    let isDropped = batch.layers[layer].a[row][j] == 0 && inputs(layer, of: batch)[row][j] != 0
    return isDropped ? 0 : .number(1 / (1 - dropout.rate))
  }

  /// What each batchNorm takes from all rows: μ and σ² on the way forward, and two sums on the way back.
  func statistics(of batch: Explanation.Batch) -> [Block] {
    let norms = layers.indices.filter { if case .batchNorm = layers[$0] { true } else { false } }
    if norms.isEmpty { return [] }
    let blocks = norms.map { layer in
      let (trace, input) = (batch.layers[layer], input(layer, "ⱼ"))
      return section(
        layer,
        ["μⱼ = Σ \(input)/n", "σ²ⱼ = Σ (\(input) − μⱼ)²/n", "Σδⱼ and Σδzⱼ = Σ δⱼ·zⱼ for the way back"],
        [
          neurons(trace.before.gamma!.count) { j in
            let sums = sums(layer, j, 0, of: batch)
            return [
              .equation(name: "μ\(index(j))", .equals, sums.meanFormula, value: sums.mean),
              .equation(name: "σ²\(index(j))", .equals, sums.varianceFormula, value: sums.variance),
              .equation(
                name: "Σδ\(index(j))", .equals, .sum(of: trace.delta.map { .number($0[j]) }),
                value: trace.gradients.beta![j]),
              .equation(
                name: "Σδz\(index(j))", .equals,
                .sum(of: zip(trace.delta, trace.z).map { .number($0[j]) * .number($1[j]) }),
                value: trace.gradients.gamma![j]),
            ]
          }
        ])
    }
    return [.section(title: "Over the batch", formulas: ["Σ is over its n rows"], blocks: blocks)]
  }

  /// l of one row, which is L where there is one row only.
  func rowLoss(_ row: Int, of batch: Explanation.Batch) -> Block {
    let (a, y) = (batch.layers.last!.a[row], smoothed(row, of: batch))
    let terms = zip(a, y).map { loss.term.with(["a": $0, "y": $1]) }
    let formula = loss.formula(sum: .sum(of: terms)).with(["n": Double(a.count)])
    let name = batch.x.count == 1 ? "L" : "l"
    return .section(
      title: "Loss, \(loss)",
      formulas: ["\(name) = \(FormulaText()(loss.formula(sum: .total(indexed(loss.term)))))"],
      blocks: [.equation(name: name, .equals, formula, value: batch.rowLosses[row])])
  }

  func meanLoss(of batch: Explanation.Batch) -> Block {
    let formula: Formula
    if let weights = batch.sampleWeights {
      formula =
        .sum(of: zip(weights, batch.rowLosses).map { .number($0) * .number($1) })
        / .sum(of: weights.map { .number($0) })
    } else {
      formula = .sum(of: batch.rowLosses.map { .number($0) }) / .number(Double(batch.x.count))
    }
    return .section(
      title: "Loss of the batch",
      formulas: [batch.sampleWeights == nil ? "L = Σ l/rows" : "L = Σ w·l/Σ w, w the weight of the row"],
      blocks: [.equation(name: "L", .equals, formula, value: batch.loss)])
  }
}

// MARK: - Backward

extension Tale {
  /// The share of a row in L; nil where it is all of it.
  func share(_ row: Int, of batch: Explanation.Batch) -> Formula? {
    if batch.x.count == 1 { return nil }
    guard let weights = batch.sampleWeights else { return 1 / .number(Double(batch.x.count)) }
    return .number(weights[row]) / .number(weights.reduce(0, +))
  }

  func backward(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    if layer < layers.count - 1 { return hidden(layer, row, of: batch) }
    if loss.isFused { return fused(layer, row, of: batch) }
    if layers[layer].activation == .softmax { return softmax(layer, row, of: batch) }
    return output(layer, row, of: batch)
  }

  /// "s·(a − y)", and what s is.
  func gradientFormulas(_ name: String, of batch: Explanation.Batch) -> [String] {
    let rows = batch.x.count
    var gradient = batch.y.allSatisfy { $0.reduce(0, +) == 1 } ? loss.gradientOfDistribution : loss.gradient
    gradient = indexed(batch.y[0].count == 1 ? gradient.with(["n": 1]) : gradient)
    if rows == 1 { return ["\(name) = \(FormulaText()(gradient))"] }
    return [
      "\(name) = \(FormulaText()(.product(["s", gradient])))",
      batch.sampleWeights == nil ? "s = 1/rows" : "s = w/Σ w",
    ]
  }

  /// s ∂l/∂aⱼ, or s ∂l/∂zⱼ of a fused loss, with numbers.
  func gradient(_ j: Int, _ row: Int, of batch: Explanation.Batch) -> Formula {
    let (a, y) = (batch.layers.last!.a[row], smoothed(row, of: batch))
    let total = y.reduce(0, +)
    let gradient = (batch.y[row].reduce(0, +) == 1 ? loss.gradientOfDistribution : loss.gradient)
      .with(["a": a[j], "y": y[j], "n": Double(y.count), "Σₖ yₖ": total])
    return share(row, of: batch).map { .product([$0, gradient]) } ?? gradient
  }

  func fused(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    section(
      layer, gradientFormulas("δⱼ", of: batch),
      [
        neurons(batch.y[row].count) { j in
          let value = batch.layers[layer].delta[row][j]
          return [.equation(name: "δ\(index(j))", .equals, gradient(j, row, of: batch), value: value)]
        }
      ])
  }

  func output(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    let name = hasActivation(layer) ? ["δⱼ = ∂L/∂aⱼ·f′(zⱼ)"] : []
    return section(
      layer,
      name + gradientFormulas(hasActivation(layer) ? "∂L/∂aⱼ" : "δⱼ = ∂L/∂aⱼ", of: batch)
        + derivativeFormula(layer),
      [
        neurons(batch.y[row].count) { j in
          delta(j, from: gradient(j, row, of: batch), layer, row, of: batch)
        }
      ] + rowSums(layer, row, of: batch))
  }

  /// δⱼ = Σₖ gₖ ∂aₖ/∂zⱼ with ∂aₖ/∂zⱼ = aₖ (1[k = j] − aⱼ)
  func softmax(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    let a = batch.layers[layer].a[row]
    let gradients = a.indices.map { gradient($0, row, of: batch) }
    let g = gradients.map { $0.value! }
    return section(
      layer, gradientFormulas("gⱼ = ∂L/∂aⱼ", of: batch) + ["δⱼ = aⱼ·(gⱼ − Σₖ gₖ·aₖ)"],
      [
        neurons(a.count) { j in
          [.equation(name: "g\(index(j))", .equals, gradients[j], value: g[j])]
        },
        neurons(a.count) { j in
          let mean = Formula.sum(of: zip(g, a).map { .number($0) * .number($1) })
          return [
            .equation(
              name: "δ\(index(j))", .equals, .number(a[j]) * (.number(g[j]) - mean),
              value: batch.layers[layer].delta[row][j])
          ]
        },
      ])
  }

  func hidden(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    let takers = takers(of: layer)
    let sum = takers.map(passedFormula).joined(separator: " + ")
    let name = hasActivation(layer) ? "δⱼ = (\(sum))·f′(zⱼ)" : "δⱼ = \(sum)"
    return section(
      layer, [name] + derivativeFormula(layer),
      [
        neurons(batch.layers[layer].a[row].count) { j in
          let terms = takers.flatMap { passed(j, from: $0, row, of: batch) }
          return delta(j, from: .sum(of: terms), layer, row, of: batch)
        }
      ] + rowSums(layer, row, of: batch))
  }

  /// The layers that take the a of layer `layer`: the next, and those that add it to what comes out of a block.
  func takers(of layer: Int) -> [Int] {
    [layer + 1]
      + layers.indices.dropFirst(layer + 2).filter {
        if case .residual(let span) = layers[$0] { $0 - span - 1 == layer } else { false }
      }
  }

  /// ∂L/∂a of the layer before that layer `next` passes on, in symbols.
  func passedFormula(_ next: Int) -> String {
    let l = superscript(next + 1)
    return switch layers[next] {
    case .dense: "Σₖ wₖⱼ\(l)·δₖ\(l)"
    case .activation, .residual, .custom: "δⱼ\(l)"
    case .dropout: "mⱼ\(l)·δⱼ\(l)"
    case .scaling: "δⱼ\(l)/sⱼ\(l)"
    case .batchNorm: "γⱼ\(l)·(δⱼ\(l) − Σδⱼ\(l)/n − zⱼ\(l)·Σδzⱼ\(l)/n)/√(σ²ⱼ\(l) + ε)"
    case .layerNorm: "(γⱼ\(l)·δⱼ\(l) − Σγδ\(l)/n − zⱼ\(l)·Σγδz\(l)/n)/√(σ²\(l) + ε)"
    }
  }

  /// The terms of ∂L/∂aⱼ of the layer before that layer `next` passes on.
  func passed(_ j: Int, from next: Int, _ row: Int, of batch: Explanation.Batch) -> [Formula] {
    let trace = batch.layers[next]
    let (δ, z) = (trace.delta[row], trace.z[row])
    switch layers[next] {
    case .dense:
      return zip(trace.before.weights!, δ).map { w, δ in Formula.number(w[j]) * .number(δ) }
    case .activation, .residual, .custom:
      return [.number(δ[j])]
    case .dropout:
      return [mask(next, j, row, of: batch) * .number(δ[j])]
    case .scaling(let scaling):
      return [.number(δ[j]) / .number(scaling.deviation[j])]
    case .batchNorm:
      let n = Formula.number(Double(batch.x.count))
      let (Σδ, Σδz) = (trace.gradients.beta![j], trace.gradients.gamma![j])
      let rest = .number(δ[j]) - .number(Σδ) / n - .number(z[j]) * .number(Σδz) / n
      return [.number(trace.before.gamma![j]) * rest / deviation(next, j, row, of: batch)]
    case .layerNorm:
      let n = Formula.number(Double(δ.count))
      let (Σγδ, Σγδz) = gammaSums(next, row, of: batch)
      let rest =
        .number(trace.before.gamma![j]) * .number(δ[j]) - .number(Σγδ.value!) / n
        - .number(z[j]) * .number(Σγδz.value!) / n
      return [rest / deviation(next, j, row, of: batch)]
    }
  }

  /// Σ γ·δ and Σ γ·δ·z over a row of a layerNorm.
  func gammaSums(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> (Formula, Formula) {
    let trace = batch.layers[layer]
    let products = zip(trace.before.gamma!, trace.delta[row]).map { Formula.number($0) * .number($1) }
    return (.sum(of: products), .sum(of: zip(products, trace.z[row]).map { $0 * .number($1) }))
  }

  /// The two sums of a layerNorm, which the layer before takes.
  func rowSums(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    guard case .layerNorm = layers[layer], layer > 0 else { return [] }
    let (Σγδ, Σγδz) = gammaSums(layer, row, of: batch)
    return [
      .equation(name: "Σγδ", .equals, Σγδ, value: Σγδ.value!),
      .equation(name: "Σγδz", .equals, Σγδz, value: Σγδz.value!),
    ]
  }

  func hasActivation(_ layer: Int) -> Bool {
    switch layers[layer] {
    case .dense, .activation: true
    case .dropout, .batchNorm, .layerNorm, .scaling, .residual, .custom: false
    }
  }

  func derivativeFormula(_ layer: Int) -> [String] {
    guard hasActivation(layer) else { return [] }
    return layers[layer].activation.derivative.map { ["f′(z) = \(FormulaText()($0))"] } ?? []
  }

  /// δⱼ = ∂L/∂aⱼ · f′(zⱼ). An f′ that is written in z, not in a, gets a line of its own.
  func delta(
    _ j: Int, from gradient: Formula, _ layer: Int, _ row: Int, of batch: Explanation.Batch
  ) -> [Block] {
    let trace = batch.layers[layer]
    guard hasActivation(layer) else {
      return [.equation(name: "δ\(index(j))", .equals, gradient, value: trace.delta[row][j])]
    }
    let numbers = ["z": trace.z[row][j], "a": trace.a[row][j]]
    let branch = layers[layer].activation.derivative!.branch(numbers)
    var slope = branch.with(numbers)
    var blocks: [Block] = []
    if branch.contains("z") {
      let value = slope.value!
      blocks = [.equation(name: "f′(z\(index(j)))", .equals, slope, value: value)]
      slope = .number(value)
    }
    return blocks + [
      .equation(name: "δ\(index(j))", .equals, gradient * slope, value: trace.delta[row][j])
    ]
  }
}

// MARK: - Gradients and update

extension Tale {
  func gradients(of batch: Explanation.Batch) -> Block {
    let sum = batch.x.count == 1 ? "" : "Σ "
    let blocks = layers.indices.compactMap { layer -> Block? in
      let trace = batch.layers[layer]
      let (gradients, δ) = (trace.gradients, trace.delta)
      if let gamma = gradients.gamma, let beta = gradients.beta {
        return section(
          layer, ["∂L/∂γⱼ = \(sum)δⱼ·zⱼ", "∂L/∂βⱼ = \(sum)δⱼ"],
          [
            neurons(gamma.count) { j in
              let products: [Formula] = zip(δ, trace.z).map { .number($0[j]) * .number($1[j]) }
              let sum = Formula.sum(of: δ.map { .number($0[j]) })
              return [
                .equation(name: "∂L/∂γ\(index(j))", .equals, .sum(of: products), value: gamma[j]),
                .equation(name: "∂L/∂β\(index(j))", .equals, sum, value: beta[j]),
              ]
            }
          ])
      }
      guard gradients.weights != nil else { return nil }
      let inputs = inputs(layer, of: batch)
      return section(
        layer,
        ["∂L/∂wⱼᵢ = \(sum)δⱼ·\(input(layer))"]
          + (gradients.bias != nil ? ["∂L/∂bⱼ = \(sum)δⱼ"] : []),
        [
          parameters(gradients) { j, i in
            let value = i.map { gradients.weights![j][$0] } ?? gradients.bias![j]
            let terms: [Formula] = zip(δ, inputs).map { δ, input in
              i.map { .number(δ[j]) * .number(input[$0]) } ?? .number(δ[j])
            }
            return .equation(name: "∂L/∂\(parameter(j, i))", .equals, .sum(of: terms), value: value)
          }
        ])
    }
    return .section(
      title: "Gradients", formulas: batch.x.count == 1 ? [] : ["Σ is over the rows"], blocks: blocks)
  }

  /// c/(‖g‖ + 10⁻⁶) where it is below 1, else 1; nil where gradients are not clipped by their norm.
  func clipFactor(of batch: Explanation.Batch) -> (norm: Formula, factor: Formula)? {
    guard let c = explanation.regularization.gradientClipNorm else { return nil }
    let g = batch.layers.flatMap(\.gradients.all)
    let norm = √.sum(of: g.map { Formula.number($0).squared })
    return (norm, .min(1, .number(c) / (.number(norm.value!) + 1e-6)))
  }

  func clipping(of batch: Explanation.Batch) -> [Block] {
    let value = explanation.regularization.gradientClipValue
    let bound = value.map { [.vector(name: "then g within ±c, c", [$0])] as [Block] } ?? []
    guard let (norm, factor) = clipFactor(of: batch) else {
      return value == nil
        ? [] : [.section(title: "Clipping", formulas: ["g ← min(max(g, −c), c)"], blocks: bound)]
    }
    return [
      .section(
        title: "Clipping",
        formulas: ["g ← k·g", "k = min(1, c/(‖g‖ + 1e-6))"]
          + (value == nil ? [] : ["g ← min(max(g, −c), c)"]),
        blocks: [
          .equation(name: "‖g‖", .equals, norm, value: norm.value!),
          .equation(name: "k", .equals, factor, value: factor.value!),
        ] + bound)
    ]
  }

  func update(of batch: Explanation.Batch) -> Block {
    let rule = explanation.optimizer.update
    let factor = clipFactor(of: batch)?.factor.value ?? 1
    let bound = explanation.regularization.gradientClipValue ?? .infinity
    let isClipped = !clipping(of: batch).isEmpty

    func change(_ name: String, _ g: Double, _ before: Double, _ after: Double) -> Block {
      guard let rule else { return .change(name: name, from: before, to: after) }
      let numbers = ["w": before, "g": min(max(factor * g, -bound), bound)]
      return .equation(name: name, .becomes, rule.with(numbers), value: after)
    }

    let blocks = layers.indices.compactMap { layer -> Block? in
      let (before, gradients, after) = {
        ($0.before, $0.gradients, $0.after)
      }(batch.layers[layer])
      if let gamma = before.gamma, let beta = before.beta {
        let changes = neurons(gamma.count) { j in
          [
            change("γ\(index(j))", gradients.gamma![j], gamma[j], after.gamma![j]),
            change("β\(index(j))", gradients.beta![j], beta[j], after.beta![j]),
          ]
        }
        let running = running(layer, of: batch)
        return section(layer, running.formulas, [changes] + running.blocks)
      }
      guard before.weights != nil else { return nil }
      return section(
        layer, [],
        [
          parameters(before) { j, i in
            func value(_ parameters: StepFile.Parameters) -> Double {
              i.map { parameters.weights![j][$0] } ?? parameters.bias![j]
            }
            return change(parameter(j, i), value(gradients), value(before), value(after))
          }
        ])
    }
    return .section(
      title: "Update",
      formulas: explanation.optimizer.rule + [isClipped ? "g = ∂L/∂w, clipped" : "g = ∂L/∂w"],
      blocks: blocks)
  }

  /// The running statistics of a batchNorm, as prediction uses them.
  func running(_ layer: Int, of batch: Explanation.Batch) -> (formulas: [String], blocks: [Block]) {
    guard case .batchNorm(let norm) = layers[layer] else { return ([], []) }
    let rows = batch.x.count
    if rows == 1 { return (["mean and var stay: one row has no variance"], []) }
    let (before, after) = (batch.layers[layer].before, batch.layers[layer].after)
    let m = Formula.number(norm.momentum)
    func blend(_ old: Double, _ new: Formula) -> Formula { (1 - m) * .number(old) + m * new }
    let blocks = neurons(before.mean!.count) { j in
      let sums = sums(layer, j, 0, of: batch)
      let unbiased = .number(sums.variance) * .number(Double(rows)) / .number(Double(rows - 1))
      return [
        .equation(
          name: "mean\(index(j))", .becomes, blend(before.mean![j], .number(sums.mean)), value: after.mean![j]
        ),
        .equation(
          name: "var\(index(j))", .becomes, blend(before.variance![j], unbiased), value: after.variance![j]),
      ]
    }
    return (
      ["meanⱼ ← (1 − m)·meanⱼ + m·μⱼ", "varⱼ ← (1 − m)·varⱼ + m·σ²ⱼ·n/(n − 1)"], [blocks]
    )
  }

  /// Neuron by neuron, its weights and its bias (no i).
  func parameters(_ parameters: StepFile.Parameters, _ block: @escaping (_ j: Int, _ i: Int?) -> Block)
    -> Block
  {
    let weights = parameters.weights!
    return neurons(weights.count) { j in
      [.list(List(kind: .weights, count: weights[j].count) { i in [block(j, i)] })]
        + (parameters.bias == nil ? [] : [block(j, nil)])
    }
  }

  /// "w₁₂", or without i "b₁"
  func parameter(_ j: Int, _ i: Int?) -> String {
    i.map { "w\(index(j, $0))" } ?? "b\(index(j))"
  }

  /// The last batch, before its update and after.
  var afterwards: Block {
    let (last, after) = (explanation.batches.last!, explanation.afterwards)
    let count = explanation.batches.count
    let rows = last.x.count
    let outputs = last.layers.last!.a
    let changes = List(kind: .rows, count: rows) { row in
      [
        .section(
          title: rows == 1 ? "Outputs" : "Outputs, row \(row + 1) of \(rows)", formulas: [],
          blocks: [
            neurons(outputs[row].count) { j in
              [.change(name: "a\(index(j))", from: outputs[row][j], to: after.outputs[row][j])]
            }, .vector(name: "y", last.y[row]),
          ])
      ]
    }
    let losses = Block.vector(name: "L of each batch, before its update", explanation.batches.map(\.loss))
    let title = count == 1 ? "After the update" : "After \(count) updates, on the last batch"
    return .section(
      title: title,
      formulas: layers.contains { $0.name == "dropout" }
        ? ["with other values dropped, those of the next step"] : [],
      blocks: (count == 1 ? [] : [losses]) + [
        .change(name: "L", from: last.loss, to: after.loss), .list(changes),
      ])
  }
}

// MARK: - Sums

/// μ and σ² of some numbers.
private struct Sums {
  let x: [Double]

  init(_ x: [Double]) { self.x = x }

  private var n: Formula { .number(Double(x.count)) }
  var meanFormula: Formula { .sum(of: x.map { .number($0) }) / n }
  var mean: Double { meanFormula.value! }
  var varianceFormula: Formula {
    let mean = mean
    return .sum(of: x.map { (.number($0) - .number(mean)).squared }) / n
  }
  var variance: Double { varianceFormula.value! }
}

extension StepFile.Parameters {
  /// Every number that training learns.
  fileprivate var all: [Double] {
    (weights ?? []).flatMap(\.self) + (bias ?? []) + (gamma ?? []) + (beta ?? [])
  }
}

// MARK: - Indices

/// "₁₂", from two indices counted from 0; with a comma where one has two digits, "₁₀,₂".
private func index(_ indices: Int...) -> String {
  let numbers = indices.map { "\($0 + 1)" }
  let separator = numbers.contains { $0.count > 1 } ? "," : ""
  return numbers.map { String($0.map { digit in Array("₀₁₂₃₄₅₆₇₈₉")[digit.wholeNumberValue!] }) }
    .joined(separator: separator)
}

/// "⁽²⁾"
private func superscript(_ layer: Int) -> String {
  "⁽\(String("\(layer)".map { digit in Array("⁰¹²³⁴⁵⁶⁷⁸⁹")[digit.wholeNumberValue!] }))⁾"
}
