/// How a CSV text is read, and which of its columns are what.
public struct CSVOptions: Sendable, Equatable {
  /// Whether the first row names the columns.
  public enum Header: String, Sendable, CaseIterable {
    /// It does where one of its cells is neither a number nor empty, nor in the target, nor in a categorical
    /// column that is given by number, nor missing under ``CSVOptions/missing``.
    case automatic
    /// It does.
    case yes
    /// It is a row as any other.
    case no
  }

  /// What the target says.
  public enum LearningTask: String, Sendable, CaseIterable {
    /// Classes where there is one target column, and
    /// - its first cell is not a number, or
    /// - its cells are all whole numbers, and either the column is named `class` or `label`, or they have 2 to
    ///   20 different values that occur at least twice on average.
    ///
    /// A regression otherwise.
    case automatic
    /// The cells of the one target column name classes. Whole numbers are the same class however they are
    /// written ("1" and "1.0") where all cells are whole numbers; other cells are taken as they stand.
    case classification
    /// The cells of the target columns are numbers to predict.
    case regression
    /// The cells of the target columns, one or several, are 0 or 1: whether the row has the label of that column. A row may
    /// have any number of labels.
    case multilabel
  }

  /// The columns to predict, by name or by number counted from 1; none: the last column.
  public var target: [String]
  /// The columns to predict from, in this order, by name or by number; nil: all but the target.
  public var features: [String]?
  /// Whether the first row names the columns.
  public var header: Header
  /// The character between two cells, one of ASCII.
  public var delimiter: Character
  /// Whether the target says classes or quantities.
  public var task: LearningTask
  /// The features, by name or by number counted from 1, whose cells name categories; each becomes one feature a
  /// category. See ``FeatureEncoding``.
  public var categorical: [String]
  /// What becomes of a category that is unknown to a ``FeatureEncoding`` fitted on the table.
  public var unknownCategory: OneHotEncoding.UnknownCategory
  /// What takes the place of a missing cell of a feature; nil: a missing cell is an error.
  ///
  /// Means, medians and most frequent values are those of the column. In a categorical column it is the most
  /// frequent category, the first of several, whatever the strategy. A missing target is always an error.
  public var missing: Imputation.Strategy?
  /// The texts of a missing cell, in capitals or not, where ``missing`` is not nil. Where one of them is a number,
  /// so is every cell of that number in a column of numbers, however it is written.
  public var missingTexts: [String]
  /// Whether a bad row is left out and counted, see ``CSVTable/skippedRows``, or an error.
  ///
  /// A bad row has another number of cells than the first, a quote that does not close or closes too early, or, for a
  /// data set, a cell that its column cannot have. Behind such a quote, the next row begins with the next line.
  public var skipsBadRows: Bool

  /// What a missing cell says unless told otherwise: nothing, "NA", "N/A", "NaN", "null" or "?".
  public static let usualMissingTexts = ["", "NA", "N/A", "NaN", "null", "?"]

  /// Comma-separated, the last column the target, the rest as the text suggests, unless said otherwise.
  public init(
    target: [String] = [], features: [String]? = nil, header: Header = .automatic,
    delimiter: Character = ",", task: LearningTask = .automatic, categorical: [String] = [],
    unknownCategory: OneHotEncoding.UnknownCategory = .error, missing: Imputation.Strategy? = nil,
    missingTexts: [String] = CSVOptions.usualMissingTexts, skipsBadRows: Bool = false
  ) {
    self.target = target
    self.features = features
    self.header = header
    self.delimiter = delimiter
    self.task = task
    self.categorical = categorical
    self.unknownCategory = unknownCategory
    self.missing = missing
    self.missingTexts = missingTexts
    self.skipsBadRows = skipsBadRows
  }
}

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
/// lines are skipped, and spaces around a cell.
///
/// Every error about a cell gives the line of the file and the column, both counted from 1; a column is a
/// cell's place in its row.
public struct CSVTable: Sendable {
  /// The names of the columns; nil where the text has no header.
  public let columnNames: [String]?
  /// The number of cells in a row.
  public let columns: Int
  /// The number of rows, the header not counted; at least 1.
  public var rows: Int { rowStarts.count }

  /// The options the table was read with. They may change before a data set is made of it, but for `header` and
  /// `delimiter`, which have had their effect.
  public var options: CSVOptions
  /// The bad rows left out so far, where ``CSVOptions/skipsBadRows`` asks for it: those of other numbers of cells and
  /// those with quotes that do not fit; ``withoutBadRows(for:)`` leaves out the others.
  public private(set) var skippedRows: SkippedRows
  private let scanner: CSVScanner
  /// Where each row begins, as an offset into the text.
  private var rowStarts: [Int]
  /// Where the rows end: behind it there is at most the beginning of another.
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

  /// Reads CSV from its bytes, in UTF-8. `file` is the name that errors give.
  ///
  /// - Throws: `ChainruleError.badData` for a text without rows, a row that is longer or shorter than the
  ///   first, a quote that does not close, or a name that is not UTF-8; `.invalidValue` for a delimiter
  ///   that cannot be one.
  public init(
    bytes: [UInt8], file: String? = nil, options: CSVOptions = CSVOptions()
  ) throws(ChainruleError) {
    try self.init(part: bytes, file: file, options: options, beginning: 1, isLast: true)
    guard rows > 0 else { throw noRows }
  }

  /// The first part of a text, up to its last row that is whole for sure; where it `isLast`, all of the text. It may
  /// hold a header and no row, or not even that, and then has no columns. `line` is the first line's number.
  init(
    part bytes: [UInt8], file: String?, options: CSVOptions, beginning line: Int, isLast: Bool
  ) throws(ChainruleError) {
    var scanner = try CSVScanner(
      bytes: bytes, file: file, delimiter: options.delimiter, firstLine: line, isFirst: true, isLast: isLast)
    let rows = try scanner.rows(of: nil, skippingBad: options.skipsBadRows)
    var starts = rows.starts
    guard !starts.isEmpty || !isLast else { throw rows.skipped.first ?? scanner.bad("the text is empty") }
    let first = starts.isEmpty ? [] : try scanner.fields(ofRowAt: starts[0])

    let hasHeader =
      switch options.header {
      case .yes: !starts.isEmpty
      case .no: false
      case .automatic:
        first.indices.contains { Self.isName(first[$0], $0, of: rows.columns, scanner, options) }
      }
    if hasHeader {
      var names: [String] = []
      for (index, field) in first.enumerated() {
        names.append(try scanner.text(field, column: index + 1))
      }
      columnNames = names
      starts.removeFirst()
    } else {
      columnNames = nil
    }
    self.options = options
    self.scanner = scanner
    columns = rows.columns
    end = rows.end
    rowStarts = starts
    skippedRows = rows.skipped
  }

  /// The part of a text that follows the part `first` begins, and perhaps others.
  init(
    part bytes: [UInt8], following first: CSVTable, beginning line: Int, isLast: Bool
  ) throws(ChainruleError) {
    var scanner = try CSVScanner(
      bytes: bytes, file: first.scanner.file, delimiter: first.options.delimiter, firstLine: line,
      isFirst: false,
      isLast: isLast)
    let rows = try scanner.rows(of: first.columns, skippingBad: first.options.skipsBadRows)
    self.scanner = scanner
    columnNames = first.columnNames
    columns = first.columns
    options = first.options
    end = rows.end
    rowStarts = rows.starts
    skippedRows = rows.skipped
  }

  /// Some rows of `table`.
  init(_ table: CSVTable, rows: Range<Int>) {
    columnNames = table.columnNames
    columns = table.columns
    options = table.options
    scanner = table.scanner
    rowStarts = Array(table.rowStarts[rows])
    end = table.end
    skippedRows = SkippedRows()
  }

  /// The rows of `table` at `indices`, in that order.
  init(_ table: CSVTable, rowsAt indices: [Int]) {
    self = table
    rowStarts = indices.map { table.rowStarts[$0] }
  }

  /// An error for a table without rows: why the first that was left out is bad, where there is one.
  private var noRows: ChainruleError { skippedRows.first ?? bad("there are no rows below the header") }

  /// The number of the line that holds ``end``, of the whole text.
  var endLine: Int { scanner.line(at: end) }
  /// All bytes of the part.
  var bytes: [UInt8] { scanner.bytes }
  /// What follows the rows.
  var rest: ArraySlice<UInt8> { scanner.bytes[end...] }

  /// Whether a cell of the first row shows, under `.automatic`, that the row is a header.
  private static func isName(
    _ field: CSVScanner.Field, _ index: Int, of columns: Int, _ scanner: CSVScanner, _ options: CSVOptions
  ) -> Bool {
    let isTarget =
      options.target.isEmpty ? index == columns - 1 && columns > 1 : options.target.contains("\(index + 1)")
    let isCategorical = options.categorical.contains("\(index + 1)")
    let isMissing =
      options.missing != nil && MissingCells(options.missingTexts).contain(scanner.bytes[field.content])
    return !isTarget && !isCategorical && !isMissing && !field.content.isEmpty && scanner.number(field) == nil
  }
}

// MARK: - Columns and cells

extension CSVTable {
  /// The indices of the target columns.
  func targetColumns() throws(ChainruleError) -> [Int] {
    options.target.isEmpty ? [columns - 1] : try columns(named: options.target)
  }

  /// The indices of the feature columns, at least one.
  func featureColumns() throws(ChainruleError) -> [Int] {
    let targets = Set(try targetColumns())
    var inputs = (0..<columns).filter { !targets.contains($0) }
    if let features = options.features {
      inputs = try columns(named: features)
      if let both = inputs.firstIndex(where: targets.contains) {
        throw bad("\"\(features[both])\" is both a feature and the target")
      }
      var seen: Set<Int> = []
      if let twice = inputs.firstIndex(where: { !seen.insert($0).inserted }) {
        throw bad("\"\(title(of: inputs[twice]))\" is a feature twice")
      }
    }
    guard !inputs.isEmpty else {
      throw bad(
        "\(columns) column\(columns == 1 ? "" : "s"), delimited by \"\(options.delimiter)\", "
          + "leave none for features; is the delimiter another?")
    }
    return inputs
  }

  /// The index, counted from 0, of the column with this name, or else of this number counted from 1.
  ///
  /// - Throws: `ChainruleError.badData` where there is no such column, or two have the name.
  public func column(_ name: String) throws(ChainruleError) -> Int {
    let matches = (columnNames ?? []).indices.filter { columnNames?[$0] == name }
    if matches.count > 1 { throw scanner.bad("\(matches.count) columns are named \"\(name)\"") }
    if let match = matches.first { return match }
    if let number = Int(name), 1...columns ~= number { return number - 1 }
    let available = columnNames.map { "the columns are \(enumeration($0))" }
    throw scanner.bad(
      "there is no column \"\(name)\"; "
        + (available ?? "without a header, columns are numbered 1 to \(columns)"))
  }

  /// ``column(_:)`` of each of some names.
  func columns(named names: [String]) throws(ChainruleError) -> [Int] {
    // A name that two columns have is left to column(_:), as one that none has.
    let named = Dictionary(zip(columnNames ?? [], 0...)) { _, _ in -1 }
    var indices: [Int] = []
    for name in names {
      if let index = named[name], index >= 0 {
        indices.append(index)
      } else {
        indices.append(try column(name))
      }
    }
    return indices
  }

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

  /// The numbers in some columns, NaN for a cell that is missing.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  func numbers<Scalar: NetworkScalar>(
    inColumns indices: [Int], missing: MissingCells?
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
    let mayBePlain = missing?.includeNumbers != true
    var numbers = [Scalar](repeating: 0, count: rows * indices.count)
    var row = 0
    while row < rows {
      if mayBePlain { row = readPlainRows(from: row, columns: wanted, to: places, into: &numbers) }
      if row == rows { break }
      for column in wanted {
        numbers[row * wanted.count + places[column]] = try number(row: row, column: column, missing: missing)
      }
      row += 1
    }
    return numbers
  }

  /// Reads rows from `row` on that are finite numbers in their columns, ascending, with nothing around them. `places` are
  /// where those stand in a row of `numbers`. Returns the first row that is not so.
  @inline(__always)
  private func readPlainRows<Scalar: NetworkScalar>(
    from row: Int, columns: [Int], to places: [Int], into numbers: inout [Scalar]
  ) -> Int {
    // How many cells are between a column and the one before.
    let gaps = zip(columns, [-1] + columns).map { $0 - $1 - 1 }
    let places = columns.map { places[$0] }
    return numbers.withUnsafeMutableBufferPointer { numbers in
      scanner.bytes.withUnsafeBytes { text in
        for row in row..<rows {
          var offset = rowStarts[row]
          for index in 0..<gaps.count {
            guard let start = scanner.plainCell(gaps[index], behind: offset, in: text),
              let cell: (value: Scalar, next: Int) = scanner.plainNumber(at: start, in: text),
              cell.value.isFinite
            else { return row }
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
    row: Int, column: Int, missing: MissingCells?
  ) throws(ChainruleError) -> Scalar {
    let field = try scanner.field(row: rowStarts[row], column: column)
    let number: Scalar? = decimalNumber(in: scanner.bytes, field.content)
    if let missing, number.map({ missing.contain($0) }) ?? missing.contain(scanner.bytes[field.content]) {
      return .nan
    }
    guard let number, number.isFinite else { throw notANumber(field, column, Scalar.self) }
    return number
  }

  /// The text of every cell in a column (an index counted from 0).
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is empty, missing or not UTF-8.
  func strings(inColumn index: Int) throws(ChainruleError) -> [String] {
    let missing = options.missing == nil ? nil : missingCells
    var strings: [String] = []
    strings.reserveCapacity(rows)
    for start in rowStarts {
      let field = try scanner.field(row: start, column: index)
      let text = try scanner.text(field, column: index + 1)
      guard !text.isEmpty, missing?.contain(scanner.bytes[field.content]) != true else {
        throw notACategory(field, text, index, expected: "a class")
      }
      strings.append(text)
    }
    return strings
  }

  /// The category in every cell of a column (an index counted from 0), nil where it is missing.
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is empty, but not missing, or not UTF-8.
  func categories(inColumn index: Int, missing: MissingCells?) throws(ChainruleError) -> [String?] {
    var categories: [String?] = []
    categories.reserveCapacity(rows)
    for start in rowStarts {
      let field = try scanner.field(row: start, column: index)
      if let missing, missing.contain(scanner.bytes[field.content]) {
        categories.append(nil)
        continue
      }
      let text = try scanner.text(field, column: index + 1)
      guard !text.isEmpty else { throw notACategory(field, text, index, expected: "a category") }
      categories.append(text)
    }
    return categories
  }

  /// The cells that ``CSVOptions/missingTexts`` say are missing.
  var missingCells: MissingCells { MissingCells(options.missingTexts) }

  /// The name of a column, or its number counted from 1.
  func title(of column: Int) -> String {
    columnNames.map { $0[column] } ?? "\(column + 1)"
  }

  /// An error about the cell of a row and a column, both counted from 0.
  func bad(_ reason: String, row: Int, column: Int) -> ChainruleError {
    guard let field = try? scanner.field(row: rowStarts[row], column: column) else { return bad(reason) }
    return scanner.bad("\(name(of: column)): \(reason)", at: field, column: column + 1)
  }

  private func notACategory(
    _ field: CSVScanner.Field, _ text: String, _ column: Int, expected: String
  ) -> ChainruleError {
    scanner.bad(
      "\(name(of: column)) is \(text.isEmpty ? "empty" : "\"\(text)\""); expected \(expected)", at: field,
      column: column + 1)
  }

  /// The number in the first cell of a column, NaN for "nan" and "inf"; nil where it is none.
  func firstNumber(inColumn index: Int) throws(ChainruleError) -> Double? {
    scanner.number(try scanner.field(row: rowStarts[0], column: index))
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

  private func name(of column: Int) -> String {
    columnNames.map { $0[column] } ?? "the cell"
  }

  private func notANumber<Scalar: NetworkScalar>(
    _ field: CSVScanner.Field, _ column: Int, _ type: Scalar.Type
  ) -> ChainruleError {
    let cell = String(decoding: scanner.bytes[field.content], as: UTF8.self)
    let value = cell.isEmpty ? "empty" : "\"\(cell.count > 40 ? cell.prefix(40) + "…" : cell)\""
    let expectation =
      if decimalNumber(in: scanner.bytes, field.content) as Scalar? != nil {
        "too large for \(Scalar.scalarType.rawValue)"
      } else if scanner.number(field) != nil {
        "expected a finite number"
      } else {
        "expected a number"
      }
    return scanner.bad("\(name(of: column)) is \(value); \(expectation)", at: field, column: column + 1)
  }
}

// MARK: - Bad rows

extension CSVTable {
  /// The table without the rows that a data set of `Scalar` cannot have: of a feature or target that is a number, a cell
  /// that is none, and of one that names a category or class, a cell that is empty or not UTF-8; and with an `encoding`,
  /// categories that it refuses. They are counted in ``skippedRows``.
  ///
  /// Whether the one target names classes is decided, where ``CSVOptions/task`` leaves it open, by its first cell that is
  /// not empty, in a row of good features.
  ///
  /// - Throws: `ChainruleError.badData` for columns that are not there, and where no row is left: why the first is bad.
  public func withoutBadRows<Scalar: NetworkScalar>(
    for type: Scalar.Type, encoding: FeatureEncoding? = nil
  ) throws(ChainruleError) -> CSVTable {
    var hasTextTarget: Bool?
    let table = try withoutBadRows(for: type, encoding: encoding, hasTextTarget: &hasTextTarget)
    guard table.rows > 0 else { throw table.noRows }
    return table
  }

  /// As ``withoutBadRows(for:encoding:)``, of which perhaps no row is left. `hasTextTarget` says whether the target's cells
  /// are text; where it is nil, that is found out if there is a cell to show it.
  func withoutBadRows<Scalar: NetworkScalar>(
    for type: Scalar.Type, encoding: FeatureEncoding?, hasTextTarget: inout Bool?
  ) throws(ChainruleError) -> CSVTable {
    let inputs: [Int] =
      if let named = try encoding?.columns(in: self) { named } else { try featureColumns() }
    let named = encoding == nil ? try columns(named: options.categorical) : []
    let (categorical, numeric) = (inputs.filter(named.contains), inputs.filter { !named.contains($0) })
    let missing = options.missing.map { _ in missingCells }
    let table = try filtered { rows throws(ChainruleError) in
      if let encoding {
        _ = try encoding.features(of: rows, inColumns: inputs) as [Scalar]
      } else {
        _ = try rows.numbers(inColumns: numeric, missing: missing) as [Scalar]
        for column in categorical { _ = try rows.categories(inColumn: column, missing: missing) }
      }
    }
    let targets = try targetColumns()
    if hasTextTarget == nil { hasTextTarget = try table.hasText(inTargets: targets) }
    let isText = hasTextTarget ?? true  // All are empty.
    return try table.filtered { rows throws(ChainruleError) in
      if isText {
        for target in targets { _ = try rows.strings(inColumn: target) }
      } else {
        _ = try rows.numbers(inColumns: targets) as [Scalar]
      }
    }
  }

  /// Whether the cells of the target are text, by the options or else the first that is not empty; nil where all are.
  private func hasText(inTargets targets: [Int]) throws(ChainruleError) -> Bool? {
    switch options.task {
    case .regression, .multilabel: return false
    case .classification: return true
    case .automatic where targets.count > 1: return false
    case .automatic:
      for start in rowStarts {
        let field = try scanner.field(row: start, column: targets[0])
        let cell = scanner.bytes[field.content]
        if !cell.isEmpty, options.missing == nil || !missingCells.contain(cell) {
          return scanner.number(field) == nil
        }
      }
      return nil
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
    var table = self
    table.rowStarts = good
    table.skippedRows = skipped
    return table
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

  /// A data set from a table, by the options the table was read with; where they ask for it, ``CSVTable/withoutBadRows(for:encoding:)``.
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for contents that do not fit, and as
  ///   ``FeatureEncoding/init(fitting:)``.
  public init(csv table: CSVTable) throws(ChainruleError) {
    let table = table.options.skipsBadRows ? try table.withoutBadRows(for: Scalar.self) : table
    let encoding = try FeatureEncoding(fitting: table)
    let features: [Scalar] = try encoding.features(of: table, inColumns: table.featureColumns())
    try self.init(csv: table, features: features, encoding: encoding)
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
    let named = try encoding.columns(in: table)
    let inputs = if let named { named } else { try table.featureColumns() }
    let features: [Scalar] = try encoding.features(of: table, inColumns: inputs)
    try self.init(csv: table, features: features, encoding: encoding)
  }

  /// The targets of `table` with its features as `encoding` has made them.
  private init(csv table: CSVTable, features: [Scalar], encoding: FeatureEncoding) throws(ChainruleError) {
    let targets = try table.targetColumns()
    if let labels = try Self.labels(table, targets) {
      try self.init(
        features: features, inputs: encoding.outputs, labels: labels, featureNames: encoding.featureNames
      ) { table.bad($0) }
    } else {
      try self.init(
        features: features, targets: table.numbers(inColumns: targets), rows: table.rows,
        inputs: encoding.outputs, outputs: targets.count, featureNames: encoding.featureNames,
        targetNames: table.columnNames.map { names in targets.map { names[$0] } })
    }
  }

  /// The class of each row as ``CSVOptions/LearningTask`` defines it; nil for a regression.
  private static func labels(_ table: CSVTable, _ targets: [Int]) throws(ChainruleError) -> [String]? {
    let task = table.options.task
    if task == .regression || (task == .automatic && targets.count > 1) { return nil }
    guard targets.count == 1 else {
      throw table.bad("classes need one target column; got \(targets.count)")
    }
    let target = targets[0]
    guard let first = try table.firstNumber(inColumn: target) else {
      return try table.strings(inColumn: target)
    }
    if task == .classification {
      let texts = try table.strings(inColumn: target)
      let numbers = texts.compactMap(Double.init)
      return numbers.count == texts.count ? wholeNumbers(numbers) ?? texts : texts
    }
    guard Int(exactly: first) != nil, let labels = wholeNumbers(try table.numbers(inColumns: targets)) else {
      return nil
    }
    if let name = table.columnNames?[target].lowercased(), name == "class" || name == "label" {
      return labels
    }
    return recurring(labels) ? labels : nil
  }

  /// Whether there are 2 to 20 different labels that occur at least twice on average.
  static func recurring(_ labels: [String]) -> Bool {
    let classes = Set(labels).count
    return 2...20 ~= classes && classes <= labels.count / 2
  }

  /// The values as text, where all are whole numbers.
  static func wholeNumbers(_ values: [Double]) -> [String]? {
    let integers = values.compactMap { Int(exactly: $0) }
    return integers.count == values.count ? integers.map(String.init) : nil
  }
}

// MARK: - Missing cells

/// Which cells of a table say that a value is missing.
struct MissingCells: Sendable {
  /// In lower case.
  private let texts: [[UInt8]]
  private let numbers: [Double]

  init(_ texts: [String]) {
    self.texts = texts.map { $0.utf8.map(lowercased) }
    numbers = texts.compactMap { text in
      let bytes = Array(text.utf8)
      return decimalNumber(in: bytes, bytes.indices)
    }
  }

  /// Whether a number may say that a value is missing.
  var includeNumbers: Bool { !numbers.isEmpty }

  /// Whether a cell of this content, no number, is missing.
  func contain(_ cell: ArraySlice<UInt8>) -> Bool {
    texts.contains { $0.elementsEqual(cell.lazy.map(lowercased)) }
  }

  /// Whether a cell with this number is missing.
  @inline(__always)
  func contain<Scalar: NetworkScalar>(_ number: Scalar) -> Bool {
    !numbers.isEmpty && numbers.contains { Scalar($0) == number }
  }
}

/// A letter of ASCII in lower case; every other byte as it is.
private func lowercased(_ byte: UInt8) -> UInt8 {
  UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
}
