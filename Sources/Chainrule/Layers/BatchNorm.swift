internal import CChainrule

/// Normalises every feature to mean 0 and variance 1 over the rows of a batch, then applies the feature's own
/// scale γ and shift β: a = γ z + β, z = (x - μ) / √(σ² + ε) (Ioffe & Szegedy 2015).
///
/// For predictions, μ and σ² are running statistics: each step replaces the fraction `momentum` of them. A
/// batch of one row has no variance: its z are 0, and the running statistics do not change.
public struct BatchNorm: Hashable, Codable, Sendable {
  /// The weight of a batch in the running statistics, 0 < momentum ≤ 1.
  public var momentum: Double
  /// ε > 0
  public var epsilon: Double

  /// Creates a layer. The defaults are PyTorch's.
  public init(momentum: Double = 0.1, epsilon: Double = 1e-5) {
    self.momentum = momentum
    self.epsilon = epsilon
  }

  /// Reads a layer; missing numbers have their defaults.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      momentum: try container.decodeIfPresent(Double.self, forKey: .momentum) ?? 0.1,
      epsilon: try container.decodeIfPresent(Double.self, forKey: .epsilon) ?? 1e-5)
  }
}

extension BatchNorm: LayerKind {
  static let kind = chainrule_layer_kind.batchNorm

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer {
    .batchNorm(BatchNorm(momentum: core.momentum, epsilon: core.epsilon))
  }

  var layer: Layer { .batchNorm(self) }

  func objection(at index: Int) -> String? {
    if momentum == 0 { return zero("momentum", at: index, expected: "above 0, and at most 1") }
    return epsilon == 0 ? zero("epsilon", at: index, expected: "a finite number above 0") : nil
  }

  func describe(_ core: inout chainrule_layer) {
    core.momentum = momentum
    core.epsilon = epsilon
  }
}
