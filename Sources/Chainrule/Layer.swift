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

/// As in a model file: `{"kind": "uniform", "value": 0.1}`; the value is 0 where there is none.
extension Initializer: Codable {
  private enum CodingKeys: String, CodingKey { case kind, value }

  /// Reads a kind of the catalogue; any other throws with the names there are.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let name = try container.decode(String.self, forKey: .kind)
    var kind = chainrule_initializer_kind.default
    try check { chainrule_initializer_named(name, &kind, &$0) }
    self.init(
      chainrule_initializer(
        kind: kind, value: try container.decodeIfPresent(Double.self, forKey: .value) ?? 0))
  }

  /// Writes the kind and its value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(String(cString: chainrule_initializer_name(core.kind)), forKey: .kind)
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

/// One layer of a network's description.
public enum Layer: Hashable, Sendable {
  /// A fully connected layer.
  case dense(Dense)

  /// The number of values the layer hands on.
  public var units: Int {
    switch self {
    case .dense(let dense): dense.units
    }
  }

  /// The layer's activation.
  public var activation: Activation {
    switch self {
    case .dense(let dense): dense.activation
    }
  }

  var core: chainrule_layer {
    switch self {
    case .dense(let dense):
      // A negative size becomes 0, which the core refuses by name.
      chainrule_layer(
        units: dense.units < 0 ? 0 : dense.units, activation: dense.activation.core, no_bias: !dense.bias,
        weights: dense.weightsInitializer.core, bias: dense.biasInitializer.core)
    }
  }

  init(_ core: chainrule_layer) {
    self = .dense(
      Dense(
        core.units, activation: Activation(core.activation), bias: !core.no_bias,
        weightsInitializer: Initializer(core.weights), biasInitializer: Initializer(core.bias)))
  }
}

/// As in a model file: `{"type": "dense", "units": 128, "activation": "relu", …}`.
extension Layer: Codable {
  private enum CodingKeys: String, CodingKey { case type }

  /// Reads a layer whose type is known; any other throws.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let type = try container.decode(String.self, forKey: .type)
    guard type == "dense" else {
      throw ChainruleError.invalidValue(
        name: "the type of a layer", value: "\"\(type)\"", expected: "\"dense\"")
    }
    self = .dense(try Dense(from: decoder))
  }

  /// Writes the type beside the layer's own fields.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .dense(let dense):
      try container.encode("dense", forKey: .type)
      try dense.encode(to: encoder)
    }
  }
}

/// Collects the layers in the braces of ``Network/init(inputs:seed:layers:)``.
@resultBuilder
public enum LayerBuilder {
  /// One layer.
  public static func buildExpression(_ dense: Dense) -> [Layer] { [.dense(dense)] }
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
