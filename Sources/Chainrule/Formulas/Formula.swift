#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

prefix operator √

/// A formula: an expression of symbols, numbers and operations.
///
/// The catalogue defines each formula once. `chainrule explain` renders it, with numbers in place of its
/// symbols, and computes its `value`; ChainruleExport converts it to nodes and recognises it among nodes.
package indirect enum Formula: Hashable, Sendable {
  case number(Double)
  /// A named number: ½, π, e
  case constant(String, Double)
  /// A quantity that numbers can replace.
  case symbol(String)
  case sum([Formula])
  case difference(Formula, Formula)
  case product([Formula])
  case quotient(Formula, Formula)
  case negative(Formula)
  case power(Formula, Formula)
  case function(Function, [Formula])
  /// The first formula if left > right, else the second.
  case cases(Condition, Formula, else: Formula)

  /// left > right
  package struct Condition: Hashable, Sendable {
    package var left: Formula
    package var right: Formula
  }

  /// The functions of a formula, by the names they have in it.
  package enum Function: String, Sendable {
    case tanh, cosh, log, erf, sign, max, min
    case squareRoot = "√"
    case magnitude = "|"
    /// The sum over the outputs j.
    case total = "Σ"
    /// The mean over the features of a row.
    case mean
  }
}

// MARK: - Literals and operators

extension Formula: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(integerLiteral value: Int) { self = .number(Double(value)) }
  package init(stringLiteral symbol: String) { self = .symbol(symbol) }

  package static let half = constant("½", 0.5)
  package static let π = constant("π", .pi)
  package static let e = constant("e", M_E)

  package static func + (left: Formula, right: Formula) -> Formula { .sum([left, right]) }
  package static func - (left: Formula, right: Formula) -> Formula { .difference(left, right) }
  package static func / (left: Formula, right: Formula) -> Formula { .quotient(left, right) }
  package static prefix func - (operand: Formula) -> Formula { .negative(operand) }

  package static func * (left: Formula, right: Formula) -> Formula {
    .product(left.factors + right.factors)
  }

  private var factors: [Formula] {
    if case .product(let factors) = self { factors } else { [self] }
  }

  package static func > (left: Formula, right: Formula) -> Condition { Condition(left: left, right: right) }

  package static func exp(_ x: Formula) -> Formula { .power(.e, x) }
  package static func tanh(_ x: Formula) -> Formula { .function(.tanh, [x]) }
  package static func cosh(_ x: Formula) -> Formula { .function(.cosh, [x]) }
  package static func log(_ x: Formula) -> Formula { .function(.log, [x]) }
  package static func erf(_ x: Formula) -> Formula { .function(.erf, [x]) }
  package static func sign(_ x: Formula) -> Formula { .function(.sign, [x]) }
  package static prefix func √ (x: Formula) -> Formula { .function(.squareRoot, [x]) }
  package static func abs(_ x: Formula) -> Formula { .function(.magnitude, [x]) }
  package static func max(_ x: Formula, _ y: Formula) -> Formula { .function(.max, [x, y]) }
  package static func min(_ x: Formula, _ y: Formula) -> Formula { .function(.min, [x, y]) }

  /// Returns the sum of the terms; a single term is returned as it is.
  package static func sum(of terms: [Formula]) -> Formula { terms.count == 1 ? terms[0] : .sum(terms) }
  package static func total(_ x: Formula) -> Formula { .function(.total, [x]) }
  package static func mean(_ x: Formula) -> Formula { .function(.mean, [x]) }

  package var squared: Formula { .power(self, 2) }
}

// MARK: - Substitution

extension Formula {
  /// Returns the formula with numbers in place of symbols. Cases are reduced to the one that applies.
  package func with(_ numbers: [String: Double]) -> Formula {
    map { symbol in numbers[symbol].map { .number($0) } }
  }

  /// Returns the formula with other formulas in place of symbols. Cases with a numerical condition are
  /// reduced to the one that applies; a division by 1 is removed, and −(−1) becomes 1.
  package func map(_ replacement: (String) -> Formula?) -> Formula {
    func map(_ formula: Formula) -> Formula { formula.map(replacement) }
    switch self {
    case .number, .constant: return self
    case .symbol(let symbol): return replacement(symbol) ?? self
    case .sum(let terms): return .sum(terms.map(map))
    case .difference(let left, let right): return .difference(map(left), map(right))
    case .product(let factors): return .product(factors.map(map))
    case .quotient(let left, let right):
      let divisor = map(right)
      return divisor == 1 ? map(left) : .quotient(map(left), divisor)
    case .negative(let operand):
      if case .number(let value) = map(operand) { return .number(-value) }
      return .negative(map(operand))
    case .power(let base, let exponent): return .power(map(base), map(exponent))
    case .function(let function, let arguments): return .function(function, arguments.map(map))
    case .cases(let condition, let first, let second):
      let condition = Condition(left: map(condition.left), right: map(condition.right))
      guard let left = condition.left.value, let right = condition.right.value else {
        return .cases(condition, map(first), else: map(second))
      }
      return left > right ? map(first) : map(second)
    }
  }

  /// Reduces cases to the one that applies, without replacing its symbols; returns any other formula
  /// unchanged.
  package func branch(_ numbers: [String: Double]) -> Formula {
    guard case .cases(let condition, let first, let second) = self,
      let left = condition.left.with(numbers).value, let right = condition.right.with(numbers).value
    else { return self }
    return left > right ? first : second
  }

  /// The value of the formula; `nil` if a symbol has no number.
  package var value: Double? {
    func all(_ formulas: [Formula]) -> [Double]? {
      let values = formulas.compactMap(\.value)
      return values.count == formulas.count ? values : nil
    }
    switch self {
    case .number(let value), .constant(_, let value): return value
    case .symbol: return nil
    case .sum(let terms): return all(terms)?.reduce(0, +)
    case .difference(let left, let right): return all([left, right]).map { $0[0] - $0[1] }
    case .product(let factors): return all(factors)?.reduce(1, *)
    case .quotient(let left, let right): return all([left, right]).map { $0[0] / $0[1] }
    case .negative(let operand): return operand.value.map { -$0 }
    case .power(let base, let exponent): return all([base, exponent]).map { pow($0[0], $0[1]) }
    case .function(let function, let arguments): return all(arguments).map(function.callAsFunction)
    case .cases(let condition, let first, let second):
      guard let sides = all([condition.left, condition.right]) else { return nil }
      return sides[0] > sides[1] ? first.value : second.value
    }
  }

  /// Returns whether the symbol occurs.
  package func contains(_ symbol: String) -> Bool {
    var found = false
    _ = map {
      found = found || $0 == symbol
      return nil
    }
    return found
  }
}

// The C library's functions, hidden below by cases of the same names.
private func mathTanh(_ x: Double) -> Double { tanh(x) }
private func mathCosh(_ x: Double) -> Double { cosh(x) }
private func mathLog(_ x: Double) -> Double { log(x) }
private func mathErf(_ x: Double) -> Double { erf(x) }

extension Formula.Function {
  package func callAsFunction(_ x: [Double]) -> Double {
    switch self {
    case .tanh: mathTanh(x[0])
    case .cosh: mathCosh(x[0])
    case .log: mathLog(x[0])
    case .erf: mathErf(x[0])
    case .sign: x[0] > 0 ? 1 : x[0] < 0 ? -1 : 0
    case .squareRoot: x[0].squareRoot()
    case .magnitude: Swift.abs(x[0])
    case .total, .mean: x[0]
    case .max: Swift.max(x[0], x[1])
    case .min: Swift.min(x[0], x[1])
    }
  }
}
