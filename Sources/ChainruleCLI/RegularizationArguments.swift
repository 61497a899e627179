import ArgumentParser
import Chainrule

/// What training does against overfitting and against gradients that are too large.
struct RegularizationArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The part of each target that is shared out among all classes; for crossEntropy and binaryCrossEntropy.",
      valueName: "fraction"))
  var labelSmoothing: Double?

  @Option(
    help: ArgumentHelp(
      "The standard deviation of the noise added to the features, with --standardize as it makes them, anew for every "
        + "update.",
      valueName: "number"))
  var inputNoise: Double?

  @Option(
    help: ArgumentHelp(
      "The largest norm of all gradients together; longer ones are scaled down to it.", valueName: "number"))
  var clipNorm: Double?

  @Option(
    help: ArgumentHelp(
      "The largest magnitude of a gradient's single number; larger ones are cut off.", valueName: "number"))
  var clipValue: Double?

  @Option(
    help: ArgumentHelp(
      "The largest norm of a neuron's weights; longer ones are scaled down to it after an update.",
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

  /// What a training that makes `loss` small does.
  ///
  /// - Throws: `ValidationError` for a label smoothing that the loss does not have.
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

/// What the rows of each class weigh in the loss: "balanced", or "cat=2,dog=0.5".
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

  /// The rows with the weights of their classes; balanced ones go by the numbers of these rows.
  ///
  /// - Throws: `ValidationError` for a regression, and for a class that there is not.
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
