import Chainrule
#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Writes formulas and numbers in a line of Unicode, as far as a terminal can: 0.12·2 + 0.33·3, (a − y)², e⁻ᶻ.
struct FormulaText {
  /// How many significant digits a number shows.
  var digits = 6
  /// The longest sum, and the longest vector, that is shown whole.
  var terms = Int.max
  /// How many terms of a longer one are shown before the rest is elided.
  private var few: Int { min(terms - 1, 3) }

  func callAsFunction(_ formula: Formula) -> String { plain(formula) }

  /// −0.0123457, 1.5e-7; the shortest that has the digits.
  func number(_ value: Double) -> String {
    let text = rounded(value == 0 ? 0 : value)
    guard let e = text.firstIndex(of: "e") else { return text.replacing("-", with: "−") }
    return text[..<e].replacing("-", with: "−") + "e\(Int(text[text.index(after: e)...])!)"
  }

  /// C's %.6g for 6 digits, with a point in every locale.
  private func rounded(_ value: Double) -> String {
    // A sign, the digits, a point of up to 4 bytes, e and 4 of the exponent, the end.
    var text = [CChar](repeating: 0, count: digits + 16)
    _ = withVaList([Int32(digits), value]) { vsnprintf(&text, text.count, "%.*g", $0) }
    let bytes = text.prefix { $0 != 0 }.map(UInt8.init(truncatingIfNeeded:))
    let parts = bytes.split { !"0123456789+-einfa".utf8.contains($0) }
    return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".")
  }

  /// (2, 3), or a single number without parentheses
  func vector(_ values: [Double]) -> String {
    if values.count == 1 { return number(values[0]) }
    let shown = values.count > terms ? values.prefix(few) : values[...]
    let rest = values.count > terms ? ", … \(values.count - shown.count) more" : ""
    return "(\(shown.map(number).joined(separator: ", "))\(rest))"
  }

  /// How tightly a formula holds together.
  private enum Level: Int, Comparable {
    case cases, sum, product, power, atom

    static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
  }

  private func level(_ formula: Formula) -> Level {
    switch formula {
    case .number, .constant, .symbol: .atom
    case .sum, .difference: .sum
    case .product, .quotient, .negative, .function(.total, _): .product
    case .power, .function(.tanh, _), .function(.cosh, _), .function(.log, _): .power
    case .function: .atom
    case .cases: .cases
    }
  }

  /// The formula, in parentheses where it is looser than `level`, or where it begins with a minus and is not
  /// `leading`, the first thing on its line or in its parentheses.
  private func text(_ formula: Formula, _ level: Level, leading: Bool = false) -> String {
    let text = plain(formula)
    if self.level(formula) < level || (!leading && text.hasPrefix("−")) { return "(\(text))" }
    return text
  }

  private func plain(_ formula: Formula) -> String {
    switch formula {
    case .number(let value): return number(value)
    case .constant(let name, _), .symbol(let name): return name
    case .sum(let all): return sum(all)
    case .difference(let left, let right):
      return "\(text(left, .sum, leading: true)) − \(text(right, .product))"
    case .product(let factors):
      return factors.enumerated().map { text($1, .product, leading: $0 == 0) }.joined(separator: "·")
    case .quotient(let left, let right):
      return "\(text(left, .product, leading: true))/\(text(right, .power))"
    case .negative(let operand): return "−\(text(operand, .product))"
    case .power(.constant("e", _), let exponent): return exponential(exponent)
    case .power(let base, .number(2)): return "\(self.base(base))²"
    case .power(let base, .number(3)): return "\(self.base(base))³"
    case .power(let base, "t"): return "\(self.base(base))ᵗ"
    case .power(let base, let exponent): return "\(self.base(base))^\(text(exponent, .atom))"
    case .function(let function, let arguments): return call(function, arguments)
    case .cases(let condition, let first, let second):
      let (first, second) = (text(first, .sum, leading: true), text(second, .cases, leading: true))
      return "\(first) if \(self.condition(condition)), else \(second)"
    }
  }

  /// A term that begins with a minus is subtracted.
  private func sum(_ all: [Formula]) -> String {
    let elided = all.count > terms
    let shown = elided ? all.prefix(few) + [all.last!] : all
    var line = ""
    for (index, term) in shown.enumerated() {
      let term = text(term, .product, leading: true)
      if index == 0 {
        line = term
        continue
      }
      if elided && index == shown.count - 1 {
        line += " + … (\(all.count - shown.count) more)"
      }
      line += term.hasPrefix("−") ? " − \(term.dropFirst())" : " + \(term)"
    }
    return line
  }

  /// The base of a power, a number like 1e-7 in parentheses.
  private func base(_ formula: Formula) -> String {
    let text = text(formula, .atom)
    if case .number = formula, text.contains("e"), !text.hasPrefix("(") { return "(\(text))" }
    return text
  }

  private func exponential(_ exponent: Formula) -> String {
    switch exponent {
    case "z": "eᶻ"
    case .negative("z"): "e⁻ᶻ"
    case .negative("a"): "e⁻ᵃ"
    default: "e^\(text(exponent, .atom, leading: true))"
    }
  }

  private func call(_ function: Formula.Function, _ arguments: [Formula]) -> String {
    switch function {
    case .max, .min, .erf, .sign, .mean:
      return "\(function)(\(arguments.map { text($0, .sum, leading: true) }.joined(separator: ", ")))"
    case .magnitude: return "|\(text(arguments[0], .sum, leading: true))|"
    case .squareRoot: return "√\(text(arguments[0], .atom))"
    case .total: return "Σⱼ \(text(arguments[0], .product))"
    case .tanh, .cosh, .log:
      let argument = text(arguments[0], .atom)
      return argument.hasPrefix("(") ? "\(function)\(argument)" : "\(function) \(argument)"
    }
  }

  private func condition(_ condition: Formula.Condition) -> String {
    let (left, right) = (condition.left, condition.right)
    let sides = [left, right].map { text($0, .sum, leading: true) }
    if case .number = left { return "\(sides[1]) < \(sides[0])" }
    return "\(sides[0]) > \(sides[1])"
  }
}
