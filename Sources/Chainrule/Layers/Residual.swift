internal import CChainrule

/// A block of layers whose input is added to its output: a = x + block(x), of the same size as x.
///
///     Residual {
///       BatchNorm()
///       Activation.relu
///       Dense(64)
///     }
///
/// With the activation before the dense layer, as here, it is the pre-activation block of He et al. 2016.
public struct Residual: Sendable {
  /// The layers of the block, then the sum.
  public let layers: [Layer]

  /// Creates a block. The output of its last layer must have the size of the input of its first.
  public init(@LayerBuilder layers: () -> [Layer]) {
    let layers = layers()
    self.layers = layers + [.residual(span: layers.count)]
  }
}

/// The sum at the end of a block of `span` layers.
struct ResidualSum: LayerKind, Codable {
  static let kind = chainrule_layer_kind.residual

  let span: Int

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer { .residual(span: core.span) }

  var layer: Layer { .residual(span: span) }
  var words: String { "residual (\(span))" }

  func objection(at index: Int) -> String? {
    span < 0
      ? "layer \(index + 1), residual: span is \(span); expected 1 to \(index), the layers before it" : nil
  }

  func describe(_ core: inout chainrule_layer) { core.span = span }
}
