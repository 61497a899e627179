import Chainrule

// What clips the gradients, and the update of each parameter with the optimizer's state.

extension Tale {
  func clipping(of batch: Explanation.Batch) -> [Block] {
    let value = explanation.regularization.gradientClipValue
    let bound = value.map { [.vector(name: "c, for each g", [$0])] as [Block] } ?? []
    guard let (norm, factor) = explanation.clipFactor(of: batch) else {
      return value == nil
        ? [] : [.section(title: "Clipping", [.formulas(["g ← min(max(g, −c), c)"])] + bound)]
    }
    return [
      .section(
        title: "Clipping",
        [
          .formulas(
            ["k = min(1, c/(‖g‖ + 1e-6))", "g ← k·g"]
              + (value == nil ? [] : ["then g ← min(max(g, −c), c)"])),
          .equation("‖g‖", numbers: norm), .equation("k", numbers: factor),
        ] + bound)
    ]
  }

  func update(_ step: Int) -> Block {
    let batch = explanation.batches[step]
    let history = UpdateHistory(explanation.optimizer)
    let isClipped =
      explanation.clipFactor(of: batch) != nil
      || explanation.regularization.gradientClipValue != nil
    var blocks: [Block] = [.formulas(history.rule.formulas)]
    blocks.append(.formulas([isClipped ? "g = ∂L/∂w, clipped" : "g = ∂L/∂w"]))
    if explanation.schedule != nil {
      blocks.append(.vector(name: "η of this step, by the schedule", [batch.learningRate]))
    }
    if !history.rule.state.isEmpty {
      blocks.append(.paragraph("The state begins as \(stateBefore(step)) and goes from step to step."))
    }
    blocks += layers.indices.compactMap { update($0, step, history) }
    return .section(title: "Update", blocks)
  }

  private func stateBefore(_ step: Int) -> String {
    let history = UpdateHistory(explanation.optimizer)
    let start = history.start(rate: explanation.batches[0].learningRate)
    return zip(history.rule.state, start).map { "\($0) = \(FormulaText().number($1))" }
      .joined(separator: ", ")
  }

  private func update(_ layer: Int, _ step: Int, _ history: UpdateHistory) -> Block? {
    let batch = explanation.batches[step]
    let trace = batch.layers[layer]
    let update = LayerUpdate(self, layer, step)
    if update.names.isEmpty { return nil }
    var blocks: [Block] = []
    if history.rule.state.isEmpty {
      blocks = [.list(List(kind: .parameters, count: update.names.count) { update.equations($0) })]
    } else {
      // One in full, all in a table.
      blocks = [
        .section(
          title: update.names[0], [.vector(name: "g", [update.gradients[0]])] + update.equations(0))
      ]
      if update.names.count > 1 {
        let states = trace.state.map(\.values.learned)
        let table = Walkthrough.Table(
          header: ["", "before", "g"] + history.rule.state + ["after"],
          rows: List(kind: .parameters, count: update.names.count) { k in
            let numbers = [update.before[k], update.gradients[k]] + states.map { $0[k] } + [update.after[k]]
            return [.vector(name: update.names[k], numbers)]
          })
        blocks.append(.table(table))
      }
    }
    let running = running(layer, of: batch)
    return section(layer, running.formulas, blocks + running.blocks)
  }

  /// The state of a layer's parameters before a step, one array for each name of the rule.
  fileprivate func states(_ layer: Int, before step: Int) -> [[Double]] {
    if step > 0 { return explanation.batches[step - 1].layers[layer].state.map(\.values.learned) }
    let count = explanation.batches[0].layers[layer].before.learned.count
    return UpdateHistory(explanation.optimizer).start(rate: explanation.batches[0].learningRate)
      .map { Array(repeating: $0, count: count) }
  }

  /// The names of a layer's parameters, in the order of `learned`.
  func parameterNames(_ layer: Int, _ parameters: StepFile.Parameters) -> [String] {
    let weights = (parameters.weights ?? []).enumerated().flatMap { j, row in
      row.indices.map { parameter(layer, j, $0) }
    }
    return weights + (parameters.bias ?? []).indices.map { parameter(layer, $0, nil) }
      + (parameters.gamma ?? []).indices.map { "γ\(index($0))" }
      + (parameters.beta ?? []).indices.map { "β\(index($0))" }
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
          "mean\(index(j))", .becomes, numbers: blend(before.mean![j], .number(sums.mean)),
          value: after.mean![j]),
        .equation(
          "var\(index(j))", .becomes, numbers: blend(before.variance![j], unbiased), value: after.variance![j]
        ),
      ]
    }
    return (
      ["meanⱼ ← (1 − m)·meanⱼ + m·μⱼ", "varⱼ ← (1 − m)·varⱼ + m·σ²ⱼ·n/(n − 1)"], [blocks]
    )
  }
}

/// The update of a layer's parameters in one step, in the order of `learned`.
struct LayerUpdate {
  let names: [String]
  let before: [Double]
  let after: [Double]
  /// Clipped.
  let gradients: [Double]
  private let states: [[Double]]
  private let history: UpdateHistory
  private let step: Int
  private let rate: Double

  init(_ tale: Tale, _ layer: Int, _ step: Int) {
    let batch = tale.explanation.batches[step]
    let trace = batch.layers[layer]
    names = tale.parameterNames(layer, trace.before)
    (before, after) = (trace.before.learned, trace.after.learned)
    gradients = tale.explanation.clipped(trace.gradients.learned, of: batch)
    states = tale.states(layer, before: step)
    history = UpdateHistory(tale.explanation.optimizer)
    (self.step, rate) = (step, batch.learningRate)
  }

  /// The update of parameter k, equation by equation.
  func equations(_ k: Int) -> [Walkthrough.Block] {
    var state = states.map { $0[k] }
    return history.update(
      before[k], to: after[k], by: gradients[k], step: step + 1, rate: rate, state: &state
    ).map { .equation($0 == "w" ? names[k] : $0, $1, numbers: $2, value: $3) }
  }
}
