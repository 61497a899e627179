/// Returns the number in the bytes of `range`, correctly rounded; `nil` if they are not a number.
///
///     number   = [sign] (digits [. [digits]] | . digits) [(e | E) [sign] digits]
///
/// The locale has no effect. A number that is too large gives infinity; "nan" and "inf" are not numbers here.
func decimalNumber<Scalar: NetworkScalar>(in bytes: [UInt8], _ range: Range<Int>) -> Scalar? {
  bytes.withUnsafeBytes { bytes in
    let text = UnsafeRawBufferPointer(rebasing: bytes[..<range.upperBound])
    guard let number: (value: Scalar, end: Int) = decimalNumber(at: range.lowerBound, in: text),
      number.end == range.upperBound
    else { return nil }
    return number.value
  }
}

/// Reads the longest number that begins at `start`, correctly rounded, and returns the offset of its end;
/// `nil` if there is no number, or if no digit follows its "e".
///
/// If the digits form an integer w < 10¹⁸ and the exponent is |e| ≤ 22, 10^|e| is exactly a double.
/// - For float64, w · 10^e or w / 10^-e is correctly rounded if w ≤ 2⁵³, because w is then exactly a double
///   too (Clinger 1990).
/// - float32 has 29 bits fewer. double(w) · double(10^e), with up to three roundings, has an error below 4
///   units in its last place. Dropping 29 bits gives the correct number unless the double lies within those 4
///   units of a tie between two floats, where the bits are a 1 and 28 zeros.
///
/// Otherwise ``rounded(_:timesTenTo:)`` handles up to |e| ≤ 27; the standard library converts the text for
/// larger exponents.
@inline(__always)
func decimalNumber<Scalar: NetworkScalar>(
  at start: Int, in text: UnsafeRawBufferPointer
) -> (value: Scalar, end: Int)? {
  // Without a branch on the sign, which may be random.
  let sign = byte(at: start, in: text)
  let minus: UInt64 = sign == UInt8(ascii: "-") ? 1 : 0
  var index = start + Int(minus)
  if sign == UInt8(ascii: "+") { index += 1 }

  var integer: UInt64 = 0
  var digits = takeDigits(&integer, at: &index, in: text)
  var exponent = 0
  if byte(at: index, in: text) == UInt8(ascii: ".") {
    index += 1
    exponent = -takeDigits(&integer, at: &index, in: text)
    digits -= exponent
  }
  guard digits > 0 else { return nil }

  if byte(at: index, in: text) | 0x20 == UInt8(ascii: "e") {
    guard let power = takePower(at: &index, in: text) else { return nil }
    exponent += power
  }

  if digits <= 18, -22...22 ~= exponent {
    let whole = Double(Int64(bitPattern: integer))
    switch Scalar.scalarType {
    case .float64 where integer <= 1 << 53:
      let magnitude = exponent < 0 ? whole / powersOfTen[22 - exponent] : whole * powersOfTen[22 + exponent]
      return (Scalar(Double(bitPattern: magnitude.bitPattern | minus << 63)), index)
    case .float32:
      let magnitude = whole * powersOfTen[22 + exponent]
      if abs(Int(magnitude.bitPattern & 0x1FFF_FFFF) - 0x1000_0000) > 4 {
        return (Scalar(Double(bitPattern: magnitude.bitPattern | minus << 63)), index)
      }
    default: break
    }
  }
  // 19 digits fit in 64 bits.
  if digits <= 19, -27...27 ~= exponent {
    let magnitude: Scalar = rounded(integer, timesTenTo: exponent)
    return (minus == 1 ? -magnitude : magnitude, index)
  }
  return Scalar(String(decoding: text[start..<index], as: UTF8.self)).map { ($0, index) }
}

/// Reads the exponent that begins with the "e" at `index`, and moves the index after it; returns `nil` if it
/// has no digits.
private func takePower(at index: inout Int, in text: UnsafeRawBufferPointer) -> Int? {
  index += 1
  let isNegative = byte(at: index, in: text) == UInt8(ascii: "-")
  if isNegative || byte(at: index, in: text) == UInt8(ascii: "+") { index += 1 }
  let start = index
  var power = 0
  while case let digit = byte(at: index, in: text) &- UInt8(ascii: "0"), digit < 10 {
    power = min(power * 10 + Int(digit), 1_000_000)  // Beyond any double; the text still decides.
    index += 1
  }
  guard index > start else { return nil }
  return isNegative ? -power : power
}

/// Returns integer · 10^exponent, correctly rounded, for |exponent| ≤ 27, where 5^|exponent| < 2⁶³.
///
/// The 64 leading bits of integer · 5^exponent, or 62 of them, are exact. The last bit is set if any bit
/// after it is not 0, so rounding to 53 or 24 bits gives the same as rounding all bits. Multiplication by a
/// power of 2 is exact.
private func rounded<Scalar: NetworkScalar>(_ integer: UInt64, timesTenTo exponent: Int) -> Scalar {
  if integer == 0 { return 0 }
  let five = powersOfFive[abs(exponent)]
  var leading: UInt64
  var two = exponent
  let isInexact: Bool
  if exponent >= 0 {
    let (high, low) = integer.multipliedFullWidth(by: five)
    let shift = high.leadingZeroBitCount
    leading = high == 0 ? low : high << shift | low >> (64 - shift)
    isInexact = high != 0 && low << shift != 0
    if high != 0 { two += 64 - shift }
  } else {
    // Both have their highest bit set: the quotient of 2⁶³ · dividend and divisor has 63 or 64 bits.
    let (up, down) = (integer.leadingZeroBitCount, five.leadingZeroBitCount)
    let dividend = integer << up
    let (quotient, remainder) = (five << down).dividingFullWidth((dividend >> 1, dividend << 63))
    leading = quotient
    isInexact = remainder != 0
    two += down - up - 63
  }
  if isInexact { leading |= 1 }
  return Scalar(Double(Scalar(leading)) * Double(sign: .plus, exponent: two, significand: 1))
}

// MARK: - Digits, eight at a time

/// Returns the byte at `index`; 0 after the end.
@inline(__always)
private func byte(at index: Int, in text: UnsafeRawBufferPointer) -> UInt8 {
  index < text.count ? text[index] : 0
}

/// Returns the bytes from `index` on, the first in the lowest place; 0 after the end.
@inline(__always)
func word(at index: Int, in text: UnsafeRawBufferPointer) -> UInt64 {
  if index + 8 <= text.count {
    return UInt64(littleEndian: text.loadUnaligned(fromByteOffset: index, as: UInt64.self))
  }
  return lastWord(at: index, in: text)
}

private func lastWord(at index: Int, in text: UnsafeRawBufferPointer) -> UInt64 {
  (index..<max(index, text.count)).reversed().reduce(0) { $0 << 8 | UInt64(text[$1]) }
}

/// Appends the digits at `index` to `integer`, modulo 2⁶⁴, and moves the index after them; returns their
/// number.
@inline(__always)
private func takeDigits(_ integer: inout UInt64, at index: inout Int, in text: UnsafeRawBufferPointer) -> Int
{
  let start = index
  var count: Int
  repeat {
    // A digit becomes 0 to 9, any other byte more; adding 118 carries values of 10 or more into the highest
    // bit.
    let digits = word(at: index, in: text) ^ 0x3030_3030_3030_3030
    let others = ((digits & 0x7F7F_7F7F_7F7F_7F7F) + 0x7676_7676_7676_7676 | digits) & 0x8080_8080_8080_8080
    count = others.trailingZeroBitCount / 8
    integer = integer &* wholePowersOfTen[count] &+ number(of: digits << (64 - 8 * count))
    index += count
  } while count == 8
  return index - start
}

/// Returns the number of eight digits, the first in the lowest byte: combined to pairs, fours, and eight.
@inline(__always)
private func number(of digits: UInt64) -> UInt64 {
  let pairs = digits &* 10 &+ digits >> 8
  let (even, odd) = (pairs & 0x0000_00FF_0000_00FF, pairs >> 16 & 0x0000_00FF_0000_00FF)
  return (even &* (100 + 1_000_000 << 32) &+ odd &* (1 + 10_000 << 32)) >> 32
}

/// 10⁻²² … 10²², exact from 10⁰ on.
private let powersOfTen: [Double] = [
  1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7,
  1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
  1e13,
  1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]

/// 10⁰ … 10⁸
private let wholePowersOfTen: [UInt64] = [
  1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000,
]

/// 5⁰ … 5²⁷
private let powersOfFive: [UInt64] = (0...27).map { (0..<$0).reduce(1) { power, _ in power * 5 } }
