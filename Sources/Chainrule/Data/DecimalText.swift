/// The number that the bytes in `range` spell, correctly rounded; nil where they do not spell one.
///
///     number   = [sign] (digits [. [digits]] | . digits) [(e | E) [sign] digits]
///
/// The locale has no say. Too large a number gives infinity; "nan" and "inf" are not numbers here.
///
/// Where the digits make an integer w < 2⁶⁴ and the exponent is |e| ≤ 22, 10^|e| is a double, and
/// double(w) · 10^e, with its one or two roundings, is less than 2 units off in its last place.
/// - For float64 it is the right number where w ≤ 2⁵³, since w is then a double too (Clinger 1990).
/// - float32 has 29 bits fewer. Dropping them gives the right number unless the double lies within those
///   2 units of a tie between two floats, where the 29 bits are a 1 and 28 zeros.
///
/// For every other number the standard library decides from the text.
@inline(__always)
func decimalNumber<Scalar: NetworkScalar>(in bytes: [UInt8], _ range: Range<Int>) -> Scalar? {
  var index = range.lowerBound
  let end = range.upperBound

  var isNegative = false
  if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
    isNegative = bytes[index] == UInt8(ascii: "-")
    index += 1
  }

  // 19 digits fit in 64 bits; `significant` counts them from the first that is not 0.
  var integer: UInt64 = 0
  var significant = 0
  func takeDigits() -> Int {
    let start = index
    while index < end, case let digit = bytes[index] &- UInt8(ascii: "0"), digit < 10 {
      integer = integer &* 10 &+ UInt64(digit)
      if significant > 0 || digit > 0 { significant += 1 }
      index += 1
    }
    return index - start
  }

  var digits = takeDigits()
  var exponent = 0
  if index < end, bytes[index] == UInt8(ascii: ".") {
    index += 1
    exponent = -takeDigits()
    digits -= exponent
  }
  guard digits > 0 else { return nil }

  if index < end, bytes[index] | 0x20 == UInt8(ascii: "e") {
    index += 1
    var sign = 1
    if index < end, bytes[index] == UInt8(ascii: "-") || bytes[index] == UInt8(ascii: "+") {
      sign = bytes[index] == UInt8(ascii: "-") ? -1 : 1
      index += 1
    }
    let start = index
    var power = 0
    while index < end, case let digit = bytes[index] &- UInt8(ascii: "0"), digit < 10 {
      power = min(power * 10 + Int(digit), 1_000_000)  // Beyond any double; the text still decides.
      index += 1
    }
    guard index > start else { return nil }
    exponent += sign * power
  }
  guard index == end else { return nil }

  if significant <= 19, -22...22 ~= exponent {
    let power = powersOfTen[abs(exponent)]
    let magnitude = exponent < 0 ? Double(integer) / power : Double(integer) * power
    let isRight =
      switch Scalar.scalarType {
      case .float64: integer <= 1 << 53
      case .float32: abs(Int(magnitude.bitPattern & 0x1FFF_FFFF) - 0x1000_0000) > 4
      }
    if isRight { return Scalar(isNegative ? -magnitude : magnitude) }
  }
  return Scalar(String(decoding: bytes[range], as: UTF8.self))
}

/// 10⁰ … 10²², all exact.
private let powersOfTen: [Double] = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
  1e19, 1e20, 1e21, 1e22,
]
