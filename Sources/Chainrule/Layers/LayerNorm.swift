internal import CChainrule

/// Normalises every row to mean 0 and variance 1 over its features, then applies each feature's own scale γ
/// and shift β: a = γ z + β, z = (x - μ) / √(σ² + ε) (Ba, Kiros & Hinton 2016).
public struct LayerNorm: Hashable, Codable, Sendable {
  /// ε > 0
  public var epsilon: Double

  /// Creates a layer. The default ε is PyTorch's.
  public init(epsilon: Double = 1e-5) { self.epsilon = epsilon }

  /// Reads a layer; missing numbers have their defaults.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(epsilon: try container.decodeIfPresent(Double.self, forKey: .epsilon) ?? 1e-5)
  }
}

extension LayerNorm: LayerKind {
  static let kind = chainrule_layer_kind.layerNorm

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer {
    .layerNorm(LayerNorm(epsilon: core.epsilon))
  }

  var layer: Layer { .layerNorm(self) }

  func objection(at index: Int) -> String? {
    epsilon == 0 ? zero("epsilon", at: index, expected: "a finite number above 0") : nil
  }

  func describe(_ core: inout chainrule_layer) { core.epsilon = epsilon }
}
