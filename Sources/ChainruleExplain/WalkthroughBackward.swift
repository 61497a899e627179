import Chainrule

// δ of each layer, from the loss back to the inputs.

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
