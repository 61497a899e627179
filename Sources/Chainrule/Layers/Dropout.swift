internal import CChainrule

/// Sets each of its inputs to 0 with probability `rate` and multiplies the others by 1 / (1 - rate), so that
/// sums keep their mean. In predictions it returns its inputs unchanged (Srivastava et al. 2014).
///
/// The dropped inputs depend only on the trainer's seed, the step, the layer, the row and the column.
public struct Dropout: Hashable, Codable, Sendable {
  /// The probability, 0 ≤ rate < 1.
  public var rate: Double

  /// Creates a layer. A network checks the rate when it is created.
  public init(_ rate: Double) { self.rate = rate }
}

extension Dropout: LayerKind {
  static let kind = chainrule_layer_kind.dropout

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer { .dropout(Dropout(core.rate)) }

  var layer: Layer { .dropout(self) }
  var words: String { "dropout \(rate)" }

  func describe(_ core: inout chainrule_layer) { core.rate = rate }
}
