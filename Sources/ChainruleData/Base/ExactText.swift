/// A text that is compared by its bytes in UTF-8. A `String` also equals canonically equivalent ones, such as
/// "é" as one scalar and as two. In a table these are different labels, categories and names.
struct ExactText: Hashable, Comparable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (one: ExactText, other: ExactText) -> Bool { one.text.utf8.elementsEqual(other.text.utf8) }

  static func < (one: ExactText, other: ExactText) -> Bool {
    one.text.unicodeScalars.lexicographicallyPrecedes(other.text.unicodeScalars)
  }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
    hasher.combine(0xFF as UInt8)
  }
}

/// Returns texts in ascending order: numerically if all are finite numbers ("2" before "10"), otherwise by
/// Unicode scalars.
func ascending(_ texts: some Collection<ExactText>) -> [String] {
  let numbered = texts.compactMap { text in
    Double(text.text).flatMap { $0.isFinite ? (value: $0, text: text) : nil }
  }
  if numbered.count < texts.count { return texts.sorted().map(\.text) }
  return numbered.sorted { ($0.value, $0.text) < ($1.value, $1.text) }.map(\.text.text)
}

/// Returns the index of each text; of a repeated text, the first index.
func places(of texts: [String]) -> [ExactText: Int] {
  Dictionary(zip(texts.lazy.map(ExactText.init), texts.indices)) { first, _ in first }
}

/// Throws for a repeated name; `what` describes the names.
func checkDistinct(_ names: [String], _ what: String) throws(ChainruleError) {
  guard let twice = firstRepeated(in: names) else { return }
  throw .invalidValue(name: what, value: "\"\(twice)\" twice", expected: "each once")
}

/// Returns the first text that occurred before; `nil` if all are distinct.
func firstRepeated(in texts: [String]) -> String? {
  var seen: Set<ExactText> = []
  return texts.first { !seen.insert(ExactText($0)).inserted }
}

extension Array where Element == String {
  /// Returns whether both arrays have the same texts, byte for byte.
  func isExactly(_ other: [String]) -> Bool {
    count == other.count && zip(self, other).allSatisfy { ExactText($0) == ExactText($1) }
  }
}
