import Chainrule

// Checks that shapes and ranges agree.

extension StepFile {
  /// Checks that the shapes agree: layers with each other, batches with the network.
  ///
  /// Names of activations, losses and optimizers are for whoever builds the network to check.
  ///
  /// - Throws: `StepFileError`, which names the layer, batch and row, counted from 1.
  public func validate() throws {
    if let scalar, scalar != "float64", scalar != "float32" {
      throw StepFileError(place: "scalar", reason: "expected float64 or float32, found \(scalar)")
    }
    try require(inputs >= 1, "inputs", "expected at least 1, found \(inputs)")
    try require(!layers.isEmpty, "layers", "expected at least one layer, found none")
    try require(!batches.isEmpty, "batches", "expected at least one batch, found none")
    try require(
      layers.last!.type != "scaling", "layer \(layers.count), type",
      "a scaling layer at the end scales the targets, which is not supported here; remove it and standardize y"
    )

    if let `repeat` {
      try require((1...10_000).contains(`repeat`), "repeat", "expected 1 to 10000, found \(`repeat`)")
    }
    if let untilLoss {
      try require(untilLoss >= 0, "untilLoss", "expected 0 or more, found \(untilLoss)")
    }
    if let schedule {
      if case .plateau = schedule.rule {
        throw StepFileError(
          place: "schedule, type", reason: "plateau needs epochs; expected another schedule")
      }
      try require(
        schedule.unit == .step, "schedule, unit", "a step file has no epochs; expected \"unit\": \"step\"")
    }

    var width = inputs
    for (layer, number) in zip(layers, 1...) {
      try layer.validate("layer \(number)", width: &width)
    }
    for (batch, number) in zip(batches, 1...) {
      try batch.validate("batch \(number)", inputs: inputs, outputs: width)
    }
  }
}

extension StepFile.Layer {
  /// `width` is the number of inputs before, of outputs after.
  fileprivate func validate(_ place: String, width: inout Int) throws {
    switch type {
    case "dense":
      guard let units else { throw StepFileError(place: "\(place), units", reason: "missing") }
      try require(units >= 1, "\(place), units", "expected at least 1, found \(units)")
      try require(activation != nil, "\(place), activation", "missing")
      if let weights {
        try requireCount(weights, units, "row", "\(place), weights")
        try requireRows(weights, of: width, "\(place), weights")
        try require(
          initializer == nil, "\(place), initializer", "expected either weights or initializer, found both")
      }
      if let bias { try requireCount(bias, units, "number", "\(place), bias") }
      try names?.validate("\(place), names", units: units, inputs: width, hasBias: bias != nil)
      width = units
    case "activation":
      try require(activation != nil, "\(place), activation", "missing")
    case "dropout":
      try require(rate != nil, "\(place), rate", "missing")
    case "batchNorm", "layerNorm":
      try requireCount(gamma, width, "\(place), gamma")
      try requireCount(beta, width, "\(place), beta")
      if mean != nil { try requireCount(mean, width, "\(place), mean") }
      if variance != nil { try requireCount(variance, width, "\(place), var") }
    case "scaling":
      try requireCount(mean, width, "\(place), mean")
      try requireCount(deviation, width, "\(place), deviation")
    case "residual":
      try require(span != nil, "\(place), span", "missing")
    default:
      throw StepFileError(
        place: "\(place), type", reason: "expected \(list(Chainrule.Layer.names, "or")), found \(type)")
    }
  }
}

extension StepFile.Names {
  fileprivate func validate(_ place: String, units: Int, inputs: Int, hasBias: Bool) throws {
    if let weights {
      try requireCount(weights, units, "row", "\(place), weights")
      for (row, number) in zip(weights, 1...) {
        try requireCount(row, inputs, "name", "\(place), weights, row \(number)")
      }
    }
    if let bias {
      try require(hasBias, "\(place), bias", "the layer has no bias to name")
      try requireCount(bias, units, "name", "\(place), bias")
    }
    for name in (weights ?? []).flatMap(\.self) + (bias ?? []) where !Self.isName(name) {
      throw StepFileError(
        place: place,
        reason:
          "expected a letter and then at most 7 letters or digits, found \(name.escaped(for: .terminal))")
    }
  }

  private static func isName(_ name: String) -> Bool {
    let isLetter: (UnicodeScalar) -> Bool = { $0.properties.isAlphabetic }
    return (1...8).contains(name.unicodeScalars.count) && isLetter(name.unicodeScalars.first!)
      && name.unicodeScalars.allSatisfy {
        isLetter($0) || ("0"..."9").contains($0) || ("₀"..."₉").contains($0)
      }
  }

  /// The names as formulas write them, with digits at the end lowered: w₁ for w1.
  var lowered: StepFile.Names {
    func lower(_ name: String) -> String {
      let digits = name.reversed().prefix { ("0"..."9").contains($0) }.reversed()
      return name.dropLast(digits.count) + ChainruleExplain.lowered(String(digits))
    }
    return StepFile.Names(weights: weights.map { $0.map { $0.map(lower) } }, bias: bias.map { $0.map(lower) })
  }
}

extension StepFile {
  /// How often all batches are trained on, at most.
  var rounds: Int { `repeat` ?? (untilLoss == nil ? 1 : 1000) }
}

extension StepFile.Batch {
  fileprivate func validate(_ place: String, inputs: Int, outputs: Int) throws {
    try require(!x.isEmpty, "\(place), x", "expected at least one row, found none")
    try requireCount(y, x.count, "row", "\(place), y", because: " as in x")
    try requireRows(x, of: inputs, "\(place), x")
    try requireRows(y, of: outputs, "\(place), y")
    if let sampleWeights {
      try requireCount(
        sampleWeights, x.count, "number", "\(place), sampleWeights", because: " as x has rows")
      let sum = sampleWeights.reduce(0, +)
      try require(
        sum > 0 && sampleWeights.allSatisfy { $0 >= 0 }, "\(place), sampleWeights",
        "expected no negative number and a sum above 0")
    }
  }
}

private func require(_ condition: Bool, _ place: String, _ reason: String) throws {
  guard condition else { throw StepFileError(place: place, reason: reason) }
}

private func requireCount(_ numbers: [Double]?, _ count: Int, _ place: String) throws {
  guard let numbers else { throw StepFileError(place: place, reason: "missing") }
  try requireCount(numbers, count, "number", place)
}

private func requireCount(
  _ array: [some Any], _ count: Int, _ what: String, _ place: String, because reason: String = ""
) throws {
  let plural = count == 1 ? what : "\(what)s"
  try require(array.count == count, place, "expected \(count) \(plural)\(reason), found \(array.count)")
}

private func requireRows(_ rows: [[Double]], of count: Int, _ place: String) throws {
  for (row, number) in zip(rows, 1...) {
    try requireCount(row, count, "number", "\(place), row \(number)")
  }
}
