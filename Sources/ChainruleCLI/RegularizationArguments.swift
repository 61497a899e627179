import ArgumentParser
import Chainrule

/// Regularization and gradient clipping. Weight decay and L1 are hyper-parameters of the optimizer.
struct RegularizationArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Label smoothing s for crossEntropy and binaryCrossEntropy, 0 or more and less than 1: y becomes (1 - s) y + s / "
        + "classes. Default: 0.",
      valueName: "fraction"))
  var labelSmoothing: Double?

  @Option(
    help: ArgumentHelp(
      "Standard deviation of the normal noise that is added to the scaled features in each update, 0 or more. Default: 0.",
      valueName: "number"))
  var inputNoise: Double?

  @Option(
    help: ArgumentHelp(
      "Scale all gradients down so that their common norm is at most this, above 0. Default: no clipping.",
      valueName: "number"))
  var clipNorm: Double?

  @Option(
    help: ArgumentHelp(
      "Limit each number of the gradients to this magnitude, above 0. Default: no clipping.",
      valueName: "number"))
  var clipValue: Double?

  @Option(
    help: ArgumentHelp(
      "Scale the weights of a unit down after an update so that their norm is at most this, above 0. Default: no limit.",
      valueName: "number"))
  var maxNorm: Double?

  /// The options, and whether each is given.
  var given: [(String, Bool)] {
    [
      ("--label-smoothing", labelSmoothing != nil), ("--input-noise", inputNoise != nil),
      ("--clip-norm", clipNorm != nil), ("--clip-value", clipValue != nil), ("--max-norm", maxNorm != nil),
    ]
  }

  func validate() throws {
    try require("--label-smoothing", labelSmoothing, "a fraction of at least 0 and below 1") { 0..<1 ~= $0 }
    try require("--input-noise", inputNoise, "a number of at least 0") { $0 >= 0 && $0.isFinite }
    try require("--clip-norm", clipNorm, "a number above 0") { $0 > 0 && $0.isFinite }
    try require("--clip-value", clipValue, "a number above 0") { $0 > 0 && $0.isFinite }
    try require("--max-norm", maxNorm, "a number above 0") { $0 > 0 && $0.isFinite }
  }

  /// The regularization for a loss.
  ///
  /// - Throws: `ValidationError` for label smoothing with another loss than a cross-entropy.
  func regularization(with loss: Loss) throws -> Regularization {
    if let labelSmoothing, labelSmoothing > 0, loss != .crossEntropy, loss != .binaryCrossEntropy {
      throw ValidationError(
        "--label-smoothing is \(labelSmoothing), with the loss \(loss.rawValue); "
          + "expected crossEntropy or binaryCrossEntropy")
    }
    return Regularization(
      labelSmoothing: labelSmoothing ?? 0, inputNoise: inputNoise ?? 0, gradientClipNorm: clipNorm,
      gradientClipValue: clipValue, maxNorm: maxNorm)
  }

  /// A few words for each option given: "L1 0.001".
  var summary: [String] {
    [
      ("label smoothing", labelSmoothing),
      ("input noise", inputNoise), ("gradient norm ≤", clipNorm), ("gradients ≤", clipValue),
      ("weight norms ≤", maxNorm),
    ].compactMap { name, value in value.map { "\(name) \(short($0))" } }
  }
}

/// The weights of the classes in the loss: "balanced", or "cat=2,dog=0.5".
enum ClassWeights: Sendable {
  case balanced
  case given([String: Double])

  init(parsing text: String) throws {
    if text == "balanced" {
      self = .balanced
      return
    }
    var weights: [String: Double] = [:]
    // A name with a comma stands in double quotes.
    for part in (try? parseColumns(text)) ?? [] {
      guard let sign = part.lastIndex(of: "="), let weight = Double(part[part.index(after: sign)...]),
        weight >= 0, weight.isFinite
      else {
        throw ValidationError(
          "expected balanced, or classes with weights of at least 0, separated by commas, such as cat=2,dog=0.5; a name with "
            + "a comma stands in double quotes"
        )
      }
      let name = String(part[..<sign])
      if weights.updateValue(weight, forKey: name) != nil {
        throw ValidationError("the class \"\(name)\" has two weights; expected each class once")
      }
    }
    guard !weights.isEmpty else {
      throw ValidationError(
        "expected balanced, or classes with weights of at least 0, separated by commas, such as cat=2,dog=0.5"
      )
    }
    self = .given(weights)
  }

  /// The rows with the weights of their classes; balanced weights count these rows.
  ///
  /// - Throws: `ValidationError` for a regression, and for an unknown class.
  func applied<Scalar>(to data: Dataset<Scalar>) throws -> Dataset<Scalar> {
    try asUsage(of: "--class-weights") { () throws(ChainruleError) in
      switch self {
      case .balanced: try data.weighted(byClass: data.balancedClassWeights())
      case .given(let weights): try data.weighted(byClass: weights)
      }
    }
  }
}

extension ClassWeights: CustomStringConvertible {
  var description: String {
    switch self {
    case .balanced: "balanced classes"
    case .given(let weights):
      "class weights "
        + weights.sorted { $0.key < $1.key }.map { "\($0) \(short($1))" }.joined(separator: ", ")
    }
  }
}
