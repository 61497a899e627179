#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// The one tolerance policy: how far a number may be from what is expected of it.
///
/// The scale is the largest magnitude expected in its array.
package enum Tolerance: Sendable {
  /// 1e-10 of the number; below a ten-thousandth of the scale, of that.
  case float64
  /// PyTorch's slope of hardSigmoid is ⅙ rounded to float32, 3e-8 off in each layer: 1e-7 in place of 1e-10.
  case float64HardSigmoid
  /// 2e-5 of the scale.
  case float32
  /// 1e-12 of the number, for learning rates.
  case rates
  /// Half a unit of the last decimal printed, and a hair for ties.
  case decimals(Int)
  /// 1e-7 of the scale, and 1e-9 for the rounding of L, some 1e-16, over 2 h = 2e-6.
  case centralDifferences

  func allowed(_ expected: Double, scale: Double) -> Double {
    switch self {
    case .float64: 1e-10 * max(abs(expected), 1e-4 * scale)
    case .float64HardSigmoid: 1e-7 * max(abs(expected), 1e-4 * scale)
    case .float32: 2e-5 * scale
    case .rates: 1e-12 * abs(expected)
    case .decimals(let n): 0.500001 * pow(10, -Double(n))
    case .centralDifferences: 1e-7 * scale + 1e-9
    }
  }
}

/// What is wrong with `found`: the first number that is not within the tolerance of what is expected, or that
/// there are not as many; nil where all is well.
package func mismatch<Scalar: BinaryFloatingPoint>(
  _ found: [Scalar], _ expected: [Double], _ tolerance: Tolerance
) -> String? {
  guard found.count == expected.count, !expected.isEmpty else {
    return "\(found.count) numbers instead of \(expected.count)"
  }
  let scale = expected.map { abs($0) }.max() ?? 0
  let off = zip(found, expected).enumerated().first { _, pair in
    !(abs(Double(pair.0) - pair.1) <= tolerance.allowed(pair.1, scale: scale))  // true of NaN
  }
  return off.map { i, pair in "number \(i + 1): \(pair.0) instead of \(pair.1)" }
}

/// Knuth's MMIX linear congruential generator: the same numbers on every machine.
package struct Random {
  package var state: UInt64

  package init(state: UInt64) { self.state = state }

  /// A number in −1 ..< 1, from the upper 53 bits.
  package mutating func next() -> Double {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Double(state >> 11) * 0x1p-52 - 1
  }

  package mutating func matrix(_ rows: Int, _ columns: Int, scale: Double) -> [[Double]] {
    (0..<rows).map { _ in (0..<columns).map { _ in scale * next() } }
  }
}
