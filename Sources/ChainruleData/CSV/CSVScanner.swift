/// Finds the rows and cells of a CSV text.
struct CSVScanner: Sendable {
  let bytes: [UInt8]
  let file: String?
  let dialect: CSVDialect
  private var delimiter: UInt8 { dialect.delimiter }
  /// The beginning of the text, after a byte order mark.
  private let start: Int
  /// Whether the text ends at the end of the bytes.
  private let isLast: Bool
  /// Offsets at which rows begin, ascending and about 1 KiB apart, with the numbers of their lines.
  private var lines: [(offset: Int, line: Int)]

  /// One cell.
  struct Field {
    /// The bytes between the quotes, or without the surrounding spaces.
    var content: Range<Int>
    var isQuoted = false
    /// The offset of the next cell or row.
    var next: Int
    var endsRow: Bool
  }

  /// The rows of a text.
  struct Rows {
    /// The offset of each row, including the header.
    var starts: [Int] = []
    /// The number of cells of each row.
    var columns: Int
    /// The offset after the last row.
    var end: Int
    /// The rows that were skipped.
    var skipped = SkippedRows()
  }

  private static let quote = UInt8(ascii: "\"")
  private static let carriageReturn = UInt8(ascii: "\r")
  private static let lineFeed = UInt8(ascii: "\n")

  /// `line` is the number of the first line in the bytes; `isFirst` and `isLast` mean that the text begins
  /// and ends with these bytes.
  init(
    bytes: [UInt8], file: String?, dialect: CSVDialect, firstLine line: Int, isFirst: Bool, isLast: Bool
  ) {
    self.bytes = dialect.hasRuns ? CSVDialect.joiningRuns(in: bytes) : bytes
    self.file = file
    self.dialect = dialect
    self.isLast = isLast
    start = isFirst && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    lines = [(start, line)]
  }

  /// Returns an error about the whole text or, with a field, about that cell.
  func bad(_ reason: String, at field: Field? = nil, column: Int? = nil) -> ChainruleError {
    .badData(file: file, line: field.map { line(at: $0.content.lowerBound) }, column: column, reason: reason)
  }

  /// Returns the line of an offset, counted from 1.
  func line(at offset: Int) -> Int {
    var (low, high) = (0, lines.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if lines[middle].offset <= offset { low = middle } else { high = middle }
    }
    return lines[low].line + lineEnds(in: lines[low].offset..<max(offset, lines[low].offset))
  }

  private func lineEnds(in range: Range<Int>) -> Int {
    range.count { index in
      bytes[index] == Self.lineFeed
        || (bytes[index] == Self.carriageReturn
          && !(index + 1 < bytes.count && bytes[index + 1] == Self.lineFeed))
    }
  }

  // MARK: Rows

  /// Returns the rows, each with `expected` cells, or else as many as the first. With `skippingBad`, bad rows
  /// are skipped.
  ///
  /// A row at the end of the bytes may be incomplete if the text continues; it is not included.
  mutating func rows(of expected: Int?, skippingBad skipsBad: Bool) throws(ChainruleError) -> Rows {
    var rows = Rows(columns: expected ?? 0, end: start)
    var line = lines[0].line
    while rows.end < bytes.count {
      // 1 KiB cannot contain more rows.
      let count = rows.starts.count
      try rows.starts.makeRoom(for: 1 << 10, for: "the places of more than \(count) rows")
      let plain = plainRows(after: rows.end, columns: rows.columns, into: &rows.starts)
      line += plain.count
      rows.end = plain.end
      if rows.end - lines[lines.count - 1].offset > 1 << 10 { lines.append((rows.end, line)) }
      guard plain.isOver else { continue }

      let next: Int
      do {
        guard let found = try row(at: rows.end, of: expected, in: &rows) else { return rows }
        next = found
      } catch {
        guard skipsBad else { throw error.reason }
        guard error.next < bytes.count || isLast else { return rows }
        rows.skipped.add(error.reason)
        next = error.next
      }
      line += lineEnds(in: rows.end..<next)
      rows.end = next
    }
    return rows
  }

  /// The error of a bad row, and the offset of the next row.
  private struct BadRow: Error {
    let reason: ChainruleError
    let next: Int
  }

  /// Reads the row at `start`, adds it to `rows` unless it is a blank line, and returns the offset of the
  /// next row; `nil` if the row may continue after the bytes.
  ///
  /// After a quote that does not close, or closes too early, the next row begins with the next line.
  private func row(at start: Int, of expected: Int?, in rows: inout Rows) throws(BadRow) -> Int? {
    var offset = start
    var count = 0
    var field: Field
    repeat {
      count += 1
      do {
        field = try self.field(at: offset, column: count)
      } catch {
        throw BadRow(reason: error, next: nextLine(after: offset))
      }
      offset = field.next
      if offset == bytes.count, !isLast { return nil }
      if count == 1, field.endsRow, field.content.isEmpty, !field.isQuoted { return offset }  // A blank line.
    } while !field.endsRow
    if rows.starts.isEmpty, expected == nil { rows.columns = count }
    // A delimiter after the last cell does not begin another cell, in this row or, as the second row shows,
    // in the first.
    let endsEmpty = field.content.isEmpty && !field.isQuoted
    if rows.starts.count == 1, expected == nil, count == rows.columns - 1, count > 0,
      try endsEmptily(rows.starts[0], cells: rows.columns)
    {
      rows.columns = count
    }
    guard count == rows.columns || (endsEmpty && count == rows.columns + 1) else {
      let reason = ChainruleError.badData(
        file: file, line: line(at: start), column: nil,
        reason:
          "there \(count == 1 ? "is 1 cell" : "are \(count) cells"); expected \(rows.columns), as in the first row"
      )
      throw BadRow(reason: reason, next: offset)
    }
    rows.starts.append(start)
    return offset
  }

  /// Whether the last cell of a row, which was read before, is empty and not quoted.
  private func endsEmptily(_ start: Int, cells: Int) throws(BadRow) -> Bool {
    guard let field = try? field(row: start, column: cells - 1) else { return false }
    return field.content.isEmpty && !field.isQuoted
  }

  /// Returns the offset of the line after the one at `offset`.
  func nextLine(after offset: Int) -> Int {
    var index = offset
    while index < bytes.count, bytes[index] != Self.lineFeed, bytes[index] != Self.carriageReturn {
      index += 1
    }
    return field(offset..<index, boundary: index).next
  }

  func fields(ofRowAt offset: Int) throws(ChainruleError) -> [Field] {
    var fields = [try field(at: offset, column: 1)]
    while let last = fields.last, !last.endsRow {
      fields.append(try field(at: last.next, column: fields.count + 1))
    }
    return fields
  }

  // MARK: Cells

  /// Reads the cell at `offset`; `column` is for errors.
  func field(at offset: Int, column: Int) throws(ChainruleError) -> Field {
    var first = offset
    while first < bytes.count, isSpace(bytes[first]) { first += 1 }
    if first < bytes.count, bytes[first] == Self.quote {
      return try quotedField(at: first, column: column)
    }
    var end = first
    while end < bytes.count, !isBoundary(bytes[end]) { end += 1 }
    let boundary = end
    while end > first, isSpace(bytes[end - 1]) { end -= 1 }
    return self.field(first..<end, boundary: boundary)
  }

  /// Reads the cell of a column, counted from 0, in the row at `start`.
  func field(row start: Int, column: Int) throws(ChainruleError) -> Field {
    if let offset = bytes.withUnsafeBytes({ plainCell(column, behind: start, in: $0) }) {
      return try field(at: offset, column: column + 1)
    }
    var field = try field(at: start, column: 1)
    for index in 0..<column { field = try self.field(at: field.next, column: index + 2) }
    return field
  }

  /// Reads the cell whose opening quote is at `opening`.
  private func quotedField(at opening: Int, column: Int) throws(ChainruleError) -> Field {
    var closing = opening + 1
    while closing < bytes.count {
      if bytes[closing] == Self.quote {
        guard closing + 1 < bytes.count, bytes[closing + 1] == Self.quote else { break }
        closing += 1
      }
      closing += 1
    }
    var boundary = min(closing + 1, bytes.count)
    while boundary < bytes.count, isSpace(bytes[boundary]) { boundary += 1 }
    var field = field(opening + 1..<closing, boundary: boundary)
    field.isQuoted = true
    guard closing < bytes.count || !isLast else {
      throw bad("the quote that opens here does not close", at: field, column: column)
    }
    guard boundary == bytes.count || isBoundary(bytes[boundary]) else {
      throw bad("there is text after the closing quote", at: field, column: column)
    }
    return field
  }

  /// Returns a cell with this content that ends at a delimiter, a line end or the end of the text.
  private func field(_ content: Range<Int>, boundary: Int) -> Field {
    guard boundary < bytes.count else { return Field(content: content, next: boundary, endsRow: true) }
    var next = boundary + 1
    if bytes[boundary] == Self.carriageReturn, next < bytes.count, bytes[next] == Self.lineFeed { next += 1 }
    return Field(content: content, next: next, endsRow: bytes[boundary] != delimiter)
  }

  private func isBoundary(_ byte: UInt8) -> Bool {
    byte == delimiter || byte == Self.lineFeed || byte == Self.carriageReturn
  }

  private func isSpace(_ byte: UInt8) -> Bool {
    (byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")) && byte != delimiter
  }

  /// Returns the bytes of a quoted cell, with single instead of doubled quotes.
  func unquoted(_ field: Field) -> [UInt8] {
    var content = Array(bytes[field.content])
    var isFirst = false
    content.removeAll { byte in
      isFirst = byte == Self.quote && !isFirst
      return byte == Self.quote && !isFirst
    }
    return content
  }

  /// Returns the text of a cell, with single instead of doubled quotes.
  func text(_ field: Field, column: Int) throws(ChainruleError) -> String {
    let content = field.isQuoted ? unquoted(field) : Array(bytes[field.content])
    guard let text = String(validating: content, as: UTF8.self) else {
      throw bad("the text of this cell is not UTF-8; save the file in UTF-8", at: field, column: column)
    }
    guard !content.contains(0) else {
      throw bad(
        "the cell holds the character NUL; is the file in UTF-16, without a byte order mark?", at: field,
        column: column)
    }
    return text
  }

  /// Returns the number in a cell, infinite if it overflows; `nil` if it is not a number.
  func number<Scalar: NetworkScalar>(_ field: Field) -> Scalar? {
    dialect.numbers.number(in: bytes, field.content)
  }

  /// Whether a cell is NaN or infinity, in upper or lower case.
  func isNotFinite(_ field: Field) -> Bool {
    guard field.content.count <= 10 else { return false }
    let text = String(decoding: bytes[field.content], as: UTF8.self).lowercased()
    return ["nan", "inf", "infinity"].contains(text.drop { $0 == "-" || $0 == "+" })
  }

  /// Calls `body` with the cells of some columns, ascending and counted from 0, of the row at `start`, and
  /// with the position of each column among them.
  @inline(__always)
  func forEachField(
    row start: Int, columns: [Int], _ body: (Int, Field) throws(ChainruleError) -> Void
  ) throws(ChainruleError) {
    var (place, column, offset) = (0, 0, start)
    while place < columns.count {
      let field = try field(at: offset, column: column + 1)
      if column == columns[place] {
        try body(place, field)
        place += 1
      }
      offset = field.next
      column += 1
    }
  }
}

// MARK: - Eight bytes at a time

extension CSVScanner {
  /// Appends the offsets of rows after `start` as long as they are lines without quotes and with `columns`
  /// cells, at least two. It stops before the first other row; before the last line of the bytes, where it
  /// sets `isOver`; or after about 1 KiB.
  private func plainRows(
    after start: Int, columns: Int, into starts: inout [Int]
  ) -> (count: Int, end: Int, isOver: Bool) {
    guard columns > 1 else { return (0, start, true) }
    return bytes.withUnsafeBytes { text in
      var (count, row) = (0, start)
      while row - start <= 1 << 10 {
        guard let line = plainLine(at: row, in: text), line.delimiters == columns - 1 else {
          return (count, row, true)
        }
        starts.append(row)
        count += 1
        row = line.next
      }
      return (count, row, false)
    }
  }

  /// Counts the delimiters in the line at `start` and returns the offset of the next line; `nil` if the line
  /// has a quote or reaches the last eight bytes of the text.
  @inline(__always)
  private func plainLine(
    at start: Int, in text: UnsafeRawBufferPointer
  ) -> (delimiters: Int, next: Int)? {
    var (delimiters, index) = (0, start)
    while index + 16 <= text.count {
      let word = word(at: index, in: text)
      let ends = places(of: Self.lineFeed, in: word) | places(of: Self.carriageReturn, in: word)
      // All bits below the first line end.
      let line = (ends &- 1) & ~ends
      if places(of: Self.quote, in: word) & line != 0 { return nil }
      delimiters += marks(in: places(of: delimiter, in: word) & line)
      if ends != 0 {
        let end = index + ends.trailingZeroBitCount / 8
        let isPair = text[end] == Self.carriageReturn && text[end + 1] == Self.lineFeed
        return (delimiters, end + (isPair ? 2 : 1))
      }
      index += 8
    }
    return nil
  }

  /// Returns the offset of the cell that is `count` delimiters after `start`; `nil` if there is a quote
  /// before it, or in the last eight bytes.
  @inline(__always)
  func plainCell(_ count: Int, behind start: Int, in text: UnsafeRawBufferPointer) -> Int? {
    if count == 0 { return start }
    var (left, index) = (count, start)
    while index + 8 <= text.count {
      let word = word(at: index, in: text)
      if places(of: Self.quote, in: word) != 0 { return nil }
      var delimiters = places(of: delimiter, in: word)
      let found = marks(in: delimiters)
      if found >= left {
        for _ in 1..<left { delimiters &= delimiters - 1 }
        return index + delimiters.trailingZeroBitCount / 8 + 1
      }
      left -= found
      index += 8
    }
    return nil
  }

  /// Returns the number in the cell at `start` and the offset of the next cell; `nil` if the cell has
  /// anything else, such as quotes.
  @inline(__always)
  func plainNumber<Scalar: NetworkScalar>(
    at start: Int, in text: UnsafeRawBufferPointer
  ) -> (value: Scalar, next: Int)? {
    guard let number: (value: Scalar, end: Int) = decimalNumber(at: start, in: text),
      number.end == text.count || isBoundary(text[number.end])
    else { return nil }
    return (number.value, number.end + 1)
  }
}

/// Sets the highest bit of each byte of `word` that equals `byte`, and clears all other bits.
@inline(__always)
private func places(of byte: UInt8, in word: UInt64) -> UInt64 {
  // A byte is 0 if its highest bit is clear, and also after adding 127 to its lower bits.
  let others = word ^ (0x0101_0101_0101_0101 &* UInt64(byte))
  return ~((others & 0x7F7F_7F7F_7F7F_7F7F) + 0x7F7F_7F7F_7F7F_7F7F | others) & 0x8080_8080_8080_8080
}

/// Returns the number of bytes whose highest bit is set; all other bits are 0.
@inline(__always)
private func marks(in places: UInt64) -> Int {
  Int((places >> 7 &* 0x0101_0101_0101_0101) >> 56)
}
