/// The rows of a CSV file, read part by part: memory depends on the length of the lines, not on their number.
///
/// A file is read as ``Dataset/init(csvFile:options:)`` reads it, to the same numbers and the same classes; errors name
/// the same line and column. Where ``CSVOptions/task`` leaves open what the target says, or which classes there are, a
/// first pass over the file finds out. Each epoch reads the file again, and so it must stay as it is.
///
/// Where ``CSVOptions/skipsBadRows`` asks for it, bad rows are left out; a first pass counts them.
///
/// Cells of a feature that are missing, or name categories, take a ``FeatureEncoding`` fitted on a table of some of the
/// rows: medians and categories of all rows are not looked for.
public struct CSVSource<Scalar: NetworkScalar>: BatchSource {
  /// The number of features of a row.
  public let inputs: Int
  /// The number of targets of a row; for classes, the number of classes.
  public let outputs: Int
  /// The number of rows, where a first pass has counted them.
  public let rowCount: Int?
  /// The bad rows that are left out.
  public let skippedRows: SkippedRows
  /// The classes, in the order of the target columns; nil for a regression.
  public let classLabels: [String]?
  /// The names of the features, in order; nil where the file has no header.
  public let featureNames: [String]?
  /// The names of the targets of a regression; nil for classes, and where the file has no header.
  public let targetNames: [String]?
  /// The names of the columns that say the targets or the class; nil where the file has no header.
  public let targetColumnNames: [String]?

  private let file: CSVFile
  private let encoding: FeatureEncoding
  private let featureColumns: [Int]
  private let targetColumns: [Int]

  /// - Parameters:
  ///   - path: Of a regular file, in UTF-8.
  ///   - options: Which columns are what, as for a data set.
  ///   - encoding: Makes features of cells; nil: each is a number.
  ///   - classes: The classes, in the order of the target columns, where they are known: then no pass looks for them,
  ///     and a cell that names no such class is an error.
  ///   - chunk: The bytes of a part, at least 1. A row may have 16 times as many.
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` with line and column for contents that
  ///   do not fit, `.invalidValue` for options that need an `encoding`, classes that are not at least one, each once, or
  ///   a chunk below 1.
  public init(
    file path: String, options: CSVOptions = CSVOptions(), encoding: FeatureEncoding? = nil,
    classes: [String]? = nil, chunk: Int = 1 << 20
  ) throws(ChainruleError) {
    guard chunk >= 1, chunk <= 1 << 40 else {
      throw .invalidValue(name: "chunk", value: "\(chunk)", expected: "1 to \(1 << 40) bytes")
    }
    if encoding == nil, options.missing != nil || !options.categorical.isEmpty {
      throw .invalidValue(
        name: "encoding", value: "nil",
        expected:
          "one fitted on a table of some rows, for \(options.missing == nil ? "categories" : "missing cells")"
      )
    }
    var file = CSVFile(path: path, options: options, chunk: chunk, encoding: encoding)
    var parts = try CSVParts<Scalar>(file)
    guard let table = try parts.next() else {
      throw parts.skippedRows.first
        ?? .badData(file: path, line: nil, column: nil, reason: "there are no rows below the header")
    }
    file.options.header = table.columnNames == nil ? .no : .yes
    file.columns = table.columns
    file.columnNames = table.columnNames
    file.hasTextTarget = parts.hasTextTarget
    self.file = file

    self.encoding = if let encoding { encoding } else { try FeatureEncoding(fitting: table) }
    if let named = try self.encoding.columns(in: table) {
      featureColumns = named
    } else {
      featureColumns = try table.featureColumns()
    }
    guard featureColumns.count == self.encoding.columns.count else {
      throw .shapeMismatch(
        what: "columns of features", expected: self.encoding.columns.count, actual: featureColumns.count)
    }
    targetColumns = try table.targetColumns()
    inputs = self.encoding.outputs
    featureNames = self.encoding.featureNames

    if let classes {
      guard targetColumns.count == 1 else {
        throw table.bad("classes need one target column; got \(targetColumns.count)")
      }
      try Dataset<Scalar>.checkClasses(classes)
      guard !classes.isEmpty else {
        throw .invalidValue(name: "classes", value: "none", expected: "at least one")
      }
      classLabels = classes
    } else {
      var search = try ClassSearch(of: table, targets: targetColumns)
      while parts.table != nil, try search.take(parts.table) { try parts.next() }
      classLabels = search.classes
      if let classLabels { try Dataset<Scalar>.checkClasses(classLabels) }
    }
    if options.skipsBadRows {
      while parts.table != nil { try parts.next() }
    }
    rowCount = parts.table == nil ? parts.rows : nil
    skippedRows = parts.skippedRows
    outputs = classLabels?.count ?? targetColumns.count
    let targets = targetColumns
    targetColumnNames = table.columnNames.map { names in targets.map { names[$0] } }
    targetNames = classLabels == nil ? targetColumnNames : nil
  }

  /// The rows in the order of the file.
  ///
  /// - Throws: As the initialiser; and the iterator too, for a cell that it comes to.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches {
    try checkBatchSize(size)
    return Batches(source: self, size: size, parts: try CSVParts<Scalar>(file))
  }

  /// The hash of the file's bytes. What the options make of them is not part of it.
  public func makeFingerprint() throws(ChainruleError) -> String? { try fingerprint(ofFiles: [file.path]) }

  /// Reads the file once.
  public struct Batches: BatchIterator {
    private let source: CSVSource
    private let size: Int
    private var parts: CSVParts<Scalar>
    private let places: [String: Int]
    private let areWhole: Bool
    /// The rows of the part in hand that have been read.
    private var row = 0

    fileprivate init(source: CSVSource, size: Int, parts: CSVParts<Scalar>) {
      self.source = source
      self.size = size
      self.parts = parts
      let classes = source.classLabels ?? []
      places = Dictionary(uniqueKeysWithValues: zip(classes, 0...))
      areWhole = classes.allSatisfy { Int($0) != nil }
    }

    /// The most bytes of text held so far.
    var peakBytes: Int { parts.peakBytes }

    /// The next rows of the file.
    public mutating func next() throws(ChainruleError) -> Dataset<Scalar>? {
      var (features, targets): ([Scalar], [Scalar]) = ([], [])
      var rows = 0
      while rows < size {
        if row == parts.table?.rows ?? 0 {
          row = 0
          guard try parts.next() != nil else { break }
        }
        guard let table = parts.table else { break }
        let end = row + min(size - rows, table.rows - row)
        let some = CSVTable(table, rows: row..<end)
        features += try source.encoding.features(of: some, inColumns: source.featureColumns) as [Scalar]
        if source.classLabels == nil {
          targets += try some.numbers(inColumns: source.targetColumns) as [Scalar]
        } else {
          targets += oneHot(try classes(of: some), classes: source.outputs)
        }
        rows += end - row
        row = end
      }
      guard rows > 0 else { return nil }
      return Dataset(
        vouchedFeatures: features, targets: targets, rows: rows, inputs: source.inputs,
        outputs: source.outputs,
        featureNames: source.featureNames, targetNames: source.targetNames, classLabels: source.classLabels,
        sampleWeights: nil)
    }

    /// The class of each row.
    private func classes(of table: CSVTable) throws(ChainruleError) -> [Int] {
      let column = source.targetColumns[0]
      var classes: [Int] = []
      for (row, text) in try table.strings(inColumn: column).enumerated() {
        guard let place = places[text] ?? (areWhole ? wholeNumber(text).flatMap { places[$0] } : nil) else {
          throw table.bad(
            "\"\(text)\" is none of the classes \(enumeration(source.classLabels ?? []))", row: row,
            column: column)
        }
        classes.append(place)
      }
      return classes
    }
  }
}

/// A whole number in its shortest form, where the text is one.
private func wholeNumber(_ text: String) -> String? {
  Double(text).flatMap { Int(exactly: $0) }.map(String.init)
}

// MARK: - Classes

/// Finds the classes of a file part by part, as ``CSVOptions/LearningTask`` defines them.
private struct ClassSearch {
  /// Nil where the target is known to say quantities.
  private var column: Int?
  private let task: CSVOptions.LearningTask
  /// Whether the first cell is a number.
  private let isNumber: Bool
  /// Whether all cells so far are whole numbers.
  private var areWhole = true
  private let isNamedClass: Bool
  private var texts: Set<String> = []
  /// The whole numbers that `texts` are.
  private var numbers: Set<String> = []
  private var rows = 0

  init(of table: CSVTable, targets: [Int]) throws(ChainruleError) {
    task = table.options.task
    let isRegression = task == .regression || (task == .automatic && targets.count > 1)
    guard isRegression || targets.count == 1 else {
      throw table.bad("classes need one target column; got \(targets.count)")
    }
    column = isRegression ? nil : targets[0]
    isNumber = isRegression ? true : try table.firstNumber(inColumn: targets[0]) != nil
    let name = table.columnNames?[targets[0]].lowercased()
    isNamedClass = name == "class" || name == "label"
  }

  /// Whether the target says quantities, whatever is to come.
  var isOver: Bool { column == nil }

  /// Takes a part of the file into account; false where nothing that is to come matters.
  mutating func take(_ table: CSVTable?) throws(ChainruleError) -> Bool {
    guard let column, let table else { return false }
    rows += table.rows
    for text in Set(try table.strings(inColumn: column)) where texts.count <= Dataset<Float>.maximumClasses {
      guard texts.insert(text).inserted, areWhole, isNumber else { continue }
      if let number = wholeNumber(text) { numbers.insert(number) } else { areWhole = false }
    }
    // A regression, since its numbers are not whole, or of too many values.
    if task == .automatic, isNumber, !areWhole || (!isNamedClass && numbers.count > 20) { self.column = nil }
    return !isOver
  }

  /// Ascending; nil for a regression.
  var classes: [String]? {
    guard !isOver else { return nil }
    guard isNumber, areWhole else { return ascending(texts) }
    if task == .automatic, !isNamedClass, !(2...20 ~= numbers.count && numbers.count <= rows / 2) {
      return nil
    }
    return ascending(numbers)
  }
}

// MARK: - Parts

/// A CSV file and how it is read; the columns are those that were found in it.
private struct CSVFile: Sendable {
  let path: String
  var options: CSVOptions
  let chunk: Int
  let encoding: FeatureEncoding?
  var columns: Int?
  var columnNames: [String]?
  /// Whether the target's cells are taken as text, where bad ones are left out; nil where the first row is to say.
  var hasTextTarget: Bool?
}

/// The tables that the parts of a CSV file make, each with at least one row.
private struct CSVParts<Scalar: NetworkScalar> {
  private let file: CSVFile
  private let reader: FileReader
  private var offset = 0
  /// The number of the first line that is not in a table yet.
  private var line = 1
  /// The beginning of a row that has not ended yet.
  private var rest: [UInt8] = []
  private var hasEnded = false
  private var first: CSVTable?
  /// The part in hand.
  private(set) var table: CSVTable?
  /// The rows of all parts so far.
  private(set) var rows = 0
  private(set) var skippedRows = SkippedRows()
  private(set) var hasTextTarget: Bool?
  private(set) var peakBytes = 0

  init(_ file: CSVFile) throws(ChainruleError) {
    self.file = file
    hasTextTarget = file.hasTextTarget
    reader = try FileReader(file.path)
  }

  /// The next part; nil behind the last.
  @discardableResult
  mutating func next() throws(ChainruleError) -> CSVTable? {
    table = nil
    while !hasEnded {
      var bytes = rest
      rest = []
      // As much again as there is of a row, so that the time for a long one is linear in its length.
      let wanted = bytes.count > 16 * file.chunk ? 0 : max(file.chunk, bytes.count)
      let got = try reader.append(wanted, at: offset, to: &bytes)
      offset += got
      hasEnded = got < wanted
      peakBytes = max(peakBytes, bytes.count)
      var part = try self.part(bytes)
      bytes = []
      if !hasEnded {
        if part.columns > 0 { line = part.endLine }
        rest = part.columns > 0 ? Array(part.rest) : part.bytes
        if rest.count > 16 * file.chunk { try skipLine() }
      }
      if part.options.skipsBadRows, part.columns > 0 {
        part = try part.withoutBadRows(
          for: Scalar.self, encoding: file.encoding, hasTextTarget: &hasTextTarget)
        skippedRows.add(part.skippedRows)
      }
      guard part.rows > 0 else { continue }
      rows += part.rows
      table = part
      return part
    }
    return nil
  }

  /// Leaves out the first line of a row that is too long, or throws where bad rows are errors.
  private mutating func skipLine() throws(ChainruleError) {
    let reason = ChainruleError.badData(
      file: file.path, line: line, column: nil,
      reason: "the row is longer than \(16 * file.chunk) bytes; is there a quote that does not close?")
    guard file.options.skipsBadRows, let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { throw reason }
    skippedRows.add(reason)
    rest.removeFirst(end + 1)
    line += 1
  }

  private mutating func part(_ bytes: [UInt8]) throws(ChainruleError) -> CSVTable {
    if let first { return try CSVTable(part: bytes, following: first, beginning: line, isLast: hasEnded) }
    let part = try CSVTable(
      part: bytes, file: file.path, options: file.options, beginning: line, isLast: hasEnded)
    if part.columns == 0 { return part }
    if let columns = file.columns, columns != part.columns || file.columnNames != part.columnNames {
      throw .badData(
        file: file.path, line: nil, column: nil,
        reason: "the columns are others than when the source was made")
    }
    first = CSVTable(part, rows: 0..<0)
    return part
  }
}
