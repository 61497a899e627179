import Chainrule
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A step file: a network, an optimizer and the batches it is trained on, one step each, as JSON.
///
/// `chainrule explain` reads it. The golden files of the tests are step files with the expected results.
/// Rows of a weight matrix are the neurons of the next layer: zⱼ = Σᵢ weights[j][i] aᵢ + bias[j].
public struct StepFile: Codable, Sendable, Equatable {
  /// The name of the step.
  public var name: String?
  /// "float64" or "float32". Default: float64.
  public var scalar: String?
  /// The number of inputs.
  public var inputs: Int
  /// From the first hidden layer to the output layer.
  public var layers: [Layer]
  /// The name of the loss.
  public var loss: String
  /// The optimizer and its hyper-parameters.
  public var optimizer: Optimizer
  /// s in y ← (1 − s) y + s/n for crossEntropy, (1 − s) y + s/2 for binaryCrossEntropy.
  public var labelSmoothing: Double?
  /// c in g ← g · min(1, c / (‖g‖₂ + 1e-6)), over all parameters together.
  public var gradientClipNorm: Double?
  /// c in g ← min(max(g, −c), c), after the clipping by norm.
  public var gradientClipValue: Double?
  /// How the learning rate changes, counted in steps.
  public var schedule: Schedule?
  /// Seeds the weights that are left out, and dropout. Default: 0.
  public var seed: UInt64?
  /// How often all batches are trained on, 1 to 10 000; with `untilLoss` at most. Default: 1, with `untilLoss` 1000.
  public var `repeat`: Int?
  /// Repeats the batches until L of the last is no more than this.
  public var untilLoss: Double?
  /// One training step each.
  public var batches: [Batch]
  /// The expected results, in a golden file.
  public var expect: Expect?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, scalar, inputs, layers, loss, optimizer, labelSmoothing, gradientClipNorm, gradientClipValue
    case schedule, seed, `repeat`, untilLoss, batches, expect
  }

  /// A layer. Its type decides which fields it has.
  public struct Layer: Codable, Sendable, Equatable {
    /// "dense", "activation", "dropout", "batchNorm", "layerNorm", "scaling" or "residual"
    public var type: String

    /// dense: the number of neurons.
    public var units: Int?
    /// dense, activation: the name of the activation.
    public var activation: String?
    /// dense: W, [out][in]; drawn by `initializer` if left out.
    public var weights: [[Double]]?
    /// dense: b, [out]; null or left out in a layer without bias.
    public var bias: [Double]?
    /// dense: the name of the distribution that weights are drawn from. Default: automatic.
    public var initializer: String?
    /// dense: what the text calls the weights and biases.
    public var names: Names?

    /// dropout: the probability.
    public var rate: Double?

    /// norms: ε, added to the variance. Default: 1e-5.
    public var epsilon: Double?
    /// batchNorm: the weight of a batch in the running statistics. Default: 0.1.
    public var momentum: Double?
    /// norms: the scale γ, [units of the layer before], like all arrays below
    public var gamma: [Double]?
    /// norms: the shift β
    public var beta: [Double]?
    /// batchNorm: the running mean, default 0. scaling: the mean that is subtracted.
    public var mean: [Double]?
    /// batchNorm: the running variance, `var` in JSON, default 1.
    public var variance: [Double]?
    /// scaling: the deviation that divides.
    public var deviation: [Double]?

    /// residual: the layers in its block.
    public var span: Int?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case type, units, activation, weights, bias, initializer, names
      case rate, epsilon, momentum, gamma, beta, mean, deviation, span
      case variance = "var"
    }
  }

  /// What a layer's parameters are called, such as w1 … w4, as they stand in `weights` and `bias`.
  public struct Names: Codable, Sendable, Equatable {
    /// [out][in]
    public var weights: [[String]]?
    /// [out]
    public var bias: [String]?

    enum CodingKeys: String, CodingKey, CaseIterable { case weights, bias }
  }

  /// The name of a rule and the hyper-parameters that are given; the others have the rule's defaults.
  public struct Optimizer: Codable, Sendable, Equatable {
    /// The name of the rule.
    public var type: String
    /// A switch is 1 or 0.
    public var numbers: [Chainrule.Optimizer.Hyperparameter: Double]

    /// The number of a hyper-parameter; nil where it is left out.
    public subscript(hyperparameter: Chainrule.Optimizer.Hyperparameter) -> Double? {
      get { numbers[hyperparameter] }
      set { numbers[hyperparameter] = newValue }
    }

    /// Reads `{"type": "sgd", "learningRate": 0.1, …}`, of which these two keys are required.
    public init(from decoder: any Decoder) throws {
      (type, numbers) = try Chainrule.Optimizer.Hyperparameter.decode(
        from: decoder, requiring: .learningRate)
    }

    /// Writes what is given.
    public func encode(to encoder: any Encoder) throws {
      try Chainrule.Optimizer.Hyperparameter.encode(type, numbers, to: encoder)
    }
  }

  /// The data of one training step.
  public struct Batch: Codable, Sendable, Equatable {
    /// [rows][inputs]
    public var x: [[Double]]
    /// [rows][outputs]
    public var y: [[Double]]
    /// [rows]; equal weights if left out.
    public var sampleWeights: [Double]?

    enum CodingKeys: String, CodingKey, CaseIterable { case x, y, sampleWeights }
  }

  /// The expected results of the training steps.
  public struct Expect: Codable, Sendable, Equatable {
    /// The outputs of the first batch, before the first update, [rows][outputs].
    public var outputs: [[Double]]
    /// The gradients of the first batch, one object a layer.
    public var gradients: [Parameters]
    /// The loss of each batch, before its update.
    public var losses: [Double]
    /// The parameters after the last update, one object a layer.
    public var parametersAfter: [Parameters]

    enum CodingKeys: String, CodingKey, CaseIterable { case outputs, gradients, losses, parametersAfter }

    /// Everything computed, in the order it is written.
    public init(
      outputs: [[Double]], gradients: [Parameters], losses: [Double], parametersAfter: [Parameters]
    ) {
      self.outputs = outputs
      self.gradients = gradients
      self.losses = losses
      self.parametersAfter = parametersAfter
    }
  }

  /// The parameters of one layer, or their gradients. Its type decides which are present.
  public struct Parameters: Codable, Sendable, Equatable {
    /// dense: W or ∂L/∂W, [out][in]
    public var weights: [[Double]]?
    /// dense: b or ∂L/∂b, [out]
    public var bias: [Double]?
    /// norms: γ or ∂L/∂γ
    public var gamma: [Double]?
    /// norms: β or ∂L/∂β
    public var beta: [Double]?
    /// batchNorm: the running mean
    public var mean: [Double]?
    /// batchNorm: the running variance, `var` in JSON
    public var variance: [Double]?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case weights, bias, gamma, beta, mean
      case variance = "var"
    }

    /// The parameters a layer has; the others stay nil.
    public init(
      weights: [[Double]]? = nil, bias: [Double]? = nil, gamma: [Double]? = nil, beta: [Double]? = nil,
      mean: [Double]? = nil, variance: [Double]? = nil
    ) {
      self.weights = weights
      self.bias = bias
      self.gamma = gamma
      self.beta = beta
      self.mean = mean
      self.variance = variance
    }
  }
}

// MARK: - Reading

/// An error in a step file: the place and the reason, in one line.
public struct StepFileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// "layer 2, weights, row 3", counted from 1; or a path in the JSON, `layers[1].weights`.
  public var place: String
  /// What was expected and what was found.
  public var reason: String

  /// place: reason
  public var description: String { "\(place): \(reason)" }
}

extension StepFile {
  /// Reads and validates a step file.
  ///
  /// - Throws: `StepFileError`, which says where the file is wrong.
  public init(json: Data) throws {
    try Self.checkKeys(json)
    try self.init(checked: json)
  }

  /// As ``init(json:)``, after ``checkKeys(_:)``.
  init(checked json: Data) throws {
    do {
      self = try JSONDecoder().decode(StepFile.self, from: json)
    } catch let error as DecodingError {
      throw StepFileError(error)
    }
    try validate()
  }
}

extension StepFileError {
  /// One line for a decoding error: the path in the JSON, and what is wrong there.
  init(_ error: DecodingError) {
    switch error {
    case .keyNotFound(let key, let context):
      self.init(place: Self.path(context.codingPath + [key]), reason: "missing")
    case .valueNotFound(let type, let context):
      self.init(place: Self.path(context.codingPath), reason: "expected \(Self.name(type)), found null")
    case .typeMismatch(let type, let context):
      self.init(place: Self.path(context.codingPath), reason: "expected \(Self.name(type))")
    case .dataCorrupted(let context):
      self.init(place: Self.path(context.codingPath), reason: context.debugDescription)
    @unknown default:
      self.init(place: "step file", reason: "\(error)")
    }
  }

  /// layers[1].weights[0][2]
  private static func path(_ keys: [any CodingKey]) -> String {
    let path = keys.reduce("") { path, key in
      key.intValue.map { "\(path)[\($0)]" } ?? (path.isEmpty ? key.stringValue : "\(path).\(key.stringValue)")
    }
    return path.isEmpty ? "step file" : path
  }

  private static func name(_ type: Any.Type) -> String {
    switch type {
    case is Int.Type: "a whole number"
    case is Double.Type: "a number"
    case is Bool.Type: "true or false"
    case is String.Type: "a string"
    case is [Any].Type: "an array"
    default: "an object"
    }
  }
}
