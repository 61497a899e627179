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
  var layers: [Dense] { explanation.layers }
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
    return steps + [gradients(of: batch), update(of: batch)]
  }

  func row(_ row: Int, of batch: Explanation.Batch) -> [Block] {
    [
      .vector(name: "x", batch.x[row]), .vector(name: "y", batch.y[row]),
      .section(title: "Forward", formulas: [], blocks: layers.indices.map { forward($0, row, of: batch) }),
      rowLoss(row, of: batch),
      .section(
        title: "Backward", formulas: ["δ = ∂L/∂z"],
        blocks: layers.indices.reversed().map { backward($0, row, of: batch) }),
    ]
  }

  /// Layer `layer`, "Layer 2, sigmoid", and what it says.
  func section(_ layer: Int, _ formulas: [String], _ blocks: [Block]) -> Block {
    .section(title: "Layer \(layer + 1), \(layers[layer].activation)", formulas: formulas, blocks: blocks)
  }

  func neurons(_ count: Int, _ element: @escaping (Int) -> [Block]) -> Block {
    .list(List(kind: .neurons, count: count, element: element))
  }

  /// What layer `layer` takes, "xᵢ" or "aᵢ⁽¹⁾".
  func input(_ layer: Int) -> String {
    layer == 0 ? "xᵢ" : "aᵢ" + superscript(layer)
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
    let (dense, trace) = (layers[layer], batch.layers[layer])
    let (z, a, inputs) = (trace.z[row], trace.a[row], inputs(layer, of: batch)[row])
    let affine = "zⱼ = Σᵢ wⱼᵢ·\(input(layer))" + (dense.bias ? " + bⱼ" : "")
    let activation: [String] =
      if dense.activation == .identity {
        ["aⱼ = zⱼ"]
      } else if let f = dense.activation.formula {
        ["aⱼ = f(zⱼ)", "f(z) = \(FormulaText()(f))"]
      } else {
        ["aⱼ = e^zⱼ/Σₖ e^zₖ"]
      }
    return section(
      layer, [affine] + activation,
      [
        neurons(dense.units) { j in
          var terms = zip(trace.before.weights![j], inputs).map { Formula.number($0) * .number($1) }
          if let bias = trace.before.bias { terms.append(.number(bias[j])) }
          return [.equation(name: "z\(index(j))", .equals, .sum(of: terms), value: z[j])]
        },
        neurons(dense.units) { j in
          let formula =
            dense.activation.formula?.with(["z": z[j]])
            ?? .exp(.number(z[j])) / .sum(of: z.map { .exp(.number($0)) })
          return [.equation(name: "a\(index(j))", .equals, formula, value: a[j])]
        },
      ])
  }

  /// l of one row, which is L where there is one row only.
  func rowLoss(_ row: Int, of batch: Explanation.Batch) -> Block {
    let (a, y) = (batch.layers.last!.a[row], batch.y[row])
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
    let (a, y) = (batch.layers.last!.a[row], batch.y[row])
    let total = y.reduce(0, +)
    let gradient = (total == 1 ? loss.gradientOfDistribution : loss.gradient)
      .with(["a": a[j], "y": y[j], "n": Double(y.count), "Σₖ yₖ": total])
    return share(row, of: batch).map { .product([$0, gradient]) } ?? gradient
  }

  func fused(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    section(
      layer, gradientFormulas("δⱼ", of: batch),
      [
        neurons(layers[layer].units) { j in
          let value = batch.layers[layer].delta[row][j]
          return [.equation(name: "δ\(index(j))", .equals, gradient(j, row, of: batch), value: value)]
        }
      ])
  }

  func output(_ layer: Int, _ row: Int, of batch: Explanation.Batch) -> Block {
    section(
      layer,
      ["δⱼ = ∂L/∂aⱼ·f′(zⱼ)"] + gradientFormulas("∂L/∂aⱼ", of: batch) + derivativeFormula(layer),
      [
        neurons(layers[layer].units) { j in
          delta(j, from: gradient(j, row, of: batch), layer, row, of: batch)
        }
      ])
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
    let next = batch.layers[layer + 1]
    let number = superscript(layer + 2)
    return section(
      layer, ["δⱼ = (Σₖ wₖⱼ\(number)·δₖ\(number))·f′(zⱼ)"] + derivativeFormula(layer),
      [
        neurons(layers[layer].units) { j in
          let terms = zip(next.before.weights!, next.delta[row]).map { w, δ in
            Formula.number(w[j]) * .number(δ)
          }
          return delta(j, from: .sum(of: terms), layer, row, of: batch)
        }
      ])
  }

  func derivativeFormula(_ layer: Int) -> [String] {
    layers[layer].activation.derivative.map { ["f′(z) = \(FormulaText()($0))"] } ?? []
  }

  /// δⱼ = ∂L/∂aⱼ · f′(zⱼ). An f′ that is written in z, not in a, gets a line of its own.
  func delta(
    _ j: Int, from gradient: Formula, _ layer: Int, _ row: Int, of batch: Explanation.Batch
  ) -> [Block] {
    let trace = batch.layers[layer]
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
    let blocks = layers.indices.map { layer in
      let (gradients, δ) = (batch.layers[layer].gradients, batch.layers[layer].delta)
      let inputs = inputs(layer, of: batch)
      return section(
        layer,
        ["∂L/∂wⱼᵢ = \(sum)δⱼ·\(input(layer))"]
          + (layers[layer].bias ? ["∂L/∂bⱼ = \(sum)δⱼ"] : []),
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

  func update(of batch: Explanation.Batch) -> Block {
    let rule = explanation.optimizer.update
    let blocks = layers.indices.map { layer in
      let trace = batch.layers[layer]
      return section(
        layer, [],
        [
          parameters(trace.before) { j, i in
            func value(_ parameters: StepFile.Parameters) -> Double {
              i.map { parameters.weights![j][$0] } ?? parameters.bias![j]
            }
            let (before, after) = (value(trace.before), value(trace.after))
            if let rule {
              let numbers = ["w": before, "g": value(trace.gradients)]
              return .equation(name: parameter(j, i), .becomes, rule.with(numbers), value: after)
            }
            return .change(name: parameter(j, i), from: before, to: after)
          }
        ])
    }
    return .section(title: "Update", formulas: explanation.optimizer.rule + ["g = ∂L/∂w"], blocks: blocks)
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
      title: title, formulas: [],
      blocks: (count == 1 ? [] : [losses]) + [
        .change(name: "L", from: last.loss, to: after.loss), .list(changes),
      ])
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
