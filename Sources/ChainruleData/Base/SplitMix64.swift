/// SplitMix64 (Steele, Lea and Flood 2014): a 64-bit counter that advances by the golden ratio; each value is
/// mixed. The sequence and everything drawn from it here are the same on every platform.
package struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Returns an integer in 0 ..< `bound`, each with equal probability (Lemire 2019).
  ///
  /// The high word of next() × bound is uniform once the 2⁶⁴ mod bound lowest low words are rejected.
  package mutating func next(below bound: UInt64) -> UInt64 {
    precondition(bound > 0)
    let refused = (0 &- bound) % bound
    while true {
      let product = next().multipliedFullWidth(by: bound)
      if product.low >= refused { return product.high }
    }
  }

  /// Returns a random order of 0 ..< `count` (Fisher–Yates, from the last place down).
  package mutating func permutation(of count: Int) -> [Int] {
    var order = Array(0..<count)
    for last in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(last, Int(next(below: UInt64(last + 1))))
    }
    return order
  }
}
