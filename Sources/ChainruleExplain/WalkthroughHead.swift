import Chainrule

// What stands before the first step and after the last.

extension Tale {
  /// The network, how it is trained, and the symbols.
  var head: [Block] {
    let layers = explanation.layers.map(\.description)
    let inputs = "\(explanation.inputs) input\(explanation.inputs == 1 ? "" : "s")"
    let numbers = explanation.optimizer.symbols.map { "\($0.symbol) = \(FormulaText().number($0.value))" }
    var training: [(term: String, meaning: String)] = [
      ("Network", "\(([inputs] + layers).joined(separator: " → ")), \(explanation.scalar)"),
      ("Loss", "\(explanation.loss)"),
      ("Optimizer", ([explanation.optimizer.name] + numbers).joined(separator: ", ")),
    ]
    if let schedule = explanation.schedule {
      training.append(("Schedule", "\(schedule.name) per step, η(t) = \(schedule.formula)"))
    }
    let regularization = explanation.regularization
    if regularization.labelSmoothing > 0 {
      training.append(("Targets", "smoothed, s = \(FormulaText().number(regularization.labelSmoothing))"))
    }
    let bounds = [
      regularization.gradientClipNorm.map { "‖g‖ to \(FormulaText().number($0))" },
      regularization.gradientClipValue.map { "each to ±\(FormulaText().number($0))" },
    ].compactMap(\.self)
    if !bounds.isEmpty {
      training.append(("Gradients", "clipped, \(bounds.joined(separator: ", then "))"))
    }
    return [
      .section(title: "The network", [.definitions(training)]),
      .section(title: "Symbols", [.definitions(symbols)]),
    ]
  }

  /// Every symbol of the text, once.
  private var symbols: [(term: String, meaning: String)] {
    var symbols: [(term: String, meaning: String)] = [
      ("x, y", "the inputs and the targets of a row"),
      ("wⱼᵢ, bⱼ", "the weight from input i to neuron j of a layer, and the neuron's bias; W, b hold all"),
      ("zⱼ", "the sum of products of neuron j"),
      ("aⱼ", "its activation f(zⱼ), which the next layer takes"),
      ("⁽²⁾", "of layer 2; without it, of the layer that the section is about"),
      ("L", "the loss, which training makes small"),
      ("δⱼ", "∂L/∂zⱼ, how fast L grows with zⱼ"),
      ("f′(z)", "∂a/∂z, the slope of the activation"),
      ("g", "∂L/∂w, the gradient of a parameter w"),
      ("η", "the learning rate, the size of an update"),
    ]
    if explanation.batches.contains(where: { $0.x.count > 1 }) {
      symbols.append(("l, s", "the loss of one row, and the factor with which it enters L"))
    }
    let kinds = layers.map(\.name)
    if kinds.contains("batchNorm") || kinds.contains("layerNorm") {
      symbols += [
        ("μ, σ²", "the mean and the variance that a normalization takes out"),
        ("γⱼ, βⱼ", "the scale and the shift that it learns"),
      ]
    }
    return symbols + explanation.optimizer.updateRule.symbols
  }

  /// The agreement with what the file expects.
  var foot: [Block] {
    guard let agreement = explanation.agreement else { return [] }
    let place = agreement.place.map { ", in \($0)" } ?? ""
    let error = FormulaText(digits: 2).number(agreement.worstError)
    return [.paragraph("Worst relative error to what the file expects: \(error)\(place)")]
  }

  /// The last batch, before its update and after.
  var afterwards: Block {
    let (last, after) = (explanation.batches.last!, explanation.afterwards)
    let count = explanation.batches.count
    let outputs = last.layers.last!.a
    let changes = rows(of: last) { row in
      [
        neurons(outputs[row].count) { j in
          [.change(name: "a\(index(j))", from: outputs[row][j], to: after.outputs[row][j])]
        }, .vector(name: "y", last.y[row]),
      ]
    }
    var blocks: [Block] = [
      .paragraph(
        count == 1
          ? "The next prediction, with the new parameters, and the new loss:"
          : "The last batch, before its update and after:")
    ]
    if layers.contains(where: { $0.name == "dropout" }) {
      blocks.append(.paragraph("The dropout drops other values now, those of the next step."))
    }
    if count > 1 {
      blocks.append(.vector(name: "L of each step, before its update", explanation.batches.map(\.loss)))
    }
    blocks += [changes, .change(name: "L", from: last.loss, to: after.loss)]
    return .section(title: count == 1 ? "After the update" : "After \(count) updates", blocks)
  }
}
