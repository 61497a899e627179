internal import CChainrule

/// The distribution of a layer's initial parameters. m is the number of the layer's inputs, n the number of
/// its units.
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
  /// Normal with mean 0 and the given standard deviation
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
  /// The names of all initialisers in files and on the command line. Those with ``takesValue`` also need a
  /// number.
  public static let names = (0..<UInt32(CHAINRULE_INITIALIZER_COUNT)).map {
    String(cString: chainrule_initializer_name(chainrule_initializer_kind(rawValue: $0)!))
  }

  /// The name in files and on the command line.
  public var name: String { String(cString: chainrule_initializer_name(core.kind)) }

  /// Whether the initialiser has a number: a scale, a standard deviation or a value.
  public var takesValue: Bool {
    switch self {
    case .uniform, .normal, .constant: true
    default: false
    }
  }

  /// Creates the initialiser of the given name, with `value` if it takes one.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for an unknown name; the error lists the names.
  public init(named name: String, value: Double = 0) throws(ChainruleError) {
    var kind = chainrule_initializer_kind.default
    try check { chainrule_initializer_named(name, &kind, &$0) }
    self.init(chainrule_initializer(kind: kind, value: value))
  }
}

/// The form of a model file: `{"kind": "uniform", "value": 0.1}`; a missing value is 0.
extension Initializer: Codable {
  private enum CodingKeys: String, CodingKey { case kind, value }

  /// Reads an initialiser. For an unknown kind, the error lists the names.
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
