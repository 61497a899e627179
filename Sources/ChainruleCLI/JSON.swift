import Chainrule

/// A JSON value, written on one line. Unlike JSONEncoder's, its objects keep the order of their keys.
indirect enum JSON {
  /// A number or a constant, as it is written.
  case literal(String)
  case string(String)
  case array([JSON])
  /// Members that are nil are left out.
  case object([(key: String, value: JSON?)])

  static func bool(_ value: Bool) -> JSON { .literal("\(value)") }
  static func integer(_ value: Int) -> JSON { .literal("\(value)") }
  static func strings(_ values: [String]) -> JSON { .array(values.map(JSON.string)) }

  /// The shortest decimal number that reads back as `value`; nil for NaN and infinity, which JSON lacks.
  static func number(_ value: some BinaryFloatingPoint & LosslessStringConvertible) -> JSON? {
    value.isFinite ? .literal("\(value)") : nil
  }
}

extension JSON: CustomStringConvertible {
  var description: String {
    switch self {
    case .literal(let text): text
    case .string(let string): "\"\(string.escaped(for: .json))\""
    case .array(let elements): "[\(elements.map(\.description).joined(separator: ", "))]"
    case .object(let members):
      "{\(members.compactMap { key, value in value.map { "\"\(key.escaped(for: .json))\": \($0)" } }.joined(separator: ", "))}"
    }
  }
}
