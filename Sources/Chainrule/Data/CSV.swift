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

  /// What a missing cell says unless told otherwise: nothing, "NA", "N/A", "NaN", "null" or "?".
  public static let usualMissingTexts = ["", "NA", "N/A", "NaN", "null", "?"]

  /// Comma-separated, the last column the target, the rest as the text suggests, unless said otherwise.
  public init(
    target: [String] = [], features: [String]? = nil, header: Header = .automatic,
    delimiter: Character = ",", task: LearningTask = .automatic, categorical: [String] = [],
    unknownCategory: OneHotEncoding.UnknownCategory = .error, missing: Imputation.Strategy? = nil,
    missingTexts: [String] = CSVOptions.usualMissingTexts
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
  private let scanner: CSVScanner
  /// Where each row begins, as an offset into the text.
  private let rowStarts: [Int]
  /// Where the rows end: behind it there is at most the beginning of another.
  let end: Int

  /// Reads the CSV file at `path`.
  ///
  /// - Throws: `ChainruleError.file` for a file that cannot be read, and as ``init(bytes:file:options:)``.
  public init(file path: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(bytes: readBytes(ofFile: path), file: path, options: options)
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
    guard rows > 0 else { throw scanner.bad("there are no rows below the header") }
  }

  /// The first part of a text, up to its last row that is whole for sure; where it `isLast`, all of the text. It may
  /// hold a header and no row, or not even that, and then has no columns. `line` is the first line's number.
  init(
    part bytes: [UInt8], file: String?, options: CSVOptions, beginning line: Int, isLast: Bool
  ) throws(ChainruleError) {
    let scanner = try CSVScanner(
      bytes: bytes, file: file, delimiter: options.delimiter, firstLine: line, isFirst: true, isLast: isLast)
    let (found, columns, end) = try scanner.rows(of: nil)
    guard !found.isEmpty || !isLast else { throw scanner.bad("the text is empty") }
    let first = found.isEmpty ? [] : try scanner.fields(ofRowAt: found[0])
    var starts = found

    let hasHeader =
      switch options.header {
      case .yes: !starts.isEmpty
      case .no: false
      case .automatic: first.indices.contains { Self.isName(first[$0], $0, of: columns, scanner, options) }
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
    self.columns = columns
    self.scanner = scanner
    self.end = end
    rowStarts = starts
  }

  /// The part of a text that follows the part `first` begins, and perhaps others.
  init(
    part bytes: [UInt8], following first: CSVTable, beginning line: Int, isLast: Bool
  ) throws(ChainruleError) {
    scanner = try CSVScanner(
      bytes: bytes, file: first.scanner.file, delimiter: first.options.delimiter, firstLine: line,
      isFirst: false,
      isLast: isLast)
    columnNames = first.columnNames
    columns = first.columns
    options = first.options
    (rowStarts, _, end) = try scanner.rows(of: first.columns)
  }

  /// Some rows of `table`.
  init(_ table: CSVTable, rows: Range<Int>) {
    columnNames = table.columnNames
    columns = table.columns
    options = table.options
    scanner = table.scanner
    rowStarts = Array(table.rowStarts[rows])
    end = table.end
  }

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
    let end = (indices.max() ?? -1) + 1
    var numbers = [Scalar](repeating: 0, count: rows * indices.count)
    for row in 0..<rows {
      var offset = rowStarts[row]
      for column in 0..<end {
        let field = try scanner.field(at: offset, column: column + 1)
        offset = field.next
        guard places[column] >= 0 else { continue }
        var number: Scalar? = decimalNumber(in: scanner.bytes, field.content)
        if let missing, number.map({ missing.contain($0) }) ?? missing.contain(scanner.bytes[field.content]) {
          number = .nan
        } else if number?.isFinite != true {
          throw notANumber(field, column, Scalar.self)
        }
        numbers[row * indices.count + places[column]] = number ?? .nan
      }
    }
    return numbers
  }

  /// The text of every cell in a column (an index counted from 0).
  ///
  /// - Throws: `ChainruleError.badData` for a cell that is empty, missing or not UTF-8.
  func strings(inColumn index: Int) throws(ChainruleError) -> [String] {
    let missing = options.missing == nil ? nil : missingCells
    var strings: [String] = []
    strings.reserveCapacity(rows)
    for start in rowStarts {
      let field = try self.field(row: start, column: index)
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
      let field = try self.field(row: start, column: index)
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
    guard let field = try? field(row: rowStarts[row], column: column) else { return bad(reason) }
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
    scanner.number(try field(row: rowStarts[0], column: index))
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

  private func field(row start: Int, column: Int) throws(ChainruleError) -> CSVScanner.Field {
    var field = try scanner.field(at: start, column: 1)
    for index in 0..<column {
      field = try scanner.field(at: field.next, column: index + 2)
    }
    return field
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

  /// A data set from a table, by the options the table was read with.
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for contents that do not fit, and as
  ///   ``FeatureEncoding/init(fitting:)``.
  public init(csv table: CSVTable) throws(ChainruleError) {
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
        features: features, inputs: encoding.outputs, labels: labels, featureNames: encoding.featureNames)
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
    let classes = Set(labels).count
    return 2...20 ~= classes && classes <= labels.count / 2 ? labels : nil
  }

  /// The values as text, where all are whole numbers.
  private static func wholeNumbers(_ values: [Double]) -> [String]? {
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

// MARK: - Scanning

/// Finds the cells of a CSV text.
private struct CSVScanner: Sendable {
  let bytes: [UInt8]
  let file: String?
  private let delimiter: UInt8
  /// Where the text begins, past a byte order mark.
  private let start: Int
  /// The number of the line that the bytes begin with.
  private let firstLine: Int
  /// Whether the text ends where the bytes do.
  private let isLast: Bool

  /// One cell.
  struct Field {
    /// The bytes between the quotes, or without the spaces around.
    var content: Range<Int>
    var isQuoted = false
    /// Where the next cell, or row, begins.
    var next: Int
    var endsRow: Bool
  }

  private static let quote = UInt8(ascii: "\"")
  private static let carriageReturn = UInt8(ascii: "\r")
  private static let lineFeed = UInt8(ascii: "\n")

  /// `isFirst` and `isLast` say whether the text begins and ends with these bytes.
  init(
    bytes: [UInt8], file: String?, delimiter: Character, firstLine: Int, isFirst: Bool, isLast: Bool
  ) throws(ChainruleError) {
    guard let delimiter = delimiter.asciiValue, !"\"\r\n+-.0123456789eE".utf8.contains(delimiter) else {
      throw .invalidValue(
        name: "the delimiter", value: "\"\(delimiter)\"",
        expected: "one ASCII character that is no part of a number, such as , or ;")
    }
    self.bytes = bytes
    self.file = file
    self.delimiter = delimiter
    self.firstLine = firstLine
    self.isLast = isLast
    start = isFirst && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    if !isFirst { return }
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      throw bad("the text is UTF-16; save it as UTF-8")
    }
  }

  /// An error about the text as a whole or, with a field, about that cell.
  func bad(_ reason: String, at field: Field? = nil, column: Int? = nil) -> ChainruleError {
    .badData(file: file, line: field.map { line(at: $0.content.lowerBound) }, column: column, reason: reason)
  }

  /// The line that holds an offset, counted from 1.
  func line(at offset: Int) -> Int {
    firstLine
      + (start..<offset).count { index in
        bytes[index] == Self.lineFeed
          || (bytes[index] == Self.carriageReturn
            && !(index + 1 < bytes.count && bytes[index + 1] == Self.lineFeed))
      }
  }

  /// Where each row begins, the header's included, how many cells each has, and where the last one ends.
  ///
  /// A row that reaches the end of the bytes, where the text goes on, may go on too: it is left out.
  func rows(of expected: Int?) throws(ChainruleError) -> (starts: [Int], columns: Int, end: Int) {
    var starts: [Int] = []
    var columns = expected ?? 0
    var offset = start
    while offset < bytes.count {
      var field = try field(at: offset, column: 1)
      let rowStart = offset
      offset = field.next
      if offset == bytes.count, !isLast { return (starts, columns, rowStart) }
      if field.endsRow, field.content.isEmpty, !field.isQuoted { continue }  // A blank line.

      var count = 1
      while !field.endsRow {
        count += 1
        field = try self.field(at: offset, column: count)
        offset = field.next
        if offset == bytes.count, !isLast { return (starts, columns, rowStart) }
      }
      if starts.isEmpty, expected == nil { columns = count }
      guard count == columns else {
        throw .badData(
          file: file, line: line(at: rowStart), column: nil,
          reason: "expected \(columns) fields, got \(count)")
      }
      starts.append(rowStart)
    }
    return (starts, columns, offset)
  }

  func fields(ofRowAt offset: Int) throws(ChainruleError) -> [Field] {
    var fields = [try field(at: offset, column: 1)]
    while let last = fields.last, !last.endsRow {
      fields.append(try field(at: last.next, column: fields.count + 1))
    }
    return fields
  }

  /// The cell that begins at `offset`; `column` is for errors.
  @inline(__always)
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

  /// The cell whose opening quote is at `opening`.
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

  /// A cell of this content that ends at a delimiter, a line end or the end of the text.
  @inline(__always)
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

  /// The text of a cell, its doubled quotes made single.
  func text(_ field: Field, column: Int) throws(ChainruleError) -> String {
    var content = Array(bytes[field.content])
    if field.isQuoted {
      var isFirst = false
      content.removeAll { byte in
        isFirst = byte == Self.quote && !isFirst
        return byte == Self.quote && !isFirst
      }
    }
    guard let text = String(validating: content, as: UTF8.self) else {
      throw bad("the text of this cell is not UTF-8", at: field, column: column)
    }
    return text
  }

  /// The number that a cell spells: NaN for "nan" and "inf" in any case; nil where it is none.
  func number(_ field: Field) -> Double? {
    if let number: Double = decimalNumber(in: bytes, field.content) { return number }
    let text = String(decoding: bytes[field.content], as: UTF8.self).lowercased()
    return ["nan", "inf", "infinity"].contains(text.drop { $0 == "-" || $0 == "+" }) ? .nan : nil
  }
}
