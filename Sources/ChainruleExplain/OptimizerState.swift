import Chainrule

// What clips the gradients, and what the optimizer keeps of each parameter.

extension Explanation {
  /// ‖g‖ and min(1, c/(‖g‖ + 10⁻⁶)); nil where gradients are not clipped by their norm.
  func clipFactor(of batch: Batch) -> (norm: Formula, factor: Formula)? {
    guard let c = regularization.gradientClipNorm else { return nil }
    let g = batch.layers.flatMap(\.gradients.learned)
    let norm = √.sum(of: g.map { Formula.number($0).squared })
    return (norm, .min(1, .number(c) / (.number(norm.value!) + 1e-6)))
  }

  /// The gradients as the update takes them.
  func clipped(_ gradients: [Double], of batch: Batch) -> [Double] {
    let factor = clipFactor(of: batch)?.factor.value ?? 1
    let bound = regularization.gradientClipValue ?? .infinity
    return gradients.map { min(max(factor * $0, -bound), bound) }
  }

  /// Follows the state of the optimizer through all steps, by its rule.
  mutating func followState() {
    let history = UpdateHistory(optimizer)
    if history.rule.state.isEmpty { return }
    let start = history.start(rate: batches[0].learningRate)
    // [layer][parameter][name]
    var states = batches[0].layers.map { $0.before.learned.map { _ in start } }
    for step in batches.indices {
      for layer in layers.indices {
        let trace = batches[step].layers[layer]
        let (before, after) = (trace.before.learned, trace.after.learned)
        for (k, g) in clipped(trace.gradients.learned, of: batches[step]).enumerated() {
          _ = history.update(
            before[k], to: after[k], by: g, step: step + 1, rate: batches[step].learningRate,
            state: &states[layer][k])
        }
        if before.isEmpty { continue }
        batches[step].layers[layer].state = history.rule.state.enumerated().map { place, name in
          State(name: name, values: trace.before.shaped(states[layer].map { $0[place] }))
        }
      }
    }
  }
}

extension StepFile.Parameters {
  /// Every number that training learns: W row by row, b, γ, β.
  var learned: [Double] {
    (weights ?? []).flatMap(\.self) + (bias ?? []) + (gamma ?? []) + (beta ?? [])
  }

  /// Numbers in the order of `learned`, as these parameters stand.
  func shaped(_ values: [Double]) -> StepFile.Parameters {
    var rest = values[...]
    func take(_ count: Int) -> [Double] {
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    return StepFile.Parameters(
      weights: weights.map { $0.map { take($0.count) } }, bias: bias.map { take($0.count) },
      gamma: gamma.map { take($0.count) }, beta: beta.map { take($0.count) })
  }
}
