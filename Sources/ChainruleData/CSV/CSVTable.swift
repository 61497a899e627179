/// Rows of a CSV text that were left out, since they are bad; see ``CSVOptions/skipsBadRows``.
public struct SkippedRows: Sendable, Equatable {
  /// How many there are.
  public private(set) var count = 0
  /// What is wrong with the first, with its line and, where it is a cell, its column; nil where there is none.
  public private(set) var first: ChainruleError?

  /// None.
  public init() {}

  mutating func add(_ reason: ChainruleError) {
    count += 1
    take(reason)
  }

  mutating func add(_ others: SkippedRows) {
    count += others.count
    if let reason = others.first { take(reason) }
  }

  /// Without those that were counted before.
  func less(_ before: SkippedRows) -> SkippedRows {
    var rest = self
    rest.count -= before.count
    if rest.count == 0 { rest.first = nil }
    return rest
  }

  private mutating func take(_ reason: ChainruleError) {
    guard case .badData(_, let line?, _, _) = reason else { return }
    if case .badData(_, let known?, _, _)? = first, known <= line { return }
    first = reason
  }
}

/// A CSV text whose rows all have the same number of cells.
///
/// Quoting is that of RFC 4180: a cell in double quotes may hold delimiters, line ends and, doubled,
/// quotes. Lines end with LF, CRLF or CR, the last one perhaps with nothing. A byte order mark and blank
/// lines are skipped, and spaces around a cell; a delimiter after the last cell of a row is none between cells. UTF-16
/// needs its byte order mark, any other text is UTF-8.
///
/// Every error about a cell gives the line of the file and the column, both counted from 1; a column is a
/// cell's place in its row.
public struct CSVTable: Sendable {
  /// The names of the columns, each once; nil where the text has no header.
  public let columnNames: [String]?
  /// The number of cells in a row.
  public let columns: Int
  /// The number of rows, the header not counted; at least 1.
  public var rows: Int { rowStarts.count }
  /// What was guessed in reading the text and may be wrong, such as that its first row is the header: a sentence each.
  public let notes: [String]

  /// The options the table was read with. They may change before a data set is made of it, but for those of the text:
  /// `header`, `delimiter`, `decimal` and `thousands` have had their effect.
  public var options: CSVOptions
  /// The bad rows left out so far, where ``CSVOptions/skipsBadRows`` asks for it: those of other numbers of cells and
  /// those with quotes that do not fit; ``withoutBadRows(for:)`` leaves out the others.
  public private(set) var skippedRows: SkippedRows
  let scanner: CSVScanner
  /// Where each row begins, as an offset into the text.
  private(set) var rowStarts: [Int]
  /// Where the rows end: after it there is at most the beginning of another.
  let end: Int

  /// Reads the CSV file at `path`, gzip-compressed or not.
  ///
  /// - Throws: As ``DataFile/init(_:format:)`` and ``init(bytes:file:options:)``.
  public init(file path: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(DataFile(path, format: .csv), options: options)
  }

  /// Takes a file that has been read.
  ///
  /// - Throws: As ``init(bytes:file:options:)``.
  public init(_ file: DataFile, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name, options: options)
  }

  /// Reads CSV from its bytes, in UTF-8, or in UTF-16 with a byte order mark. `file` is the name that errors give.
  ///
  /// - Throws: `ChainruleError.badData` for a text without rows, a row that is longer or shorter than the
  ///   first, a quote that does not close, or a name that is not UTF-8; `.invalidValue` for a delimiter
  ///   that cannot be one.
  public init(
    bytes: [UInt8], file: String? = nil, options: CSVOptions = CSVOptions()
  ) throws(ChainruleError) {
    var bytes = bytes
    if var decoder = UTF16Decoder(beginning: bytes) { bytes = decoder.decode(bytes, isLast: true) }
    let dialect = try CSVDialect(options, of: bytes.prefix(1 << 16))
    try self.init(part: bytes, file: file, options: options, dialect: dialect, beginning: 1, isLast: true)
    guard rows > 0 else { throw noRows }
  }

  /// The first part of a text, up to its last row that is whole for sure; where it `isLast`, all of the text. It may
  /// hold a header and no row, or not even that, and then has no columns. `line` is the first line's number.
  init(
    part bytes: [UInt8], file: String?, options: CSVOptions, dialect: CSVDialect, beginning line: Int,
    isLast: Bool
  ) throws(ChainruleError) {
    var scanner = CSVScanner(
      bytes: bytes, file: file, dialect: dialect, firstLine: line, isFirst: true, isLast: isLast)
    let rows = try scanner.rows(of: nil, skippingBad: options.skipsBadRows)
    var starts = rows.starts
    guard !starts.isEmpty || !isLast else { throw rows.skipped.first ?? scanner.bad("the text is empty") }
    var columns = rows.columns
    var (names, notes): ([String]?, [String]) = (nil, [])
    if !starts.isEmpty {
      let header = try CSVHeader(rowsAt: starts, columns: columns, scanner: scanner, options: options)
      if let note = header.note { notes.append(note) }
      if columns > 1, try Self.allAreEmpty(in: columns - 1, starts[...], scanner) {
        columns -= 1
      }
      if header.isHeader {
        var titles: [String] = []
        for (index, field) in try scanner.fields(ofRowAt: starts[0]).prefix(columns).enumerated() {
          titles.append(try scanner.text(field, column: index + 1))
        }
        let unique = uniqueNames(titles)
        names = unique.names
        if !unique.repeated.isEmpty {
          notes.append(
            "more than one column is named \(enumeration(unique.repeated)): the second is called "
              + "\"\(unique.repeated[0]).1\", and so on")
        }
        starts.removeFirst()
      }
    }
    columnNames = names
    self.notes = notes
    self.options = options
    self.scanner = scanner
    self.columns = columns
    end = rows.end
    rowStarts = starts
    skippedRows = rows.skipped
  }

  /// A part of a text that has the columns of `first`. Where `isAtHeader`, its first row is the header and is passed over.
  init(
    part bytes: [UInt8], like first: CSVTable, isAtHeader: inout Bool, notes: [String], beginning line: Int,
    isLast: Bool
  ) throws(ChainruleError) {
    var scanner = CSVScanner(
      bytes: bytes, file: first.scanner.file, dialect: first.scanner.dialect, firstLine: line, isFirst: false,
      isLast: isLast)
    var rows = try scanner.rows(of: first.columns, skippingBad: first.options.skipsBadRows)
    if isAtHeader, !rows.starts.isEmpty {
      rows.starts.removeFirst()
      isAtHeader = false
    }
    self.scanner = scanner
    columnNames = first.columnNames
    columns = first.columns
    options = first.options
    self.notes = notes
    end = rows.end
    rowStarts = rows.starts
    skippedRows = rows.skipped
  }

  /// Some rows of `table`.
  init(_ table: CSVTable, rows: Range<Int>) {
    self.init(table, startingAt: Array(table.rowStarts[rows]), skipped: SkippedRows())
  }

  /// The rows of `table` at `indices`, in that order.
  ///
  /// - Throws: `ChainruleError.invalidValue` where there is no such row.
  init(_ table: CSVTable, rowsAt indices: [Int]) throws(ChainruleError) {
    var starts = try [Int](roomFor: indices.count, for: "the places of \(indices.count) rows")
    for index in indices {
      try checkIndex(index, within: table.rows, name: "the row")
      starts.append(table.rowStarts[index])
    }
    self.init(table, startingAt: starts, skipped: table.skippedRows)
  }

  private init(_ table: CSVTable, startingAt starts: [Int], skipped: SkippedRows) {
    columnNames = table.columnNames
    columns = table.columns
    options = table.options
    notes = table.notes
    scanner = table.scanner
    rowStarts = starts
    end = table.end
    skippedRows = skipped
  }

  /// Whether the last cell of every row is empty, as where each ends with a delimiter.
  private static func allAreEmpty(
    in column: Int, _ starts: ArraySlice<Int>, _ scanner: CSVScanner
  ) throws(ChainruleError) -> Bool {
    for start in starts {
      let field = try scanner.field(row: start, column: column)
      guard field.content.isEmpty, !field.isQuoted else { return false }
    }
    return true
  }

  /// An error for a table without rows: why the first that was left out is bad, where there is one.
  private var noRows: ChainruleError { skippedRows.first ?? bad("there are no rows below the header") }

  /// The number of the line that holds ``end``, of the whole text.
  var endLine: Int { scanner.line(at: end) }
  /// All bytes of the part.
  var bytes: [UInt8] { scanner.bytes }
  /// What follows the rows.
  var rest: ArraySlice<UInt8> { scanner.bytes[end...] }
}

// MARK: - Columns

extension CSVTable {
  /// The indices of the target columns.
  func targetColumns() throws(ChainruleError) -> [Int] {
    let targets = options.target.isEmpty ? [columns - 1] : try columns(named: options.target)
    var seen: Set<Int> = []
    if let twice = targets.first(where: { !seen.insert($0).inserted }) {
      throw bad("the column \"\(title(of: twice))\" is a target twice")
    }
    return targets
  }

  /// The indices of the feature columns, at least one.
  func featureColumns() throws(ChainruleError) -> [Int] {
    var roles: [Int: String] = [:]
    for target in try targetColumns() { roles[target] = "the target" }
    for (names, role) in [
      (options.ignored, "ignored"), (options.id.map { [$0] } ?? [], "the id"),
      (options.weights.map { [$0] } ?? [], "the weight"),
    ] {
      for column in try columns(named: names) {
        if let other = roles[column], other != role {
          throw bad("\"\(title(of: column))\" is both \(role) and \(other)")
        }
        roles[column] = role
      }
    }
    var inputs = (0..<columns).filter { roles[$0] == nil }
    if let features = options.features {
      inputs = try columns(named: features)
      if let both = inputs.first(where: { roles[$0] != nil }) {
        throw bad("\"\(title(of: both))\" is both a feature and \(roles[both]!)")
      }
      var seen: Set<Int> = []
      if let twice = inputs.first(where: { !seen.insert($0).inserted }) {
        throw bad("\"\(title(of: twice))\" is a feature twice")
      }
    }
    guard !inputs.isEmpty else {
      let count = "\(columns) column\(columns == 1 ? "" : "s")"
      throw bad(
        "\(count), delimited by \(scanner.dialect.delimiterName), leave none for features; "
          + "is the delimiter another?")
    }
    return inputs
  }

  /// The index, counted from 0, of the column with this name, or else of this number counted from 1.
  ///
  /// - Throws: `ChainruleError.badData` where there is no such column.
  public func column(_ name: String) throws(ChainruleError) -> Int {
    try columns(named: [name])[0]
  }

  /// ``column(_:)`` of each of some names.
  func columns(named names: [String]) throws(ChainruleError) -> [Int] {
    if names.isEmpty { return [] }
    let named = places(of: columnNames ?? [])
    var indices: [Int] = []
    for name in names {
      if let index = named[ExactText(name)] {
        indices.append(index)
      } else if let number = Int(name), 1...max(columns, 1) ~= number {
        indices.append(number - 1)
      } else {
        let parts = name.split(separator: ",").map(String.init)
        let available =
          if parts.count > 1, (try? self.columns(named: parts)) != nil {
            "give each column by itself"
          } else if let columnNames {
            "the columns are \(enumeration(columnNames))"
          } else {
            "without a header, columns are numbered 1 to \(columns)"
          }
        throw scanner.bad("there is no column \"\(name)\"; \(available)")
      }
    }
    return indices
  }

  /// The name of a column, or its number counted from 1.
  func title(of column: Int) -> String {
    columnNames.map { $0[column] } ?? "\(column + 1)"
  }

  /// How an option of the command line names a column: quoted where its name needs that, and by its number where the shell
  /// would not take it.
  func argument(naming column: Int) -> String {
    let name = title(of: column)
    let isPlain =
      !name.isEmpty
      && name.utf8.allSatisfy {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
          || "_.-+%:/=@".utf8.contains($0) || $0 >= 0x80
      }
    if isPlain, !name.hasPrefix("-") { return name }
    if name.isEmpty || name.hasPrefix("-")
      || name.unicodeScalars.contains(where: {
        "'\"".unicodeScalars.contains($0) || $0.value < 32 || $0.value == 127
      })
    {
      return "\(column + 1)"
    }
    return name.contains(",") ? "'\"\(name)\"'" : "'\(name)'"
  }

  private func name(of column: Int) -> String {
    columnNames.map { $0[column] } ?? "the cell"
  }
}

// MARK: - Cells

extension CSVTable {
  /// The numbers in some columns (indices counted from 0), row-major: rows × indices, correctly rounded.
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is not a finite number, `.invalidValue` for an index
  ///   that is not a column or stands twice.
  public func numbers<Scalar: NetworkScalar>(
    inColumns indices: [Int], as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try numbers(inColumns: indices, missing: nil)
  }

  /// The numbers in some columns, as ``numbers(inColumns:as:)``, with NaN for a cell that is missing by
  /// ``CSVOptions/missingTexts``: what ``Imputation`` takes.
  ///
  /// - Throws: As ``numbers(inColumns:as:)``.
  public func numbersOrMissing<Scalar: NetworkScalar>(
    inColumns indices: [Int], as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try numbers(inColumns: indices, missing: missingCells)
  }

  /// The numbers in some columns, NaN for a cell that is missing. In the columns `dates`, some of those, a date is the
  /// number of its days since 1970.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  func numbers<Scalar: NetworkScalar>(
    inColumns indices: [Int], missing: MissingCells?, dates: Set<Int> = []
  ) throws(ChainruleError) -> [Scalar] {
    // The place of each column in a row of the result, -1 for the others.
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

  /// Reads rows from `row` on that are finite numbers in their columns, ascending, with nothing around them. `places` are
  /// where those stand in a row of `numbers`. Returns the first row that is not so; and, `refusingCodes`, the first with a
  /// number that is perhaps a label, since it begins with a needless zero.
  @inline(__always)
  func readPlainRows<Scalar: NetworkScalar>(
    from row: Int, columns: [Int], to places: [Int], into numbers: inout [Scalar], refusingCodes: Bool
  ) -> Int {
    // How many cells are between a column and the one before.
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

  /// The number in a cell, NaN where it is missing.
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

  /// The days of the date in a cell, NaN where it is missing.
  private func date<Scalar: NetworkScalar>(
    _ field: CSVScanner.Field, _ column: Int, missing: MissingCells?
  ) throws(ChainruleError) -> Scalar {
    let cell = scanner.bytes[field.content]
    if let days = ISODate.days(in: cell) { return Scalar(days) }
    if let missing, missing.contain(cell) { return .nan }
    throw scanner.bad(
      "\(name(of: column)) is \(quoted(cell)); expected a date as ISO 8601 writes it, such as 2024-03-01",
      at: field,
      column: column + 1)
  }

  /// The text of every cell in a column (an index counted from 0).
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

  /// The text of every cell in the column of this name, or else of this number counted from 1.
  ///
  /// - Throws: `ChainruleError.badData` for a column that is not there, or a cell that is not UTF-8.
  public func texts(inColumn name: String) throws(ChainruleError) -> [String] {
    try texts(inColumn: column(name))
  }

  /// The text of every cell in a column, whatever it says.
  func texts(inColumn index: Int) throws(ChainruleError) -> [String] {
    var texts = try [String](roomFor: rows, for: "the texts of \(rows) rows")
    for start in rowStarts {
      texts.append(try scanner.text(scanner.field(row: start, column: index), column: index + 1))
    }
    return texts
  }

  /// The category in every cell of a column (an index counted from 0), nil where it is missing.
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

  /// The table without the rows of which a target is missing.
  ///
  /// - Throws: `ChainruleError.badData` for a target column that is not there.
  public func withoutMissingTargets() throws(ChainruleError) -> CSVTable {
    var report = EncodingReport()
    return try withoutMissingTargets(report: &report)
  }

  /// The table without the rows of which a target is missing; `report` counts them.
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

  /// As ``withoutMissingTargets()``, where a row is left.
  func withTargets() throws(ChainruleError) -> CSVTable {
    var report = EncodingReport()
    return try withTargets(report: &report)
  }

  func withTargets(report: inout EncodingReport) throws(ChainruleError) -> CSVTable {
    let complete = try withoutMissingTargets(report: &report)
    if complete.rows == 0 { throw noTarget }
    return complete
  }

  /// An error for a table of which every row lacks a target.
  var noTarget: ChainruleError {
    let targets = ((try? targetColumns()) ?? []).map(title)
    return bad(
      targets.count == 1
        ? "the target \(targets[0]) is missing in every row"
        : "every row lacks one of the targets \(enumeration(targets))")
  }

  /// The cells that ``CSVOptions/missingTexts`` say are missing.
  var missingCells: MissingCells { MissingCells(options.missingTexts) }

  /// An error about the cell of a row and a column, both counted from 0.
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

  /// The features of a model with `count` inputs, row-major: rows × count.
  ///
  /// They are the columns `names` where both the model and the table have names, in the model's order and
  /// whatever else the table holds; otherwise all columns, which must be `count`.
  ///
  /// - Throws: `ChainruleError.badData` for a name that the table lacks or a cell that is not a number,
  ///   `.shapeMismatch` for another number of columns.
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

  /// The number of the line at which a row, counted from 0, begins.
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
        "expected a number; where the target names classes: --task classification"
      } else {
        "expected a number; where the column names categories: --categorical \(argument(naming: column))"
      }
    return scanner.bad("\(name(of: column)) is \(value); \(expectation)", at: field, column: column + 1)
  }
}

// MARK: - Bad rows

extension CSVTable {
  /// What `read` makes of the table; where it throws for a cell, the error is that of the first bad row, however `read`
  /// goes through the columns. That row is found by halving.
  func refusingFirstBadRow<Result>(
    _ read: (CSVTable) throws(ChainruleError) -> Result
  ) throws(ChainruleError) -> Result {
    do {
      return try read(self)
    } catch {
      guard case .badData(_, .some, _, _) = error, rows > 1 else { throw error }
      var (good, bad, reason) = (0, rows, error)
      // The rows before `good` are good, and one before `bad` is not.
      while bad - good > 1 {
        let middle = good + (bad - good) / 2
        do {
          _ = try read(CSVTable(self, rows: good..<middle))
          good = middle
        } catch {
          (bad, reason) = (middle, error)
        }
      }
      if bad == rows { _ = try read(CSVTable(self, rows: good..<bad)) }
      throw reason
    }
  }

  /// The table without the rows that a data set of `Scalar` cannot have: of a feature, target or weight that is a number, a cell
  /// that is none, and of one that names a category or class, a cell that is not UTF-8; and with an `encoding`,
  /// categories that it refuses. They are counted in ``skippedRows``. What the columns are is decided by all rows.
  ///
  /// - Throws: `ChainruleError.badData` for columns that are not there, and where no row is left: why the first is bad.
  public func withoutBadRows<Scalar: NetworkScalar>(
    for type: Scalar.Type, encoding: FeatureEncoding? = nil
  ) throws(ChainruleError) -> CSVTable {
    let complete = try withTargets()
    let targets = try TargetEncoding(fitting: complete)
    let features =
      if let encoding { encoding } else { try FeatureEncoding(fitting: complete, isLenient: true) }
    let table = try withoutBadRows(for: type, features: features, targets: targets)
    guard table.rows > 0 else { throw table.noRows }
    return table
  }

  /// The table, of which perhaps no row is left, without the rows that the encodings refuse. Rows of which a target is
  /// missing stay.
  ///
  /// - Throws: `ChainruleError.badData` for columns that are not there.
  public func withoutBadRows<Scalar: NetworkScalar>(
    for type: Scalar.Type, features: FeatureEncoding, targets: TargetEncoding
  ) throws(ChainruleError) -> CSVTable {
    let (inputs, outputs) = (try features.columns(in: self), try targetColumns())
    var report = EncodingReport()
    return try filtered { rows throws(ChainruleError) in
      _ = try features.features(of: rows, inColumns: inputs) as [Scalar]
      _ = try targets.targets(of: rows.withoutMissingTargets(report: &report), inColumns: outputs) as [Scalar]
      _ = try rows.sampleWeights() as [Scalar]?
    }
  }

  /// The table without the rows at whose lines `read` throws. They are found by halving, so that the good ones cost
  /// little more than reading them.
  private func filtered(
    _ read: (CSVTable) throws(ChainruleError) -> Void
  ) throws(ChainruleError) -> CSVTable {
    var good: [Int] = []
    var skipped = skippedRows
    func take(_ range: Range<Int>) throws(ChainruleError) {
      do {
        try read(CSVTable(self, rows: range))
        good += rowStarts[range]
      } catch {
        guard case .badData(_, .some, _, _) = error else { throw error }
        guard range.count > 1 else { return skipped.add(error) }
        let middle = range.lowerBound + range.count / 2
        try take(range.lowerBound..<middle)
        try take(middle..<range.upperBound)
      }
    }
    for start in stride(from: 0, to: rows, by: 1024) { try take(start..<min(start + 1024, rows)) }
    return CSVTable(self, startingAt: good, skipped: skipped)
  }
}

// MARK: - A data set from a table

extension Dataset {
  /// A data set from the CSV file at `path`; ``CSVOptions`` says which columns are what.
  ///
  ///     let iris = try Dataset<Float>(csvFile: "iris.csv", options: CSVOptions(target: ["species"]))
  ///
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` with file, line and column
  ///   for contents that do not fit.
  public init(csvFile path: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(csv: CSVTable(file: path, options: options))
  }

  /// A data set from CSV text.
  ///
  /// - Throws: `ChainruleError.badData` with line and column for a text that does not fit.
  public init(csv text: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(csv: CSVTable(bytes: Array(text.utf8), options: options))
  }

  /// A data set from a table, by the options the table was read with, without the rows of which a target is missing;
  /// where they ask for it, ``CSVTable/withoutBadRows(for:encoding:)``.
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for contents that do not fit, and as
  ///   ``FeatureEncoding/init(fitting:)``.
  public init(csv table: CSVTable) throws(ChainruleError) {
    self = try EncodedTable(fitting: table).rows
  }

  /// A data set from a table, whose features are encoded as those of another: `encoding` was fitted on that.
  ///
  ///     let encoding = try FeatureEncoding(fitting: known)
  ///     let train = try Dataset<Float>(csv: known, encoding: encoding)
  ///     let test = try Dataset<Float>(csv: new, encoding: encoding)
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for contents that do not fit, and as
  ///   ``FeatureEncoding/features(of:as:)``.
  public init(csv table: CSVTable, encoding: FeatureEncoding) throws(ChainruleError) {
    let table =
      table.options.skipsBadRows ? try table.withoutBadRows(for: Scalar.self, encoding: encoding) : table
    try self.init(csv: table, encoding: encoding, targets: TargetEncoding(fitting: table))
  }

  /// A data set from a table whose features and targets are encoded as those of another.
  ///
  /// - Throws: As ``init(csv:encoding:)``.
  public init(
    csv table: CSVTable, encoding: FeatureEncoding, targets: TargetEncoding
  ) throws(ChainruleError) {
    var report = EncodingReport()
    try self.init(csv: table, encoding: encoding, targets: targets, report: &report)
  }

  /// As ``init(csv:encoding:targets:)``; `report` counts what was passed over, too.
  public init(
    csv table: CSVTable, encoding: FeatureEncoding, targets: TargetEncoding, report: inout EncodingReport
  ) throws(ChainruleError) {
    let table = try table.withTargets(report: &report)
    let columns = try table.targetColumns()
    let inputs = try encoding.columns(in: table)
    if let classes = targets.classes {
      try Self.checkClasses(classes)
      try Self.checkOneHot(rows: table.rows, classes: classes.count, inputs: encoding.outputs, bad: table.bad)
    }
    let (features, values, weights) = try table.refusingFirstBadRow { rows throws(ChainruleError) in
      (
        try encoding.features(of: rows, inColumns: inputs, report: &report) as [Scalar],
        try targets.targets(of: rows, inColumns: columns) as [Scalar],
        try rows.sampleWeights() as [Scalar]?
      )
    }
    try self.init(
      features: features, targets: values, rows: table.rows, inputs: encoding.outputs,
      outputs: targets.outputs(ofColumns: columns.count), featureNames: encoding.featureNames,
      targetNames: targets.classes == nil
        ? table.columnNames.map { names in columns.map { names[$0] } } : nil,
      classLabels: targets.classes, sampleWeights: weights)
  }
}

extension CSVTable {
  /// The weight of each row, where ``CSVOptions/weights`` names a column of them.
  func sampleWeights<Scalar: NetworkScalar>() throws(ChainruleError) -> [Scalar]? {
    guard let name = options.weights else { return nil }
    let column = try column(name)
    let weights: [Scalar] = try numbers(inColumns: [column])
    if let row = weights.firstIndex(where: { $0 < 0 }) {
      throw bad("the weight is \(weights[row]); expected a number of at least 0", row: row, column: column)
    }
    return weights
  }
}

// MARK: - Missing cells

/// Which cells of a table say that a value is missing.
struct MissingCells: Sendable {
  /// In lower case.
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

  /// Whether a number may say that a value is missing.
  var includeNumbers: Bool { !numbers.isEmpty }

  /// Whether a cell of this content, no number, is missing.
  func contain(_ cell: ArraySlice<UInt8>) -> Bool {
    cell.count <= longest && texts.contains { $0.elementsEqual(cell.lazy.map(lowercased)) }
  }

  /// Whether a cell with this number is missing.
  @inline(__always)
  func contain<Scalar: NetworkScalar>(_ number: Scalar) -> Bool {
    !numbers.isEmpty && numbers.contains { Scalar($0) == number }
  }

  /// Whether a cell is missing, by its text or its number.
  func isMissing(_ field: CSVScanner.Field, in scanner: CSVScanner) -> Bool {
    if contain(scanner.bytes[field.content]) { return true }
    guard includeNumbers, let number: Double = scanner.number(field) else { return false }
    return contain(number)
  }
}

/// A letter of ASCII in lower case; every other byte as it is.
private func lowercased(_ byte: UInt8) -> UInt8 {
  UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
}
