// Text from files, such as the names of columns and the labels of classes, can contain anything. This file
// escapes it for the place where it is written. It works on Unicode scalars, because a Character can contain
// "*/" or a quote together with a joining scalar and would hide them.

/// The destination of text from a file.
package enum TextDestination: Sendable {
  /// A comment of C, on one line.
  case cComment
  /// A cell of CSV, RFC 4180, in quotes if necessary. With `guardingFormulas`, an apostrophe precedes text
  /// that a spreadsheet would read as a formula.
  case csv(guardingFormulas: Bool)
  /// Between two quotes of JSON, RFC 8259.
  case json
  /// A line on a terminal.
  case terminal
  /// Text or an attribute of HTML.
  case html
}

extension String {
  /// Returns the text escaped for `destination`.
  package func escaped(for destination: TextDestination) -> String {
    switch destination {
    case .cComment: replacingScalars(inComment)
    case .csv(let guardsFormulas): csvCell(guardingFormulas: guardsFormulas)
    case .json: replacingScalars { _, scalar in inJSON(scalar) }
    case .terminal: replacingScalars { _, scalar in onTerminal(scalar) }
    case .html: replacingScalars { _, scalar in inHTML(scalar) }
    }
  }

  /// Replaces scalars. `replacement` receives the previous scalar of the result and the current scalar, and
  /// returns the replacement, or `nil` to keep the scalar.
  private func replacingScalars(_ replacement: (UnicodeScalar?, UnicodeScalar) -> String?) -> String {
    var result = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      if let text = replacement(result.last, scalar) {
        result.append(contentsOf: text.unicodeScalars)
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }

  private func csvCell(guardingFormulas: Bool) -> String {
    let isFormula = guardingFormulas && utf8.first.map { "=+-@\t\r".utf8.contains($0) } == true
    let text = isFormula ? "'" + self : self
    let mustBeQuoted =
      text.utf8.contains { $0 < 0x20 || $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") }
      || text.utf8.first == UInt8(ascii: " ") || text.utf8.last == UInt8(ascii: " ")
      || text.unicodeScalars.contains { $0 == "\u{85}" || $0 == "\u{2028}" || $0 == "\u{2029}" }
    guard mustBeQuoted else { return text }
    return "\"" + text.replacingScalars { _, scalar in scalar == "\"" ? "\"\"" : nil } + "\""
  }
}

extension UnicodeScalar {
  /// Whether the scalar could move a cursor, change colours, end a line or reverse the reading direction.
  /// This excludes the joiners U+200C and U+200D, which scripts and emoji need.
  fileprivate var isControl: Bool {
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    case .format: self != "\u{200C}" && self != "\u{200D}"
    default: false
    }
  }
}

/// Replaces whatever ends or begins a comment, forms a trigraph or ends a line.
private func inComment(_ last: UnicodeScalar?, _ scalar: UnicodeScalar) -> String? {
  switch scalar {
  case "/" where last == "*", "*" where last == "/": return "|"
  case "?" where last == "?": return ""
  default:
    let isUnprintable = scalar.isControl || scalar.properties.generalCategory == .unassigned
    return isUnprintable ? (last == "?" ? "" : "?") : nil
  }
}

private func inJSON(_ scalar: UnicodeScalar) -> String? {
  switch scalar {
  case "\"", "\\": return "\\\(scalar)"
  default:
    guard scalar.isControl || scalar.value == 0x7F else { return nil }
    return String(scalar).utf16.map { unit in
      let digits = String(unit, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
  }
}

private func onTerminal(_ scalar: UnicodeScalar) -> String? {
  switch scalar {
  case "\n": "\\n"
  case "\r": "\\r"
  case "\t": "\\t"
  default: scalar.isControl ? "\\u{\(String(scalar.value, radix: 16, uppercase: true))}" : nil
  }
}

private func inHTML(_ scalar: UnicodeScalar) -> String? {
  switch scalar {
  case "&": "&amp;"
  case "<": "&lt;"
  case ">": "&gt;"
  case "\"": "&quot;"
  case "'": "&#39;"
  default: scalar.isControl ? "\u{FFFD}" : nil
  }
}
