/// A text that equals another where both have the same bytes in UTF-8. A `String` equals others that are only canonically
/// equivalent: "é" as one scalar and as two. To a table these are different labels, categories and names.
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

/// Texts in ascending order: by their numbers where all are finite numbers ("2" before "10"), otherwise by Unicode
/// scalars.
func ascending(_ texts: some Collection<ExactText>) -> [String] {
  let numbered = texts.compactMap { text in
    Double(text.text).flatMap { $0.isFinite ? (value: $0, text: text) : nil }
  }
  if numbered.count < texts.count { return texts.sorted().map(\.text) }
  return numbered.sorted { ($0.value, $0.text) < ($1.value, $1.text) }.map(\.text.text)
}

/// The index of each of some texts, of a repeated one the first.
func places(of texts: [String]) -> [ExactText: Int] {
  Dictionary(zip(texts.lazy.map(ExactText.init), texts.indices)) { first, _ in first }
}

/// Throws for a name that stands twice; `what` names them all.
func checkDistinct(_ names: [String], _ what: String) throws(ChainruleError) {
  guard let twice = firstRepeated(in: names) else { return }
  throw .invalidValue(name: what, value: "\"\(twice)\" twice", expected: "each once")
}

/// The first of `texts` that has stood before; nil where each stands once.
func firstRepeated(in texts: [String]) -> String? {
  var seen: Set<ExactText> = []
  return texts.first { !seen.insert(ExactText($0)).inserted }
}

extension Array where Element == String {
  /// Whether both have the same texts, byte for byte.
  func isExactly(_ other: [String]) -> Bool {
    count == other.count && zip(self, other).allSatisfy { ExactText($0) == ExactText($1) }
  }
}
