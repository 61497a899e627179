internal import CChainrule

/// One layer of a network's description.
public enum Layer: Hashable, Sendable {
  /// A fully connected layer.
  case dense(Dense)
  /// An activation as a layer of its own: a = f(x). Softmax must be the last layer.
  case activation(Activation)
  /// Dropout during training.
  case dropout(Dropout)
  /// Normalisation over the batch.
  case batchNorm(BatchNorm)
  /// Normalisation over the row.
  case layerNorm(LayerNorm)
  /// Scaling by given numbers.
  case scaling(Scaling)
  /// a = x + the input of the block of the last `span` layers; ``Residual`` creates it.
  case residual(span: Int)
  /// A custom activation.
  case custom(CustomActivation)

  /// The number of neurons of a dense layer; `nil` for other kinds, whose output has the size of their input.
  public var units: Int? {
    if case .dense(let dense) = self { dense.units } else { nil }
  }

  /// The layer's activation; identity if it has none.
  public var activation: Activation {
    switch self {
    case .dense(let dense): dense.activation
    case .activation(let activation): activation
    default: .identity
    }
  }

  /// The name of the kind in files.
  public var name: String { String(cString: chainrule_layer_name(coreKind)) }

  /// The formula of the layer, in ASCII.
  public var formula: String { String(cString: chainrule_layer_formula(coreKind)) }

  /// The names of all kinds that a file can contain: all but ``custom(_:)``.
  public static let names = (0..<UInt32(CHAINRULE_LAYER_COUNT)).map { chainrule_layer_kind(rawValue: $0)! }
    .filter { $0 != .custom }.map { String(cString: chainrule_layer_name($0)) }
}

// MARK: - Kinds of layers

/// The requirements of a kind of layer. Each kind is a type in a file of its own. In addition, ``Layer`` has
/// a case for it, and ``LayerBuilder`` a line.
protocol LayerKind: Sendable {
  /// The kind's row in the core's catalogue.
  static var kind: chainrule_layer_kind { get }
  /// Returns the layer for a description of the core, which does not include the numbers of a scaling layer.
  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer
  /// The layer that a file describes.
  static func layer(from decoder: any Decoder) throws -> Layer

  var layer: Layer { get }
  /// A short description, such as "64 relu".
  var words: String { get }
  /// Returns why a network cannot have the layer after `index` others, for numbers that the core would
  /// misread, such as 0 as the default. Returns `nil` if the layer is valid or if the core reports the error.
  func objection(at index: Int) -> String?
  /// Fills in the kind's fields of the core's description. Called after `objection`.
  func describe(_ core: inout chainrule_layer)
  /// Writes the layer as in a model file, without the type.
  func encode(to encoder: any Encoder) throws
}

extension LayerKind {
  var words: String { layer.name }
  func objection(at index: Int) -> String? { nil }

  /// The core's message for a number that is out of its range, here 0.
  func zero(_ name: String, at index: Int, expected: String) -> String {
    "layer \(index + 1), \(layer.name): \(name) must be \(expected); got 0"
  }
}

extension LayerKind where Self: Decodable {
  static func layer(from decoder: any Decoder) throws -> Layer { try Self(from: decoder).layer }
}

extension Layer {
  var kind: any LayerKind {
    switch self {
    case .dense(let dense): dense
    case .activation(let activation): LoneActivation(activation: activation)
    case .dropout(let dropout): dropout
    case .batchNorm(let norm): norm
    case .layerNorm(let norm): norm
    case .scaling(let scaling): scaling
    case .residual(let span): ResidualSum(span: span)
    case .custom(let activation): activation
    }
  }

  private static func type(of kind: chainrule_layer_kind) -> any LayerKind.Type {
    switch kind {
    case .dense: Dense.self
    case .activation: LoneActivation.self
    case .dropout: Dropout.self
    case .batchNorm: BatchNorm.self
    case .layerNorm: LayerNorm.self
    case .scaling: Scaling.self
    case .residual: ResidualSum.self
    case .custom: CustomActivation.self
    }
  }

  private var coreKind: chainrule_layer_kind { Swift.type(of: kind).kind }

  /// The core's description, without the functions of a custom layer.
  var core: chainrule_layer {
    var core = chainrule_layer()
    core.kind = coreKind
    kind.describe(&core)
    return core
  }

  /// Creates the layer of a description of the core. `scaling` returns the numbers of a scaling layer, which
  /// the description does not include.
  init(_ core: chainrule_layer, scaling: () -> Scaling) {
    self = Self.type(of: core.kind).layer(core, scaling: scaling)
  }
}

/// An activation as a layer of its own.
private struct LoneActivation: LayerKind, Codable {
  static let kind = chainrule_layer_kind.activation

  let activation: Activation

  static func layer(_ core: chainrule_layer, scaling: () -> Scaling) -> Layer {
    .activation(Activation(core.activation))
  }

  var layer: Layer { .activation(activation) }
  var words: String { activation.rawValue }

  func describe(_ core: inout chainrule_layer) { core.activation = activation.core }
}

extension Layer: CustomStringConvertible {
  /// A short description: "64 relu", "dropout 0.5", "batchNorm".
  public var description: String { kind.words }
}

/// The form of a model file: `{"type": "dense", "units": 128, "activation": "relu", …}`.
extension Layer: Codable {
  private enum CodingKeys: String, CodingKey { case type }

  /// Reads a layer. For an unknown type, the error lists the names.
  public init(from decoder: any Decoder) throws {
    let name = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .type)
    var kind = chainrule_layer_kind.dense
    try check { chainrule_layer_named(name, &kind, &$0) }
    self = try Self.type(of: kind).layer(from: decoder)
  }

  /// Writes the type and the layer's own fields.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .type)
    try kind.encode(to: encoder)
  }
}

// MARK: - Result builder

/// Collects the layers in the braces of ``Network/init(inputs:targetScaling:seed:layers:)`` and of a
/// ``Residual``.
@resultBuilder
public enum LayerBuilder {
  /// One layer.
  public static func buildExpression(_ dense: Dense) -> [Layer] { [.dense(dense)] }
  /// An activation as a layer of its own.
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
  /// The layers of a block and the sum after them.
  public static func buildExpression(_ residual: Residual) -> [Layer] { residual.layers }
  /// One layer.
  public static func buildExpression(_ layer: Layer) -> [Layer] { [layer] }
  /// The layers of an array.
  public static func buildExpression(_ layers: [Layer]) -> [Layer] { layers }
  /// The parts in order.
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
