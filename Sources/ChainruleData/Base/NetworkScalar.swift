/// The element type of a network: `Float` (float32) or `Double` (float64).
///
/// Parameters, activations and gradients are stored and computed in this type; losses are always summed in
/// `Double`. No other type can conform, because the core only has kernels for these two.
public protocol NetworkScalar: BinaryFloatingPoint, LosslessStringConvertible, Codable, Sendable {
  /// The scalar type.
  static var scalarType: ScalarType { get }
  /// A requirement that only this module can fulfil.
  static var kernels: ScalarKernels { get }
}

/// Restricts conformance to ``NetworkScalar`` to the types with kernels in the core, `Float` and `Double`.
public struct ScalarKernels: Sendable {
  init() {}
}

/// The names of the element types in files and on the command line.
public enum ScalarType: String, Codable, Sendable, CaseIterable {
  /// IEEE 754 binary32, Swift's `Float`.
  case float32
  /// IEEE 754 binary64, Swift's `Double`.
  case float64
}

extension Float: NetworkScalar {
  /// float32
  public static var scalarType: ScalarType { .float32 }
  /// The core's kernels for `Float`.
  public static var kernels: ScalarKernels { ScalarKernels() }
}

extension Double: NetworkScalar {
  /// float64
  public static var scalarType: ScalarType { .float64 }
  /// The core's kernels for `Double`.
  public static var kernels: ScalarKernels { ScalarKernels() }
}
