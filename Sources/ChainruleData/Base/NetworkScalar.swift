/// The element type of a network: `Float` (float32) or `Double` (float64).
///
/// Parameters, activations and gradients are held and computed in this type; a loss is always summed
/// in `Double`. No other type can be one: the core has kernels for these two.
public protocol NetworkScalar: BinaryFloatingPoint, LosslessStringConvertible, Codable, Sendable {
  /// Which of the two this type is.
  static var scalarType: ScalarType { get }
  /// What only this module can make.
  static var kernels: ScalarKernels { get }
}

/// What makes a type a ``NetworkScalar``: kernels of the core, which `Float` and `Double` have.
public struct ScalarKernels: Sendable {
  init() {}
}

/// The names of the element types, as files and the command line spell them.
public enum ScalarType: String, Codable, Sendable, CaseIterable {
  /// IEEE 754 binary32, Swift's `Float`.
  case float32
  /// IEEE 754 binary64, Swift's `Double`.
  case float64
}

extension Float: NetworkScalar {
  /// float32
  public static var scalarType: ScalarType { .float32 }
  /// Those of the core.
  public static var kernels: ScalarKernels { ScalarKernels() }
}

extension Double: NetworkScalar {
  /// float64
  public static var scalarType: ScalarType { .float64 }
  /// Those of the core.
  public static var kernels: ScalarKernels { ScalarKernels() }
}
