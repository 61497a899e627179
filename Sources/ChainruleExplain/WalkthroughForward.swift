import Chainrule

// What each layer computes on the way forward, and the loss.

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
          neurons(dense.units) { j in [sum(layer, j, x, trace, z[j])] },
          .matrices(product(layer, x, trace, z)), activations(dense.activation, z, a),
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
            return [.equation("a\(index(j))", numbers: m * .number(x[j]), value: a[j])]
          }
        ])
    case .batchNorm:
      return section(
        layer,
        [
          "μⱼ = Σ \(input)/n", "σ²ⱼ = Σ (\(input) − μⱼ)²/n", "zⱼ = (\(input) − μⱼ)/√(σ²ⱼ + ε)",
          "aⱼ = γⱼ·zⱼ + βⱼ", "Σ is over the n rows of the batch",
        ],
        [statistics(layer, of: batch)] + normalised(layer, row, of: batch))
    case .layerNorm:
      let sums = Sums(x)
      return section(
        layer,
        [
          "μ = Σⱼ \(input)/n", "σ² = Σⱼ (\(input) − μ)²/n", "zⱼ = (\(input) − μ)/√(σ² + ε)",
          "aⱼ = γⱼ·zⱼ + βⱼ",
        ],
        [
          .equation("μ", numbers: sums.meanFormula, value: sums.mean),
          .equation("σ²", numbers: sums.varianceFormula, value: sums.variance),
        ] + normalised(layer, row, of: batch))
    case .scaling(let scaling):
      return section(
        layer, ["aⱼ = (\(input) − mⱼ)/sⱼ"],
        [
          neurons(a.count) { j in
            let formula = (.number(x[j]) - .number(scaling.mean[j])) / .number(scaling.deviation[j])
            return [.equation("a\(index(j))", numbers: formula, value: a[j])]
          }
        ])
    case .residual(let span):
      let start = inputs(layer - span, of: batch)[row]
      return section(
        layer, ["aⱼ = \(input) + \(self.input(layer - span, "ⱼ"))"],
        [
          neurons(a.count) { j in
            [.equation("a\(index(j))", numbers: .number(x[j]) + .number(start[j]), value: a[j])]
          }
        ])
    case .custom:  // No step file has one.
      return section(layer, [], [])
    }
  }

  /// z₁ = w₁₁·x₁ + w₁₂·x₂ + b₁
  func sum(_ layer: Int, _ j: Int, _ x: [Double], _ trace: Explanation.Layer, _ z: Double) -> Block {
    let weights = trace.before.weights![j]
    var symbols = x.indices.map { Formula.symbol(weight(layer, j, $0)) * .symbol(input(layer, index($0))) }
    var numbers = zip(weights, x).map { Formula.number($0) * .number($1) }
    if let bias = trace.before.bias {
      symbols.append(.symbol(self.bias(layer, j)))
      numbers.append(.number(bias[j]))
    }
    return .equation(
      "z\(index(j))", .equals, .sum(of: symbols), numbers: .sum(of: numbers), value: z)
  }

  /// z = W·x + b
  func product(_ layer: Int, _ x: [Double], _ trace: Explanation.Layer, _ z: [Double])
    -> Walkthrough.MatrixEquation
  {
    let l = superscript(layer + 1)
    let bias = trace.before.bias
    return Walkthrough.MatrixEquation(
      symbols: "z\(l) = W\(l)·\(input(layer, ""))" + (bias == nil ? "" : " + b\(l)"),
      terms: [("", trace.before.weights!), ("·", x.map { [$0] })]
        + (bias.map { [("+", $0.map { [$0] })] } ?? []) + [("=", z.map { [$0] })])
  }

  /// "aⱼ = f(zⱼ)", and what f is.
  func formulas(of activation: Activation) -> [String] {
    if activation == .identity { return ["aⱼ = zⱼ"] }
    guard let f = activation.function else { return ["aⱼ = e^zⱼ/Σₖ e^zₖ"] }
    return ["aⱼ = f(zⱼ)", "f(z) = \(FormulaText()(f))"]
  }

  func activations(_ activation: Activation, _ z: [Double], _ a: [Double]) -> Block {
    neurons(a.count) { j in
      let formula =
        activation.function?.with(["z": z[j]])
        ?? .exp(.number(z[j])) / .sum(of: z.map { .exp(.number($0)) })
      return [.equation("a\(index(j))", .equals, .symbol("f(z\(index(j)))"), numbers: formula, value: a[j])]
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
        return [.equation("z\(index(j))", numbers: formula, value: trace.z[row][j])]
      },
      neurons(x.count) { j in
        let formula = .number(gamma[j]) * .number(trace.z[row][j]) + .number(beta[j])
        return [.equation("a\(index(j))", numbers: formula, value: trace.a[row][j])]
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

  /// μ and σ² of each feature over the rows.
  func statistics(_ layer: Int, of batch: Explanation.Batch) -> Block {
    neurons(batch.layers[layer].before.gamma!.count) { j in
      let sums = sums(layer, j, 0, of: batch)
      return [
        .equation("μ\(index(j))", numbers: sums.meanFormula, value: sums.mean),
        .equation("σ²\(index(j))", numbers: sums.varianceFormula, value: sums.variance),
      ]
    }
  }

  // MARK: The loss

  /// y, and the y that the loss uses if it is smoothed or a class label of hinge.
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

  func lossFormula(of batch: Explanation.Batch) -> String {
    "\(lossName(of: batch)) = \(FormulaText()(loss.formula(sum: .total(indexed(loss.term)))))"
  }

  /// The loss of a row is L where there is one row only.
  private func lossName(of batch: Explanation.Batch) -> String { batch.x.count == 1 ? "L" : "l" }

  func rowLoss(_ row: Int, of batch: Explanation.Batch) -> [Block] {
    let (a, y) = (batch.layers.last!.a[row], smoothed(row, of: batch))
    let terms = zip(a, y).map { loss.term.with(["a": $0, "y": $1]) }
    let formula = loss.formula(sum: .sum(of: terms)).with(["n": Double(a.count)])
    return [.equation(lossName(of: batch), numbers: formula, value: batch.rowLosses[row])]
  }

  func meanLoss(of batch: Explanation.Batch) -> [Block] {
    if batch.x.count == 1 { return [] }
    let formula: Formula
    if let weights = batch.sampleWeights {
      formula =
        .sum(of: zip(weights, batch.rowLosses).map { .number($0) * .number($1) })
        / .sum(of: weights.map { .number($0) })
    } else {
      formula = .sum(of: batch.rowLosses.map { .number($0) }) / .number(Double(batch.x.count))
    }
    return [
      .formulas([batch.sampleWeights == nil ? "L = Σ l/rows" : "L = Σ w·l/Σ w, w the weight of the row"]),
      .equation("L", numbers: formula, value: batch.loss),
    ]
  }
}

/// μ and σ² of some numbers.
struct Sums {
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
