internal import CChainrule

/// A fully connected layer: z = W a + b, a = f(z), where W has the shape [units][units of the layer before].
public struct Dense: Hashable, Codable, Sendable {
  /// The number of neurons, at least 1.
  public var units: Int
  /// f
  public var activation: Activation
  /// Whether the layer has a bias b.
  public var bias: Bool
  /// The initial values of W.
  public var weightsInitializer: Initializer
  /// The initial values of b.
  public var biasInitializer: Initializer

  /// Creates a layer of `units` neurons. A network checks the numbers when it is created.
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

  /// Reads a layer; everything but the units is optional and has a default.
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

extension Dense: LayerKind {
  static let kind = chainrule_layer_kind.dense

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer {
    .dense(
      Dense(
        core.units, activation: Activation(core.activation), bias: !core.no_bias,
        weightsInitializer: Initializer(core.weights), biasInitializer: Initializer(core.bias)))
  }

  var layer: Layer { .dense(self) }
  var words: String { "\(units) \(activation.rawValue)\(bias ? "" : " (no bias)")" }

  func objection(at index: Int) -> String? {
    units < 0 ? "layer \(index + 1) has \(units) units; expected 1 to \(Int32.max)" : nil
  }

  func describe(_ core: inout chainrule_layer) {
    core.units = units
    core.activation = activation.core
    core.no_bias = !bias
    core.weights = weightsInitializer.core
    core.bias = biasInitializer.core
  }
}
