internal import CChainrule

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
