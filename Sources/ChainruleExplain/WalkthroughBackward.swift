import Chainrule

// Layer by layer from the output: δ, the gradients of the parameters, and what is handed to the layer before.

extension Tale {
  func backward(_ layer: Int, of batch: Explanation.Batch) -> Block {
    let delta = rows(of: batch) { row in self.delta(layer, row, of: batch) }
    return section(
      layer, deltaFormulas(layer, of: batch),
      [delta] + gradients(layer, of: batch) + handing(layer, of: batch))
  }

  // MARK: δ

  private func deltaFormulas(_ layer: Int, of batch: Explanation.Batch) -> [String] {
    let activation = layers[layer].activation
    if layer == layers.count - 1 {
      if loss.isFused { return gradientFormulas("δⱼ = ∂L/∂zⱼ", of: batch) + ["f′ is in it already"] }
      if activation == .softmax {
        return gradientFormulas("gⱼ = ∂L/∂aⱼ", of: batch) + ["δⱼ = Σₖ gₖ·∂aₖ/∂zⱼ = aⱼ·(gⱼ − Σₖ gₖ·aₖ)"]
      }
      guard hasActivation(layer) else { return gradientFormulas("δⱼ = ∂L/∂aⱼ", of: batch) }
      return ["δⱼ = ∂L/∂aⱼ·∂aⱼ/∂zⱼ"] + gradientFormulas("∂L/∂aⱼ", of: batch) + slopeFormula(layer)
    }
    let takers = takers(of: layer)
    let sum = takers.map(handedFormula).joined(separator: " + ")
    guard hasActivation(layer) else { return ["δⱼ = ∂L/∂aⱼ = \(sum)"] }
    return ["δⱼ = ∂L/∂aⱼ·∂aⱼ/∂zⱼ", "∂L/∂aⱼ = \(sum)"] + slopeFormula(layer)
  }

  private func slopeFormula(_ layer: Int) -> [String] {
    layers[layer].activation.derivative.map { ["∂aⱼ/∂zⱼ = f′(zⱼ)", "f′(z) = \(FormulaText()($0))"] } ?? []
  }

  func delta(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    let delta = batch.layers[layer].delta[row]
    if layer < layers.count - 1 {
      let takers = takers(of: layer)
      return [
        neurons(delta.count) { j in
          let terms = takers.map { Formula.number(handed(j, from: $0, row, of: batch).value!) }
          return self.delta(j, from: .sum(of: terms), layer, row, of: batch)
        }
      ]
    }
    if loss.isFused {
      return [
        neurons(delta.count) { j in
          [
            .equation(
              "δ\(index(j))", .equals, .symbol("∂L/∂z\(index(j))"), numbers: gradient(j, row, of: batch),
              value: delta[j])
          ]
        }
      ]
    }
    if layers[layer].activation == .softmax { return softmax(layer, row, of: batch) }
    return [
      neurons(delta.count) { j in
        self.delta(j, from: gradient(j, row, of: batch), layer, row, of: batch)
      }
    ]
  }

  /// δⱼ = ∂L/∂aⱼ·∂aⱼ/∂zⱼ. An f′ that is written in z, not in a, gets a line of its own.
  private func delta(
    _ j: Int, from gradient: Formula, _ layer: Int, _ row: Int, of batch: Explanation.Batch
  ) -> [Block] {
    let trace = batch.layers[layer]
    let j1 = index(j)
    guard hasActivation(layer) else {
      return [
        .equation(
          "δ\(j1)", .equals, .symbol("∂L/∂a\(j1)"), numbers: gradient, value: trace.delta[row][j])
      ]
    }
    let numbers = ["z": trace.z[row][j], "a": trace.a[row][j]]
    let branch = layers[layer].activation.derivative!.branch(numbers)
    var slope = branch.with(numbers)
    var blocks: [Block] = []
    if branch.contains("z") {
      let value = slope.value!
      blocks = [.equation("f′(z\(j1))", numbers: slope, value: value)]
      slope = .number(value)
    }
    return blocks + [
      .equation(
        "δ\(j1)", .equals, .symbol("∂L/∂a\(j1)") * .symbol("∂a\(j1)/∂z\(j1)"), numbers: gradient * slope,
        value: trace.delta[row][j])
    ]
  }

  /// δⱼ = Σₖ gₖ ∂aₖ/∂zⱼ with ∂aₖ/∂zⱼ = aₖ (1[k = j] − aⱼ)
  private func softmax(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    let a = batch.layers[layer].a[row]
    let gradients = a.indices.map { gradient($0, row, of: batch) }
    let g = gradients.map { $0.value! }
    return [
      neurons(a.count) { j in [.equation("g\(index(j))", numbers: gradients[j], value: g[j])] },
      neurons(a.count) { j in
        let mean = Formula.sum(of: zip(g, a).map { .number($0) * .number($1) })
        return [
          .equation(
            "δ\(index(j))", numbers: .number(a[j]) * (.number(g[j]) - mean),
            value: batch.layers[layer].delta[row][j])
        ]
      },
    ]
  }

  // MARK: The loss's gradient

  /// The share of a row in L; nil where it is all of it.
  func share(_ row: Int, of batch: Explanation.Batch) -> Formula? {
    if batch.x.count == 1 { return nil }
    guard let weights = batch.sampleWeights else { return 1 / .number(Double(batch.x.count)) }
    return .number(weights[row]) / .number(weights.reduce(0, +))
  }

  /// "s·(a − y)", and what s is.
  private func gradientFormulas(_ name: String, of batch: Explanation.Batch) -> [String] {
    var gradient = batch.y.allSatisfy { $0.reduce(0, +) == 1 } ? loss.gradientOfDistribution : loss.gradient
    gradient = indexed(batch.y[0].count == 1 ? gradient.with(["n": 1]) : gradient)
    if batch.x.count == 1 { return ["\(name) = \(FormulaText()(gradient))"] }
    return [
      "\(name) = \(FormulaText()(.product(["s", gradient])))",
      batch.sampleWeights == nil ? "s = 1/rows" : "s = w/Σ w",
    ]
  }

  /// s ∂l/∂aⱼ, or s ∂l/∂zⱼ of a fused loss, with numbers.
  private func gradient(_ j: Int, _ row: Int, of batch: Explanation.Batch) -> Formula {
    let (a, y) = (batch.layers.last!.a[row], smoothed(row, of: batch))
    let total = y.reduce(0, +)
    let gradient = (batch.y[row].reduce(0, +) == 1 ? loss.gradientOfDistribution : loss.gradient)
      .with(["a": a[j], "y": y[j], "n": Double(y.count), "Σₖ yₖ": total])
    return share(row, of: batch).map { .product([$0, gradient]) } ?? gradient
  }

  // MARK: The gradients of a layer

  func gradients(_ layer: Int, of batch: Explanation.Batch) -> [Block] {
    let trace = batch.layers[layer]
    let (gradients, δ, rows) = (trace.gradients, trace.delta, batch.x.count)
    let sum = rows == 1 ? "" : "Σ "
    let note = rows == 1 ? [] : ["Σ is over the rows"]
    if let gamma = gradients.gamma, let beta = gradients.beta {
      return [
        .formulas(["∂L/∂γⱼ = Σδzⱼ = \(sum)δⱼ·zⱼ", "∂L/∂βⱼ = Σδⱼ = \(sum)δⱼ"] + note),
        neurons(gamma.count) { j in
          let products: [Formula] = zip(δ, trace.z).map { .number($0[j]) * .number($1[j]) }
          let sum = Formula.sum(of: δ.map { .number($0[j]) })
          return [
            .equation("∂L/∂γ\(index(j))", numbers: .sum(of: products), value: gamma[j]),
            .equation("∂L/∂β\(index(j))", numbers: sum, value: beta[j]),
          ]
        },
      ]
    }
    guard let weights = gradients.weights else { return [] }
    let inputs = inputs(layer, of: batch)
    let chain =
      hasActivation(layer) && !(layer == layers.count - 1 && loss.isFused)
      ? "∂L/∂aⱼ·∂aⱼ/∂zⱼ·∂zⱼ/∂wⱼᵢ" : "∂L/∂zⱼ·∂zⱼ/∂wⱼᵢ"
    let formulas =
      [
        "∂L/∂wⱼᵢ = \(rows == 1 ? chain : "\(sum)\(chain)") = \(sum)δⱼ·\(input(layer))"
      ] + (gradients.bias != nil ? ["∂L/∂bⱼ = \(sum)δⱼ"] : []) + note
    let l = superscript(layer + 1)
    let transposed = weights.indices.map { j in δ.map { $0[j] } }
    return [
      .formulas(formulas),
      parameters(gradients) { j, i in
        let value = i.map { weights[j][$0] } ?? gradients.bias![j]
        let terms: [Formula] = zip(δ, inputs).map { δ, input in
          i.map { .number(δ[j]) * .number(input[$0]) } ?? .number(δ[j])
        }
        let δⱼ = Formula.symbol("δ\(index(j))")
        let symbols = i.map { δⱼ * .symbol(input(layer, index($0))) } ?? δⱼ
        return [
          .equation(
            "∂L/∂\(parameter(layer, j, i))", .equals, rows == 1 ? symbols : nil, numbers: .sum(of: terms),
            value: value)
        ]
      },
      .matrices(
        Walkthrough.MatrixEquation(
          symbols: "∂L/∂W\(l) = δ\(l)·\(input(layer, ""))ᵀ"
            + (rows == 1 ? "" : ", a column of δ for each row"),
          terms: [("", transposed), ("·", inputs), ("=", weights)])),
    ]
  }

  /// Neuron by neuron, its weights and its bias (no i).
  func parameters(
    _ parameters: StepFile.Parameters, _ blocks: @escaping (_ j: Int, _ i: Int?) -> [Block]
  ) -> Block {
    let weights = parameters.weights!
    return neurons(weights.count) { j in
      [.list(List(kind: .weights, count: weights[j].count) { i in blocks(j, i) })]
        + (parameters.bias == nil ? [] : blocks(j, nil))
    }
  }

  /// "w₁₂", or without i "b₁"; or the name in the step file.
  func parameter(_ layer: Int, _ j: Int, _ i: Int?) -> String {
    i.map { weight(layer, j, $0) } ?? bias(layer, j)
  }

  // MARK: What a layer hands on

  /// The layers that take the a of layer `layer`: the next, and those that add it to what comes out of a block.
  func takers(of layer: Int) -> [Int] {
    [layer + 1]
      + layers.indices.dropFirst(layer + 2).filter {
        if case .residual(let span) = layers[$0] { $0 - span - 1 == layer } else { false }
      }
  }

  /// ∂L/∂a of the layer before, as far as layer `layer` hands it back.
  private func handing(_ layer: Int, of batch: Explanation.Batch) -> [Block] {
    guard layer > 0 else { return [] }
    switch layers[layer] {
    case .activation, .residual, .custom: return []  // δ itself, as the formulas of its takers say
    case .dense, .dropout, .scaling, .batchNorm, .layerNorm: break
    }
    return [
      .paragraph("Handed to layer \(layer):"),
      .formulas(["∂L/∂aⱼ\(superscript(layer)) = \(handedFormula(layer, own: true))"]),
      rows(of: batch) { row in handing(layer, row, of: batch) },
    ]
  }

  /// The same of one row.
  func handing(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    let l = superscript(layer)
    return rowSums(layer, row, of: batch) + [
      neurons(inputs(layer, of: batch)[row].count) { j in
        [
          .equation(
            "∂L/∂a\(index(j))\(l)", .equals, handedSymbols(j, from: layer),
            numbers: handed(j, from: layer, row, of: batch))
        ]
      }
    ] + transposedProduct(layer, row, of: batch)
  }

  /// ∂L/∂a = Wᵀ·δ of a dense layer.
  private func transposedProduct(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    guard let weights = batch.layers[layer].before.weights else { return [] }
    let δ = batch.layers[layer].delta[row]
    let transposed = weights[0].indices.map { i in weights.map { $0[i] } }
    let l = superscript(layer + 1)
    return [
      .matrices(
        Walkthrough.MatrixEquation(
          symbols: "∂L/∂a\(superscript(layer)) = W\(l)ᵀ·δ\(l)",
          terms: [
            ("", transposed), ("·", δ.map { [$0] }),
            ("=", transposed.indices.map { [handed($0, from: layer, row, of: batch).value!] }),
          ]))
    ]
  }

  /// ∂L/∂a of the layer before that layer `next` hands back, in symbols; its own without its number.
  func handedFormula(_ next: Int) -> String { handedFormula(next, own: false) }

  private func handedFormula(_ next: Int, own: Bool) -> String {
    let l = own ? "" : superscript(next + 1)
    return switch layers[next] {
    case .dense: "Σₖ wₖⱼ\(l)·δₖ\(l)"
    case .activation, .residual, .custom: "δⱼ\(l)"
    case .dropout: "mⱼ\(l)·δⱼ\(l)"
    case .scaling: "δⱼ\(l)/sⱼ\(l)"
    case .batchNorm: "γⱼ\(l)·(δⱼ\(l) − Σδⱼ\(l)/n − zⱼ\(l)·Σδzⱼ\(l)/n)/√(σ²ⱼ\(l) + ε)"
    case .layerNorm: "(γⱼ\(l)·δⱼ\(l) − Σγδ\(l)/n − zⱼ\(l)·Σγδz\(l)/n)/√(σ²\(l) + ε)"
    }
  }

  private func handedSymbols(_ j: Int, from next: Int) -> Formula? {
    guard case .dense(let dense) = layers[next] else { return nil }
    return .sum(
      of: (0..<dense.units).map { .symbol(weight(next, $0, j)) * .symbol("δ\(index($0))") })
  }

  /// ∂L/∂aⱼ of the layer before that layer `next` hands back, with numbers.
  func handed(_ j: Int, from next: Int, _ row: Int, of batch: Explanation.Batch) -> Formula {
    let trace = batch.layers[next]
    let (δ, z) = (trace.delta[row], trace.z[row])
    switch layers[next] {
    case .dense:
      return .sum(of: zip(trace.before.weights!, δ).map { w, δ in .number(w[j]) * .number(δ) })
    case .activation, .residual, .custom:
      return .number(δ[j])
    case .dropout:
      return mask(next, j, row, of: batch) * .number(δ[j])
    case .scaling(let scaling):
      return .number(δ[j]) / .number(scaling.deviation[j])
    case .batchNorm:
      let n = Formula.number(Double(batch.x.count))
      let (Σδ, Σδz) = (trace.gradients.beta![j], trace.gradients.gamma![j])
      let rest = .number(δ[j]) - .number(Σδ) / n - .number(z[j]) * .number(Σδz) / n
      return .number(trace.before.gamma![j]) * rest / deviation(next, j, row, of: batch)
    case .layerNorm:
      let n = Formula.number(Double(δ.count))
      let (Σγδ, Σγδz) = gammaSums(next, row, of: batch)
      let rest =
        .number(trace.before.gamma![j]) * .number(δ[j]) - .number(Σγδ.value!) / n
        - .number(z[j]) * .number(Σγδz.value!) / n
      return rest / deviation(next, j, row, of: batch)
    }
  }

  /// Σ γ·δ and Σ γ·δ·z over a row of a layerNorm.
  private func gammaSums(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> (Formula, Formula) {
    let trace = batch.layers[layer]
    let products = zip(trace.before.gamma!, trace.delta[row]).map { Formula.number($0) * .number($1) }
    return (.sum(of: products), .sum(of: zip(products, trace.z[row]).map { $0 * .number($1) }))
  }

  /// The two sums of a layerNorm, which the layer before takes.
  private func rowSums(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> [Block] {
    guard case .layerNorm = layers[layer] else { return [] }
    let (Σγδ, Σγδz) = gammaSums(layer, row, of: batch)
    return [.equation("Σγδ", numbers: Σγδ), .equation("Σγδz", numbers: Σγδz)]
  }
}
