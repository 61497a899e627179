/// How far numbers are from those expected of them.
///
/// The relative error of a number is |found − expected|, over the largest magnitude expected in its array
/// (one layer's weights, one layer's bias, the outputs, the losses): what is lost of the array's own scale.
/// An element that is near 0 by cancellation is so not held to digits that nobody can compute.
public struct Agreement: Sendable, Equatable {
  /// The largest relative error; NaN where a number is.
  public private(set) var worstError = 0.0
  /// Where it is, "gradients of layer 2, weights"; nil where every number is the one expected.
  public private(set) var place: String?

  /// An agreement without arrays.
  public init() {}

  /// Takes the numbers of one array into account. Both have the same count.
  public mutating func compare(_ found: [Double], with expected: [Double], _ place: @autoclosure () -> String)
  {
    precondition(found.count == expected.count, "\(place()): \(found.count) numbers for \(expected.count)")
    let scale = expected.reduce(0) { max($0, abs($1)) }
    for (found, expected) in zip(found, expected) where found != expected {
      let error = abs(found - expected) / scale
      if error > worstError || (error.isNaN && !worstError.isNaN) {
        (worstError, self.place) = (error, place())
      }
    }
  }
}

extension Agreement {
  /// Compares the results of a run with those that a step file expects.
  ///
  /// - Throws: `StepFileError` where `expect` has other shapes than the network.
  init(of found: StepFile.Expect, with expected: StepFile.Expect) throws {
    self.init()
    try compare(found.outputs, expected.outputs, "outputs")
    try compare(found.losses, expected.losses, "losses")
    try compare(found.gradients, expected.gradients, "gradients")
    try compare(found.parametersAfter, expected.parametersAfter, "parametersAfter")
  }

  private mutating func compare(
    _ found: [StepFile.Parameters], _ expected: [StepFile.Parameters], _ place: String
  ) throws {
    try require(found.count, expected.count, "layers", place)
    for (layer, (found, expected)) in zip(1..., zip(found, expected)) {
      if found.weights != nil || expected.weights != nil {
        try compare(found.weights ?? [], expected.weights ?? [], "\(place) of layer \(layer), weights")
      }
      try compare(found.bias ?? [], expected.bias ?? [], "\(place) of layer \(layer), bias")
      try compare(found.gamma ?? [], expected.gamma ?? [], "\(place) of layer \(layer), gamma")
      try compare(found.beta ?? [], expected.beta ?? [], "\(place) of layer \(layer), beta")
      // PyTorch's files may name statistics of a layerNorm as well, which has none.
      guard let mean = found.mean, let variance = found.variance else { continue }
      try compare(mean, expected.mean ?? [], "\(place) of layer \(layer), mean")
      try compare(variance, expected.variance ?? [], "\(place) of layer \(layer), var")
    }
  }

  private mutating func compare(_ found: [[Double]], _ expected: [[Double]], _ place: String) throws {
    try require(found.count, expected.count, "rows", place)
    for (row, (found, expected)) in zip(1..., zip(found, expected)) {
      try require(found.count, expected.count, "numbers", "\(place), row \(row)")
    }
    compare(found.flatMap(\.self), with: expected.flatMap(\.self), place)
  }

  private mutating func compare(_ found: [Double], _ expected: [Double], _ place: String) throws {
    try require(found.count, expected.count, "numbers", place)
    compare(found, with: expected, place)
  }

  private func require(_ count: Int, _ found: Int, _ what: String, _ place: String) throws {
    guard count == found else {
      throw StepFileError(place: "expect, \(place)", reason: "expected \(count) \(what), found \(found)")
    }
  }
}
