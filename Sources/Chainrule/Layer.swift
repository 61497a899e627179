internal import CChainrule

/// How a layer's parameters get their first values. m is the layer's inputs, n its units.
public enum Initializer: Hashable, Sendable {
  /// Weights: by the activation (He normal for the relu family, LeCun normal for selu, Glorot uniform for
  /// the rest). Bias: zeros.
  case automatic
  /// Uniform in ±√(6 / (m + n)) (Glorot & Bengio 2010)
  case glorotUniform
  /// Normal with variance 2 / (m + n) (Glorot & Bengio 2010)
  case glorotNormal
  /// Uniform in ±√(6 / m) (He et al. 2015)
  case heUniform
  /// Normal with variance 2 / m (He et al. 2015)
  case heNormal
  /// Normal with variance 1 / m (LeCun et al. 1998)
  case lecunNormal
  /// Uniform in ±`scale`
  case uniform(scale: Double)
  /// Normal with that standard deviation
  case normal(standardDeviation: Double)
  /// 0
  case zeros
  /// `value`
  case constant(Double)

  var core: chainrule_initializer {
    switch self {
    case .automatic: .init(kind: .default, value: 0)
    case .glorotUniform: .init(kind: .glorotUniform, value: 0)
    case .glorotNormal: .init(kind: .glorotNormal, value: 0)
    case .heUniform: .init(kind: .heUniform, value: 0)
    case .heNormal: .init(kind: .heNormal, value: 0)
    case .lecunNormal: .init(kind: .lecunNormal, value: 0)
    case .uniform(let scale): .init(kind: .uniform, value: scale)
    case .normal(let deviation): .init(kind: .normal, value: deviation)
    case .zeros: .init(kind: .zeros, value: 0)
    case .constant(let value): .init(kind: .constant, value: value)
    }
  }

  init(_ core: chainrule_initializer) {
    switch core.kind {
    case .default: self = .automatic
    case .glorotUniform: self = .glorotUniform
    case .glorotNormal: self = .glorotNormal
    case .heUniform: self = .heUniform
    case .heNormal: self = .heNormal
    case .lecunNormal: self = .lecunNormal
    case .uniform: self = .uniform(scale: core.value)
    case .normal: self = .normal(standardDeviation: core.value)
    case .zeros: self = .zeros
    case .constant: self = .constant(core.value)
    }
  }
}

extension Initializer {
  /// The names of all initialisers, as files and the command line use them. Those of ``takesValue`` have a number, too.
  public static let names = (0..<UInt32(CHAINRULE_INITIALIZER_COUNT)).map {
    String(cString: chainrule_initializer_name(chainrule_initializer_kind(rawValue: $0)!))
  }

  /// The name that files and the command line use.
  public var name: String { String(cString: chainrule_initializer_name(core.kind)) }

  /// Whether the initialiser has a number: a scale, a standard deviation or a value.
  public var takesValue: Bool {
    switch self {
    case .uniform, .normal, .constant: true
    default: false
    }
  }

  /// The initialiser of that name, with its number where it takes one.
  ///
  /// - Throws: `ChainruleError.invalidArgument` with the names there are.
  public init(named name: String, value: Double = 0) throws(ChainruleError) {
    var kind = chainrule_initializer_kind.default
    try check { chainrule_initializer_named(name, &kind, &$0) }
    self.init(chainrule_initializer(kind: kind, value: value))
  }
}

/// As in a model file: `{"kind": "uniform", "value": 0.1}`; the value is 0 where there is none.
extension Initializer: Codable {
  private enum CodingKeys: String, CodingKey { case kind, value }

  /// Reads a kind of the catalogue; any other throws with the names there are.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      named: container.decode(String.self, forKey: .kind),
      value: container.decodeIfPresent(Double.self, forKey: .value) ?? 0)
  }

  /// Writes the kind and its value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .kind)
    try container.encode(core.value, forKey: .value)
  }
}

/// A fully connected layer: z = W a + b, a = f(z), with W of [units][units of the layer before].
public struct Dense: Hashable, Codable, Sendable {
  /// The number of neurons, at least 1.
  public var units: Int
  /// f
  public var activation: Activation
  /// Whether there is a b.
  public var bias: Bool
  /// How W gets its first values.
  public var weightsInitializer: Initializer
  /// How b gets its first values.
  public var biasInitializer: Initializer

  /// A layer of `units` neurons. Whether a network can have it is checked when the network is made.
  public init(
    _ units: Int, activation: Activation = .identity, bias: Bool = true,
    weightsInitializer: Initializer = .automatic, biasInitializer: Initializer = .automatic
  ) {
    self.units = units
    self.activation = activation
    self.bias = bias
    self.weightsInitializer = weightsInitializer
    self.biasInitializer = biasInitializer
  }

  /// Reads a layer; what is left out, but for the units, has its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try container.decode(Int.self, forKey: .units),
      activation: try container.decodeIfPresent(Activation.self, forKey: .activation) ?? .identity,
      bias: try container.decodeIfPresent(Bool.self, forKey: .bias) ?? true,
      weightsInitializer: try container.decodeIfPresent(Initializer.self, forKey: .weightsInitializer)
        ?? .automatic,
      biasInitializer: try container.decodeIfPresent(Initializer.self, forKey: .biasInitializer) ?? .automatic
    )
  }
}

/// Sets each of its inputs to 0 with probability `rate` and multiplies the others by 1 / (1 - rate), so that sums keep
/// their mean; in prediction it hands its inputs on as they are (Srivastava et al. 2014).
///
/// Which are dropped depends on the trainer's seed, the step, the layer, the row and the column alone.
public struct Dropout: Hashable, Codable, Sendable {
  /// The probability, 0 ≤ rate < 1.
  public var rate: Double

  /// A layer that drops at `rate`; whether that is in its range is checked when the network is made.
  public init(_ rate: Double) { self.rate = rate }
}

/// Gives every feature mean 0 and variance 1 over the rows of a batch, then its own scale γ and shift β:
/// a = γ z + β, z = (x - μ) / √(σ² + ε) (Ioffe & Szegedy 2015).
///
/// In prediction μ and σ² are running statistics, of which each step replaces the share `momentum`. A batch of one row
/// has no variance: its z are 0, and the running statistics stay.
public struct BatchNorm: Hashable, Codable, Sendable {
  /// The share of a batch in the running statistics, 0 < momentum ≤ 1.
  public var momentum: Double
  /// ε > 0
  public var epsilon: Double

  /// PyTorch's numbers where none are given.
  public init(momentum: Double = 0.1, epsilon: Double = 1e-5) {
    self.momentum = momentum
    self.epsilon = epsilon
  }

  /// Reads a layer; what is left out has its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      momentum: try container.decodeIfPresent(Double.self, forKey: .momentum) ?? 0.1,
      epsilon: try container.decodeIfPresent(Double.self, forKey: .epsilon) ?? 1e-5)
  }
}

/// Gives every row mean 0 and variance 1 over its features, then each feature its own scale γ and shift β:
/// a = γ z + β, z = (x - μ) / √(σ² + ε) (Ba, Kiros & Hinton 2016).
public struct LayerNorm: Hashable, Codable, Sendable {
  /// ε > 0
  public var epsilon: Double

  /// PyTorch's ε where none is given.
  public init(epsilon: Double = 1e-5) { self.epsilon = epsilon }

  /// Reads a layer; what is left out has its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(epsilon: try container.decodeIfPresent(Double.self, forKey: .epsilon) ?? 1e-5)
  }
}

/// Scales each feature by numbers that training does not change: a = (x - mean) / deviation.
///
/// As the first layer it lets a network, and the model that is saved, take raw features. As the last layer it is a target
/// scaling, which ``Network/init(inputs:layers:targetScaling:seed:kernelSet:)`` describes.
public struct Scaling: Hashable, Codable, Sendable {
  /// What is taken from each feature.
  public var mean: [Double]
  /// What each is then divided by, above 0.
  public var deviation: [Double]

  /// A layer of `mean.count` features.
  public init(mean: [Double], deviation: [Double]) {
    self.mean = mean
    self.deviation = deviation
  }

  /// The last layer of a network whose targets are standardised: a = σ x + μ, so that the deviation is 1 / σ and the mean
  /// -μ / σ.
  public init(targets standardization: Standardization) {
    let (mean, deviation) = (standardization.mean, standardization.standardDeviation)
    self.init(mean: zip(mean, deviation).map { 0 - $0 / $1 }, deviation: deviation.map { 1 / $0 })
  }

  /// The numbers of a `Standardization` fitted to the features of `data`.
  ///
  /// - Throws: As `Standardization(fitting:)`.
  public init<Scalar: NetworkScalar>(of data: Dataset<Scalar>) throws(ChainruleError) {
    let fitted = try Standardization(fitting: data)
    self.init(mean: fitted.mean, deviation: fitted.standardDeviation)
  }

  /// Reads a layer; where one of the two is left out, the means are 0, or the deviations 1.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let mean = try container.decodeIfPresent([Double].self, forKey: .mean)
    let deviation = try container.decodeIfPresent([Double].self, forKey: .deviation)
    self.init(
      mean: mean ?? Array(repeating: 0, count: deviation?.count ?? 0),
      deviation: deviation ?? Array(repeating: 1, count: mean?.count ?? 0))
  }
}

/// Layers, and their input added to what comes out of them: a = x + block(x), as wide as x.
///
///     Residual {
///       BatchNorm()
///       Activation.relu
///       Dense(64)
///     }
///
/// With the activation before the dense layer, as here, it is the pre-activation block of He et al. 2016.
public struct Residual: Sendable {
  /// The layers inside, and behind them the sum.
  public let layers: [Layer]

  /// A block of the layers in braces, whose last is as wide as what the first is given.
  public init(@LayerBuilder layers: () -> [Layer]) {
    let layers = layers()
    self.layers = layers + [.residual(span: layers.count)]
  }
}

/// An activation of your own: a = f(x), element by element.
///
///     let square = CustomActivation(
///       "square", function: { $0.map { $0 * $0 } }, derivative: { $0.map { 2 * $0 } })
///     let network = try Network<Float>(inputs: 2) {
///       Dense(8)
///       square
///       Dense(1)
///     }
///
/// A step calls each function once, for the whole batch; a prediction once for every few dozen rows, from whatever task
/// predicts. They get zeros of padding among the others, and must return as many numbers as they get. A network with such a
/// layer cannot be saved.
///
/// Either may throw. What computes the network then throws, be it a step, an epoch, a prediction, an evaluation, a Jacobian or
/// a fit: the error itself if it is a `ChainruleError`, else `ChainruleError.callbackFailed` with its description; and
/// `.shapeMismatch` for another number of values. Nothing changes by the step that fails, the network goes on as before, and
/// ``Network/minimize(_:loss:method:iterations:tolerances:isolation:onIteration:)`` leaves it as it was. What a ``Predictor`` was
/// to fill then has some rows of its outputs.
public final class CustomActivation: Hashable, Sendable {
  /// What it is called.
  public let name: String
  let function, derivative: @Sendable ([Double]) throws -> [Double]

  /// f and f′.
  public init(
    _ name: String, function: @escaping @Sendable ([Double]) throws -> [Double],
    derivative: @escaping @Sendable ([Double]) throws -> [Double]
  ) {
    self.name = name
    self.function = function
    self.derivative = derivative
  }

  /// One function is equal to itself only.
  public static func == (left: CustomActivation, right: CustomActivation) -> Bool { left === right }

  /// The identity of the object.
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// One layer of a network's description.
public enum Layer: Hashable, Sendable {
  /// A fully connected layer.
  case dense(Dense)
  /// An activation on its own: a = f(x); softmax as the last layer only.
  case activation(Activation)
  /// Dropout in training.
  case dropout(Dropout)
  /// Normalisation over the batch.
  case batchNorm(BatchNorm)
  /// Normalisation over the row.
  case layerNorm(LayerNorm)
  /// Scaling by given numbers.
  case scaling(Scaling)
  /// a = x + the input of the block of the last `span` layers; ``Residual`` writes it.
  case residual(span: Int)
  /// An activation of your own.
  case custom(CustomActivation)

  /// The number of values a dense layer hands on; nil for the others, which hand on as many as they are given.
  public var units: Int? {
    if case .dense(let dense) = self { dense.units } else { nil }
  }

  /// The layer's activation, identity where it has none.
  public var activation: Activation {
    switch self {
    case .dense(let dense): dense.activation
    case .activation(let activation): activation
    default: .identity
    }
  }

  /// The kind's name, as files spell it.
  public var name: String { String(cString: chainrule_layer_name(core.kind)) }

  /// What the layer computes, in ASCII.
  public var formula: String { String(cString: chainrule_layer_formula(core.kind)) }

  /// The names of all kinds that can be written down: all but ``custom(_:)``.
  public static let names = (0..<UInt32(CHAINRULE_LAYER_COUNT)).map { chainrule_layer_kind(rawValue: $0)! }
    .filter { $0 != .custom }.map { String(cString: chainrule_layer_name($0)) }

  var core: chainrule_layer {
    var core = chainrule_layer()
    switch self {
    case .dense(let dense):
      core.kind = .dense
      core.units = max(dense.units, 0)  // A network refuses a negative size before it comes here.
      core.activation = dense.activation.core
      core.no_bias = !dense.bias
      core.weights = dense.weightsInitializer.core
      core.bias = dense.biasInitializer.core
    case .activation(let activation):
      core.kind = .activation
      core.activation = activation.core
    case .dropout(let dropout):
      core.kind = .dropout
      core.rate = dropout.rate
    case .batchNorm(let norm):
      core.kind = .batchNorm
      core.momentum = norm.momentum
      core.epsilon = norm.epsilon
    case .layerNorm(let norm):
      core.kind = .layerNorm
      core.epsilon = norm.epsilon
    case .scaling(let scaling):
      core.kind = .scaling
      core.units = scaling.mean.count
    case .residual(let span):
      core.kind = .residual
      core.span = max(span, 0)
    case .custom:
      core.kind = .custom
    }
    return core
  }

  /// `scaling` gives the numbers of a scaling layer, which a description does not hold, `custom` the functions.
  init(_ core: chainrule_layer, scaling: () -> Scaling, custom: () -> CustomActivation) {
    switch core.kind {
    case .dense:
      self = .dense(
        Dense(
          core.units, activation: Activation(core.activation), bias: !core.no_bias,
          weightsInitializer: Initializer(core.weights), biasInitializer: Initializer(core.bias)))
    case .activation: self = .activation(Activation(core.activation))
    case .dropout: self = .dropout(Dropout(core.rate))
    case .batchNorm: self = .batchNorm(BatchNorm(momentum: core.momentum, epsilon: core.epsilon))
    case .layerNorm: self = .layerNorm(LayerNorm(epsilon: core.epsilon))
    case .scaling: self = .scaling(scaling())
    case .residual: self = .residual(span: core.span)
    case .custom: self = .custom(custom())
    }
  }
}

extension Layer: CustomStringConvertible {
  /// A few words: "64 relu", "dropout 0.5", "batchNorm".
  public var description: String {
    switch self {
    case .dense(let dense): "\(dense.units) \(dense.activation.rawValue)\(dense.bias ? "" : " (no bias)")"
    case .activation(let activation): activation.rawValue
    case .dropout(let dropout): "dropout \(dropout.rate)"
    case .residual(let span): "residual (\(span))"
    case .custom(let custom): custom.name
    case .batchNorm, .layerNorm, .scaling: name
    }
  }
}

/// As in a model file: `{"type": "dense", "units": 128, "activation": "relu", …}`.
extension Layer: Codable {
  private enum CodingKeys: String, CodingKey { case type, activation, span }

  /// Reads a layer whose type is known; any other throws with the names there are.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let type = try container.decode(String.self, forKey: .type)
    var kind = chainrule_layer_kind.dense
    try check { chainrule_layer_named(type, &kind, &$0) }
    switch kind {
    case .dense: self = .dense(try Dense(from: decoder))
    case .activation: self = .activation(try container.decode(Activation.self, forKey: .activation))
    case .dropout: self = .dropout(try Dropout(from: decoder))
    case .batchNorm: self = .batchNorm(try BatchNorm(from: decoder))
    case .layerNorm: self = .layerNorm(try LayerNorm(from: decoder))
    case .scaling: self = .scaling(try Scaling(from: decoder))
    case .residual: self = .residual(span: try container.decode(Int.self, forKey: .span))
    case .custom: throw Self.notCodable
    }
  }

  /// Writes the type beside the layer's own fields.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .type)
    switch self {
    case .dense(let dense): try dense.encode(to: encoder)
    case .activation(let activation): try container.encode(activation, forKey: .activation)
    case .dropout(let dropout): try dropout.encode(to: encoder)
    case .batchNorm(let norm): try norm.encode(to: encoder)
    case .layerNorm(let norm): try norm.encode(to: encoder)
    case .scaling(let scaling): try scaling.encode(to: encoder)
    case .residual(let span): try container.encode(span, forKey: .span)
    case .custom: throw Self.notCodable
    }
  }
}

extension Layer {
  private static let notCodable = ChainruleError.invalidArgument(
    message: "custom: a function of the program's own cannot be written or read")
}

/// Collects the layers in the braces of ``Network/init(inputs:targetScaling:seed:layers:)`` and of a ``Residual``.
@resultBuilder
public enum LayerBuilder {
  /// One layer.
  public static func buildExpression(_ dense: Dense) -> [Layer] { [.dense(dense)] }
  /// An activation on its own.
  public static func buildExpression(_ activation: Activation) -> [Layer] { [.activation(activation)] }
  /// One layer.
  public static func buildExpression(_ dropout: Dropout) -> [Layer] { [.dropout(dropout)] }
  /// One layer.
  public static func buildExpression(_ norm: BatchNorm) -> [Layer] { [.batchNorm(norm)] }
  /// One layer.
  public static func buildExpression(_ norm: LayerNorm) -> [Layer] { [.layerNorm(norm)] }
  /// One layer.
  public static func buildExpression(_ scaling: Scaling) -> [Layer] { [.scaling(scaling)] }
  /// One layer.
  public static func buildExpression(_ custom: CustomActivation) -> [Layer] { [.custom(custom)] }
  /// The layers of a block and the sum behind them.
  public static func buildExpression(_ residual: Residual) -> [Layer] { residual.layers }
  /// One layer.
  public static func buildExpression(_ layer: Layer) -> [Layer] { [layer] }
  /// Layers that stand in an array.
  public static func buildExpression(_ layers: [Layer]) -> [Layer] { layers }
  /// One part after the other.
  public static func buildBlock(_ parts: [Layer]...) -> [Layer] { parts.flatMap(\.self) }
  /// The layers of an `if` without `else`.
  public static func buildOptional(_ part: [Layer]?) -> [Layer] { part ?? [] }
  /// The layers of an `if`.
  public static func buildEither(first part: [Layer]) -> [Layer] { part }
  /// The layers of an `else`.
  public static func buildEither(second part: [Layer]) -> [Layer] { part }
  /// The layers of a `for`.
  public static func buildArray(_ parts: [[Layer]]) -> [Layer] { parts.flatMap(\.self) }
}
