import Foundation

/// An evaluator of printed formulas, which shares nothing with the code that prints them. A number stands for all that are
/// printed so: an interval of half a unit of its last digit to either side.
struct PrintedFormula {
  struct Interval {
    var low: Double
    var high: Double

    init(_ values: Double...) {
      let finite = values.map { $0.isNaN ? 0 : $0 }
      low = values.contains(where: \.isNaN) ? -.infinity : finite.min()!
      high = values.contains(where: \.isNaN) ? .infinity : finite.max()!
    }

    /// Some units of the last place more, for the rounding of the evaluator.
    var widened: Interval {
      Interval(low - 1e-15 * abs(low), high + 1e-15 * abs(high))
    }

    /// The values of a function that is monotone on the interval.
    func map(_ function: (Double) -> Double) -> Interval { Interval(function(low), function(high)).widened }

    static func corners(_ a: Interval, _ b: Interval, _ operation: (Double, Double) -> Double) -> Interval {
      Interval(
        operation(a.low, b.low), operation(a.low, b.high), operation(a.high, b.low), operation(a.high, b.high)
      ).widened
    }

    var squared: Interval {
      low < 0 && high > 0 ? Interval(0, max(low * low, high * high)) : map { $0 * $0 }
    }

    var magnitude: Interval { low < 0 && high > 0 ? Interval(0, max(-low, high)) : map { abs($0) } }
  }

  private var rest: Substring
  private let digits: Int

  /// nil for a text that is not a formula of numbers alone.
  static func interval(of text: Substring, digits: Int) -> Interval? {
    var parser = PrintedFormula(rest: text, digits: digits)
    guard let value = parser.sum(), parser.rest.isEmpty else { return nil }
    return value
  }

  private mutating func take(_ text: String) -> Bool {
    guard rest.hasPrefix(text) else { return false }
    rest = rest.dropFirst(text.count)
    return true
  }

  private mutating func sum() -> Interval? {
    guard var value = product() else { return nil }
    while true {
      if take(" + ") {
        guard let term = product() else { return nil }
        value = .corners(value, term, +)
      } else if take(" − ") {
        guard let term = product() else { return nil }
        value = .corners(value, term, -)
      } else {
        return value
      }
    }
  }

  private mutating func product() -> Interval? {
    let isNegative = take("−")
    guard var value = power() else { return nil }
    while true {
      if take("·") {
        guard let factor = power() else { return nil }
        value = .corners(value, factor, *)
      } else if take("/") {
        guard let divisor = power() else { return nil }
        value =
          divisor.low <= 0 && divisor.high >= 0
          ? Interval(-.infinity, .infinity) : .corners(value, divisor, /)
      } else {
        return isNegative ? value.map { -$0 } : value
      }
    }
  }

  private mutating func power() -> Interval? {
    if take("e^") {
      let isNegative = take("−")
      guard let exponent = atom() else { return nil }
      return exponent.map { exp(isNegative ? -$0 : $0) }
    }
    for (name, function) in [("tanh", tanh), ("cosh", cosh), ("log", log)] as [(String, (Double) -> Double)] {
      guard take(name) else { continue }
      _ = take(" ")
      guard let argument = atom() else { return nil }
      if name == "cosh" { return argument.magnitude.map(cosh) }
      return argument.map(function)
    }
    guard let base = atom() else { return nil }
    if take("²") { return base.squared }
    if take("³") { return base.map { $0 * $0 * $0 } }
    if take("^") {
      guard let exponent = atom() else { return nil }
      return .corners(base, exponent, pow)
    }
    return base
  }

  private mutating func atom() -> Interval? {
    if take("½") { return Interval(0.5) }
    if take("π") { return Interval(.pi) }
    if take("√") { return atom()?.map { sqrt(max($0, 0)) } }
    if take("|") {
      guard let value = sum(), take("|") else { return nil }
      return value.magnitude
    }
    for name in ["max", "min", "erf", "sign"] where take(name + "(") {
      guard let first = sum() else { return nil }
      if name == "erf" || name == "sign" {
        guard take(")") else { return nil }
        return first.map { name == "erf" ? erf($0) : $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
      }
      guard take(", "), let second = sum(), take(")") else { return nil }
      return .corners(first, second) { name == "max" ? max($0, $1) : min($0, $1) }
    }
    if take("(") {
      guard let value = sum(), take(")") else { return nil }
      return value
    }
    return number()
  }

  private mutating func number() -> Interval? {
    let text = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard !text.isEmpty, let mantissa = Double(text) else { return nil }
    rest = rest.dropFirst(text.count)
    var value = mantissa
    if rest.hasPrefix("e"), let first = rest.dropFirst().first, first.isNumber || first == "-" {
      rest = rest.dropFirst()
      let exponent = rest.prefix { $0 == "-" || $0.isNumber }
      rest = rest.dropFirst(exponent.count)
      guard let parsed = Double("\(text)e\(exponent)") else { return nil }
      value = parsed
    }
    if value == 0 { return Interval(0) }
    let half = 0.500001 * pow(10, floor(log10(abs(value))) - Double(digits - 1))
    return Interval(value - half, value + half)
  }
}
