import Chainrule

// The gradients of the parameters, what clips them, and the update.

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

extension StepFile.Parameters {
  /// Every number that training learns.
  fileprivate var all: [Double] {
    (weights ?? []).flatMap(\.self) + (bias ?? []) + (gamma ?? []) + (beta ?? [])
  }
}
