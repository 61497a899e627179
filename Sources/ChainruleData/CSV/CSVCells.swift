// The cells of a table: their numbers, texts, categories and dates, and errors about them.

extension CSVTable {
  /// Returns the numbers in some columns (indices counted from 0), row-major: rows × indices, correctly
  /// rounded.
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is not a finite number, `.invalidValue` for an index
  ///   that does not exist or is repeated.
  public func numbers<Scalar: NetworkScalar>(
    inColumns indices: [Int], as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try numbers(inColumns: indices, missing: nil)
  }

  /// Returns the numbers in some columns as ``numbers(inColumns:as:)`` does, with NaN for cells that are
  /// missing according to ``CSVOptions/missingTexts``. ``Imputation`` takes this form.
  ///
  /// - Throws: The errors of ``numbers(inColumns:as:)``.
  public func numbersOrMissing<Scalar: NetworkScalar>(
    inColumns indices: [Int], as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try numbers(inColumns: indices, missing: missingCells)
  }

  /// Returns the numbers in some columns, with NaN for missing cells. In the columns `dates`, which are some
  /// of these, a date becomes the number of days since 1970.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  func numbers<Scalar: NetworkScalar>(
    inColumns indices: [Int], missing: MissingCells?, dates: Set<Int> = []
  ) throws(ChainruleError) -> [Scalar] {
    // The place of each column in a row of the result; -1 for the others.
    var places = [Int](repeating: -1, count: columns)
    for (place, index) in indices.enumerated() {
      guard places.indices.contains(index), places[index] < 0 else {
        throw .invalidValue(
          name: "a column's index", value: "\(index)", expected: "each once, from 0 to \(columns - 1)")
      }
      places[index] = place
    }
    let wanted = indices.sorted()
    let inOrder = wanted.map { places[$0] }
    let mayBePlain = missing?.includeNumbers != true && scanner.dialect.numbers.isPlain && dates.isEmpty
    var numbers = try [Scalar](
      repeating: 0, count: rows * indices.count,
      for: "the numbers of \(rows) rows and \(indices.count) columns")
    var row = 0
    while row < rows {
      if mayBePlain {
        row = readPlainRows(from: row, columns: wanted, to: inOrder, into: &numbers, refusingCodes: false)
      }
      if row == rows { break }
      let start = row * wanted.count
      try scanner.forEachField(row: rowStarts[row], columns: wanted) {
        (place, field) throws(ChainruleError) in
        let column = wanted[place]
        numbers[start + inOrder[place]] =
          dates.contains(column)
          ? try date(field, column, missing: missing) : try number(field, column, missing: missing)
      }
      row += 1
    }
    return numbers
  }

  /// Reads rows from `row` on as long as the cells of `columns` (ascending) are finite numbers and nothing
  /// else. `places` are the positions of the columns in a row of `numbers`. Returns the first row that does
  /// not fit. With `refusingCodes`, it also returns the first row with a number that may be a label because
  /// it has a leading zero.
  @inline(__always)
  func readPlainRows<Scalar: NetworkScalar>(
    from row: Int, columns: [Int], to places: [Int], into numbers: inout [Scalar], refusingCodes: Bool
  ) -> Int {
    // The number of cells between a column and the previous one.
    let gaps = zip(columns, [-1] + columns).map { $0 - $1 - 1 }
    return numbers.withUnsafeMutableBufferPointer { numbers in
      scanner.bytes.withUnsafeBytes { text in
        for row in row..<rows {
          var offset = rowStarts[row]
          for index in 0..<gaps.count {
            guard let start = scanner.plainCell(gaps[index], behind: offset, in: text),
              let cell: (value: Scalar, next: Int) = scanner.plainNumber(at: start, in: text),
              cell.value.isFinite
            else { return row }
            if refusingCodes,
              text[start] == UInt8(ascii: "0") && cell.next > start + 2
                && UInt8(ascii: "0")...UInt8(ascii: "9") ~= text[start + 1]
            {
              return row
            }
            numbers[row * gaps.count + places[index]] = cell.value
            offset = cell.next
          }
        }
        return rows
      }
    }
  }

  /// Returns the number in a cell; NaN if it is missing.
  private func number<Scalar: NetworkScalar>(
    _ field: CSVScanner.Field, _ column: Int, missing: MissingCells?
  ) throws(ChainruleError) -> Scalar {
    let number: Scalar? = scanner.number(field)
    if let missing, number.map({ missing.contain($0) }) ?? missing.contain(scanner.bytes[field.content]) {
      return .nan
    }
    guard let number, number.isFinite else { throw notANumber(field, column, Scalar.self) }
    return number
  }

  /// Returns the date in a cell as days since 1970; NaN if it is missing.
  private func date<Scalar: NetworkScalar>(
    _ field: CSVScanner.Field, _ column: Int, missing: MissingCells?
  ) throws(ChainruleError) -> Scalar {
    let cell = scanner.bytes[field.content]
    if let days = ISODate.days(in: cell) { return Scalar(days) }
    if let missing, missing.contain(cell) { return .nan }
    throw scanner.bad(
      "\(name(of: column)) is \(quoted(cell)); expected a date in ISO 8601 format, such as 2024-03-01",
      at: field,
      column: column + 1)
  }

  /// Returns the text of every cell in a column (an index counted from 0).
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is missing or not UTF-8.
  func strings(inColumn index: Int) throws(ChainruleError) -> [String] {
    let missing = missingCells
    var strings = try [String](roomFor: rows, for: "the texts of \(rows) rows")
    for start in rowStarts {
      let field = try scanner.field(row: start, column: index)
      let text = try scanner.text(field, column: index + 1)
      guard !missing.isMissing(field, in: scanner) else {
        throw notACategory(field, text, index, expected: "a class")
      }
      strings.append(text)
    }
    return strings
  }

  /// Returns the text of every cell in the column with this name, or else with this number counted from 1.
  ///
  /// - Throws: `ChainruleError.badData` for a column that does not exist, or a cell that is not UTF-8.
  public func texts(inColumn name: String) throws(ChainruleError) -> [String] {
    try texts(inColumn: column(name))
  }

  /// Returns the text of every cell in a column, whatever its content.
  func texts(inColumn index: Int) throws(ChainruleError) -> [String] {
    var texts = try [String](roomFor: rows, for: "the texts of \(rows) rows")
    for start in rowStarts {
      texts.append(try scanner.text(scanner.field(row: start, column: index), column: index + 1))
    }
    return texts
  }

  /// Returns the category in every cell of a column (an index counted from 0); `nil` if it is missing.
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is empty, but not missing, or not UTF-8.
  func categories(inColumn index: Int, missing: MissingCells?) throws(ChainruleError) -> [String?] {
    var categories = try [String?](roomFor: rows, for: "the categories of \(rows) rows")
    for start in rowStarts {
      let field = try scanner.field(row: start, column: index)
      if let missing, missing.isMissing(field, in: scanner) {
        categories.append(nil)
        continue
      }
      let text = try scanner.text(field, column: index + 1)
      guard !text.isEmpty else { throw notACategory(field, text, index, expected: "a category") }
      categories.append(text)
    }
    return categories
  }

  /// Returns the table without the rows with a missing target.
  ///
  /// - Throws: `ChainruleError.badData` for a target column that does not exist.
  public func withoutMissingTargets() throws(ChainruleError) -> CSVTable {
    var report = EncodingReport()
    return try withoutMissingTargets(report: &report)
  }

  /// Returns the table without the rows with a missing target, and counts them in `report`.
  func withoutMissingTargets(
    report: inout EncodingReport
  ) throws(ChainruleError) -> CSVTable {
    let (targets, missing) = (try targetColumns().sorted(), missingCells)
    var starts = try [Int](roomFor: rows, for: "the places of \(rows) rows")
    var first: Int?
    for start in rowStarts {
      var isMissing = false
      for target in targets where !isMissing {
        let field = try scanner.field(row: start, column: target)
        isMissing = missing.isMissing(field, in: scanner)
      }
      if !isMissing { starts.append(start) } else if first == nil { first = scanner.line(at: start) }
    }
    let count = rows - starts.count
    report.addMissingTargets(count, firstAt: first)
    return count == 0 ? self : CSVTable(self, startingAt: starts, skipped: skippedRows)
  }

  /// Returns ``withoutMissingTargets()``; throws if no row is left.
  func withTargets() throws(ChainruleError) -> CSVTable {
    var report = EncodingReport()
    return try withTargets(report: &report)
  }

  func withTargets(report: inout EncodingReport) throws(ChainruleError) -> CSVTable {
    let complete = try withoutMissingTargets(report: &report)
    if complete.rows == 0 { throw noTarget }
    return complete
  }

  /// The error for a table in which every row has a missing target.
  var noTarget: ChainruleError {
    let targets = ((try? targetColumns()) ?? []).map(title)
    return bad(
      targets.count == 1
        ? "the target \(targets[0]) is missing in every row"
        : "every row lacks one of the targets \(enumeration(targets))")
  }

  /// The cells that are missing according to ``CSVOptions/missingTexts``.
  var missingCells: MissingCells { MissingCells(options.missingTexts) }

  /// Returns an error about the cell at a row and a column, both counted from 0.
  func bad(_ reason: String, row: Int, column: Int) -> ChainruleError {
    guard let field = try? scanner.field(row: rowStarts[row], column: column) else { return bad(reason) }
    return scanner.bad("\(name(of: column)): \(reason)", at: field, column: column + 1)
  }

  private func notACategory(
    _ field: CSVScanner.Field, _ text: String, _ column: Int, expected: String
  ) -> ChainruleError {
    scanner.bad(
      "\(name(of: column)) is \(quoted(Array(text.utf8)[...])); expected \(expected)", at: field,
      column: column + 1)
  }

  /// Returns the features of a model with `count` inputs, row-major: rows × count.
  ///
  /// If both the model and the table have names, these are the columns `names`, in the model's order; other
  /// columns are ignored. Otherwise these are all columns, and their number must be `count`.
  ///
  /// - Throws: `ChainruleError.badData` for a name that the table does not have or a cell that is not a
  ///   number, `.shapeMismatch` for another number of columns.
  public func features<Scalar: NetworkScalar>(
    named names: [String]?, count: Int, as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    var indices = Array(0..<columns)
    if let names, columnNames != nil { indices = try columns(named: names) }
    guard indices.count == count else {
      throw .shapeMismatch(what: "columns of features", expected: count, actual: indices.count)
    }
    return try numbers(inColumns: indices)
  }

  func bad(_ reason: String) -> ChainruleError {
    scanner.bad(reason)
  }

  /// Returns the number of the line at which a row, counted from 0, begins.
  func line(ofRow row: Int) -> Int { scanner.line(at: rowStarts[row]) }

  private func quoted(_ cell: ArraySlice<UInt8>) -> String {
    if cell.isEmpty { return "empty" }
    let text = String(decoding: cell.prefix(160), as: UTF8.self).unicodeScalars
    let shown = text.count > 40 ? String(String.UnicodeScalarView(text.prefix(40))) + "…" : String(text)
    return "\"\(shown)\""
  }

  private func notANumber<Scalar: NetworkScalar>(
    _ field: CSVScanner.Field, _ column: Int, _ type: Scalar.Type
  ) -> ChainruleError {
    let cell = scanner.bytes[field.content]
    let value = quoted(cell)
    let decimalComma = try? NumberFormat(decimal: ",", thousands: nil)
    let isWeight = options.weights.map { (try? self.column($0)) == column } ?? false
    let isTarget = (try? targetColumns())?.contains(column) ?? false
    let expectation =
      if scanner.number(field) as Scalar? != nil {
        "too large for \(Scalar.scalarType.rawValue)"
      } else if isWeight {
        "expected the weight of the row, a number of at least 0"
      } else if scanner.isNotFinite(field), !missingCells.contain(cell) {
        "expected a finite number"
      } else if missingCells.contain(cell) {
        isTarget ? "expected a number" : "expected a number; to fill such gaps: --missing median"
      } else if cell.contains(UInt8(ascii: ",")),
        decimalComma?.number(in: scanner.bytes, field.content) as Double? != nil
      {
        "expected a number; for a decimal comma: --decimal ,"
      } else if isTarget {
        "expected a number; if the targets are classes: --task classification"
      } else {
        "expected a number; if the column is categorical: --categorical \(argument(naming: column))"
      }
    return scanner.bad("\(name(of: column)) is \(value); \(expectation)", at: field, column: column + 1)
  }
}
