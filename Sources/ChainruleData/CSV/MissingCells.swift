/// The texts and numbers that mean a missing value in a table.
struct MissingCells: Sendable {
  /// The texts in lower case.
  private let texts: [[UInt8]]
  private let longest: Int
  private let numbers: [Double]

  init(_ texts: [String]) {
    self.texts = texts.map { $0.utf8.map(lowercased) }
    longest = self.texts.map(\.count).max() ?? -1
    numbers = texts.compactMap { text in
      let bytes = Array(text.utf8)
      return decimalNumber(in: bytes, bytes.indices)
    }
  }

  /// Whether a number may mean a missing value.
  var includeNumbers: Bool { !numbers.isEmpty }

  /// Whether a cell with this content, not a number, is missing.
  func contain(_ cell: ArraySlice<UInt8>) -> Bool {
    cell.count <= longest && texts.contains { $0.elementsEqual(cell.lazy.map(lowercased)) }
  }

  /// Whether a cell with this number is missing.
  @inline(__always)
  func contain<Scalar: NetworkScalar>(_ number: Scalar) -> Bool {
    !numbers.isEmpty && numbers.contains { Scalar($0) == number }
  }

  /// Whether a cell is missing, according to its text or its number.
  func isMissing(_ field: CSVScanner.Field, in scanner: CSVScanner) -> Bool {
    if contain(scanner.bytes[field.content]) { return true }
    guard includeNumbers, let number: Double = scanner.number(field) else { return false }
    return contain(number)
  }
}

/// Returns an ASCII letter in lower case, and every other byte unchanged.
private func lowercased(_ byte: UInt8) -> UInt8 {
  UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
}
