/// A CSV text, parsed into rows with the same number of cells.
///
/// Quoting follows RFC 4180: a cell in double quotes may contain delimiters, line ends and doubled quotes.
/// Lines end with LF, CRLF or CR, which the last line may omit. A byte order mark, blank lines and spaces
/// around a cell are skipped; a delimiter after the last cell of a row does not begin another cell. UTF-16
/// needs a byte order mark, any other text is UTF-8.
///
/// Every error about a cell has the line of the file and the column, both counted from 1; the column is the
/// position of the cell in its row.
public struct CSVTable: Sendable {
  /// The distinct names of the columns; `nil` if the text has no header.
  public let columnNames: [String]?
  /// The number of cells in a row.
  public let columns: Int
  /// The number of rows without the header; at least 1.
  public var rows: Int { rowStarts.count }
  /// Guesses that may be wrong, such as that the first row is the header: one sentence each.
  public let notes: [String]

  /// The options the table was read with. They may be changed before creating a data set. Changes of
  /// `header`, `delimiter`, `decimal` and `thousands` have no effect, because the text has been parsed.
  public var options: CSVOptions
  /// The bad rows skipped so far, if ``CSVOptions/skipsBadRows`` is set: those with another number of cells
  /// or invalid quotes. ``withoutBadRows(for:encoding:)`` skips the others.
  public private(set) var skippedRows: SkippedRows
  let scanner: CSVScanner
  /// The offset of each row in the text.
  private(set) var rowStarts: [Int]
  /// The offset after the rows: after it there is at most an incomplete row.
  let end: Int

  /// Reads the CSV file at `path`, gzip-compressed or not.
  ///
  /// - Throws: The errors of ``DataFile/init(_:format:)`` and ``init(bytes:file:options:)``.
  public init(file path: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(DataFile(path, format: .csv), options: options)
  }

  /// Parses a file that has been read.
  ///
  /// - Throws: The errors of ``init(bytes:file:options:)``.
  public init(_ file: DataFile, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name, options: options)
  }

  /// Parses CSV from its bytes, in UTF-8, or in UTF-16 with a byte order mark. `file` is the name for errors.
  ///
  /// - Throws: `ChainruleError.badData` for a text without rows, a row that is longer or shorter than the
  ///   first, a quote that does not close, or a name that is not UTF-8; `.invalidValue` for an invalid
  ///   delimiter.
  public init(
    bytes: [UInt8], file: String? = nil, options: CSVOptions = CSVOptions()
  ) throws(ChainruleError) {
    var bytes = bytes
    if var decoder = UTF16Decoder(beginning: bytes) { bytes = decoder.decode(bytes, isLast: true) }
    let dialect = try CSVDialect(options, of: bytes.prefix(1 << 16))
    try self.init(part: bytes, file: file, options: options, dialect: dialect, beginning: 1, isLast: true)
    guard rows > 0 else { throw noRows }
  }

  /// Parses the first part of a text up to its last complete row, or all of the text if `isLast`. The part
  /// may have a header and no rows, or neither, and then has no columns. `line` is the number of the first
  /// line.
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

  /// Parses a part of a text with the columns of `first`. If `isAtHeader`, its first row is the header and is
  /// skipped.
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

  /// Creates a table from some rows of `table`.
  init(_ table: CSVTable, rows: Range<Int>) {
    self.init(table, startingAt: Array(table.rowStarts[rows]), skipped: SkippedRows())
  }

  /// Creates a table from the rows of `table` at `indices`, in that order.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such row.
  init(_ table: CSVTable, rowsAt indices: [Int]) throws(ChainruleError) {
    var starts = try [Int](roomFor: indices.count, for: "the places of \(indices.count) rows")
    for index in indices {
      try checkIndex(index, within: table.rows, name: "the row")
      starts.append(table.rowStarts[index])
    }
    self.init(table, startingAt: starts, skipped: table.skippedRows)
  }

  init(_ table: CSVTable, startingAt starts: [Int], skipped: SkippedRows) {
    columnNames = table.columnNames
    columns = table.columns
    options = table.options
    notes = table.notes
    scanner = table.scanner
    rowStarts = starts
    end = table.end
    skippedRows = skipped
  }

  /// Whether the last cell of every row is empty, for example because each row ends with a delimiter.
  private static func allAreEmpty(
    in column: Int, _ starts: ArraySlice<Int>, _ scanner: CSVScanner
  ) throws(ChainruleError) -> Bool {
    for start in starts {
      let field = try scanner.field(row: start, column: column)
      guard field.content.isEmpty, !field.isQuoted else { return false }
    }
    return true
  }

  /// The error for a table without rows: that of the first skipped row if there is one.
  var noRows: ChainruleError { skippedRows.first ?? bad("there are no rows below the header") }

  /// The number of the line at ``end`` in the whole text.
  var endLine: Int { scanner.line(at: end) }
  /// All bytes of the part.
  var bytes: [UInt8] { scanner.bytes }
  /// The bytes after the rows.
  var rest: ArraySlice<UInt8> { scanner.bytes[end...] }
}

// MARK: - Columns

extension CSVTable {
  /// Returns the indices of the target columns.
  func targetColumns() throws(ChainruleError) -> [Int] {
    let targets = options.target.isEmpty ? [columns - 1] : try columns(named: options.target)
    var seen: Set<Int> = []
    if let twice = targets.first(where: { !seen.insert($0).inserted }) {
      throw bad("the column \"\(title(of: twice))\" is a target twice")
    }
    return targets
  }

  /// Returns the indices of the feature columns, at least one.
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
          + "is the delimiter correct?")
    }
    return inputs
  }

  /// Returns the index, counted from 0, of the column with this name, or else with this number counted from
  /// 1.
  ///
  /// - Throws: `ChainruleError.badData` if there is no such column.
  public func column(_ name: String) throws(ChainruleError) -> Int {
    try columns(named: [name])[0]
  }

  /// Returns ``column(_:)`` for each of the names.
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

  /// Returns the name of a column, or its number counted from 1.
  func title(of column: Int) -> String {
    columnNames.map { $0[column] } ?? "\(column + 1)"
  }

  /// Returns the argument that names a column on the command line: quoted if necessary, or its number if a
  /// shell could not take the name.
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

  func name(of column: Int) -> String {
    columnNames.map { $0[column] } ?? "the cell"
  }
}
