/// The rows of a CSV file, read part by part: memory depends on the length of the lines, not on their number.
///
/// A file is read as ``Dataset/init(csvFile:options:)`` reads it, to the same numbers and the same classes; errors name
/// the same line and column. A first pass over the file finds what the columns hold, the categories, the values for
/// missing cells and the classes, unless the encodings are given. Each epoch reads the file again, and so it must stay as
/// it is. Medians and most frequent values are exact for 65,536 rows, and those of a random sample of as many for more.
///
/// Where ``CSVOptions/skipsBadRows`` asks for it, bad rows are left out; a first pass counts them.
public struct CSVSource<Scalar: NetworkScalar>: BatchSource {
  /// The number of features of a row.
  public let inputs: Int
  /// The number of targets of a row; for classes, the number of classes.
  public let outputs: Int
  /// The number of rows, where a first pass has counted them.
  public let rowCount: Int?
  /// The bad rows that are left out.
  public let skippedRows: SkippedRows
  /// What the first pass has met and passed over.
  public let report: EncodingReport
  /// What was guessed or decided about the table.
  public let notes: [TableNote]
  /// How the columns become features.
  public let encoding: FeatureEncoding
  /// How the target columns become targets.
  public let targets: TargetEncoding

  /// The classes, in the order of the target columns; nil for a regression.
  public var classLabels: [String]? { targets.classes }
  /// The names of the features, in order; nil where the file has no header.
  public var featureNames: [String]? { encoding.featureNames }
  /// The names of the targets of a regression; nil for classes, and where the file has no header.
  public var targetNames: [String]? { classLabels == nil ? targetColumnNames : nil }
  /// The names of the columns that say the targets or the class; nil where the file has no header.
  public let targetColumnNames: [String]?

  private let path: String
  private let chunk: Int
  private let head: CSVTable
  private let featureColumns: [Int]
  private let targetColumns: [Int]

  /// - Parameters:
  ///   - path: Of a regular file.
  ///   - options: Which columns are what, as for a data set.
  ///   - encoding: Makes features of cells; nil: a pass over the file fits one.
  ///   - targets: Makes targets of cells, such as the classes of a model; nil: a pass over the file fits one.
  ///   - chunk: The bytes of a part, at least 1. A row may have 16 times as many.
  /// - Throws: `ChainruleError.file` for a file that cannot be read, or is not regular, `.badData` with line and column for
  ///   contents that do not fit, `.invalidValue` for a chunk below 1.
  public init(
    file path: String, options: CSVOptions = CSVOptions(), encoding: FeatureEncoding? = nil,
    targets: TargetEncoding? = nil, chunk: Int = 1 << 20
  ) throws(ChainruleError) {
    guard chunk >= 1, chunk <= 1 << 40 else {
      throw .invalidValue(name: "chunk", value: "\(chunk)", expected: "1 to \(1 << 40) bytes")
    }
    _ = try FileReader(path)  // Regular, since it is read again.
    self.path = path
    self.chunk = chunk
    var reader = try CSVReader(path, options: options, chunk: chunk, like: nil)
    guard let first = try reader.next(), let head = reader.head else {
      throw reader.skippedRows.first
        ?? .badData(file: path, line: nil, column: nil, reason: "there are no rows below the header")
    }
    self.head = head
    targetColumns = try head.targetColumns()
    var fitting = try SourceFitting(head, encoding: encoding, targets: targets)
    var part: CSVTable? = first
    while !fitting.isEmpty, let table = part {
      try fitting.take(table)
      part = try reader.next()
    }
    if case let columns = fitting.incomplete, !columns.isEmpty {
      var again = TableProfile(of: columns, collecting: Set(columns))
      var second = try CSVReader(path, options: options, chunk: chunk, like: head)
      while let table = try second.next() { try again.take(table) }
      fitting.takeTexts(of: again)
    }
    let fitted = try fitting.result()
    self.encoding = fitted.encoding
    self.targets = fitted.targets
    featureColumns = try self.encoding.columns(in: head)
    targetColumnNames = try Self.names(of: targetColumns, in: head)
    inputs = self.encoding.outputs
    outputs = self.targets.outputs(ofColumns: targetColumns.count)
    notes = first.notes.map { TableNote(text: $0) } + fitted.notes

    // What is left out can be counted only by reading every cell.
    guard options.skipsBadRows || fitting.mayLackTargets else {
      rowCount = fitting.isEmpty ? nil : fitting.rows
      skippedRows = reader.skippedRows
      report = EncodingReport()
      guard fitting.isEmpty || fitting.rows > 0 else { throw head.bad("there are no rows below the header") }
      return
    }
    var rows = try Rows(self.path, head, self.encoding, self.targets, chunk: chunk)
    var count = 0
    while let table = try rows.next() { count += table.rows }
    rowCount = count
    skippedRows = rows.skippedRows
    report = rows.report
    if count == 0 { throw skippedRows.first ?? head.bad("the target is missing in every row") }
  }

  private static func names(of columns: [Int], in table: CSVTable) throws(ChainruleError) -> [String]? {
    table.columnNames.map { names in columns.map { names[$0] } }
  }

  /// The rows in the order of the file.
  ///
  /// - Throws: As the initialiser; and the iterator too, for a cell that it comes to.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches {
    try checkBatchSize(size)
    return Batches(source: self, size: size, rows: try Rows(path, head, encoding, targets, chunk: chunk))
  }

  /// The hash of the file's bytes. What the options make of them is not part of it.
  public func makeFingerprint() throws(ChainruleError) -> String? { try fingerprint(ofFiles: [path]) }

  /// Reads the file once.
  public struct Batches: BatchIterator {
    private let source: CSVSource
    private let size: Int
    private var rows: Rows
    private var table: CSVTable?
    /// The rows of the current part that have been read.
    private var row = 0

    fileprivate init(source: CSVSource, size: Int, rows: Rows) {
      self.source = source
      self.size = size
      self.rows = rows
    }

    /// The most bytes of text held so far.
    var peakBytes: Int { rows.peakBytes }
    /// What has been met and passed over so far.
    public var report: EncodingReport { rows.report }

    /// The next rows of the file.
    public mutating func next() throws(ChainruleError) -> Dataset<Scalar>? {
      var (features, targets): ([Scalar], [Scalar]) = ([], [])
      var weights: [Scalar]? = source.head.options.weights == nil ? nil : []
      var count = 0
      while count < size {
        if row == table?.rows ?? 0 {
          row = 0
          table = nil
          table = try rows.next()
        }
        guard let table else { break }
        let end = row + min(size - count, table.rows - row)
        let some = CSVTable(table, rows: row..<end)
        features += try source.encoding.features(
          of: some, inColumns: source.featureColumns, report: &rows.report)
        targets += try source.targets.targets(of: some, inColumns: source.targetColumns) as [Scalar]
        if weights != nil { weights! += try some.sampleWeights() ?? [] }
        count += end - row
        row = end
      }
      guard count > 0 else { return nil }
      return Dataset(
        vouchedFeatures: features, targets: targets, rows: count, inputs: source.inputs,
        outputs: source.outputs,
        featureNames: source.featureNames, targetNames: source.targetNames, classLabels: source.classLabels,
        sampleWeights: weights)
    }
  }

  /// The rows with a target, part by part, without bad ones where they are to be left out.
  fileprivate struct Rows {
    private var reader: CSVReader
    private let encoding: FeatureEncoding
    private let targets: TargetEncoding
    var report = EncodingReport()
    private var bad = SkippedRows()

    init(
      _ path: String, _ head: CSVTable, _ encoding: FeatureEncoding, _ targets: TargetEncoding, chunk: Int
    ) throws(ChainruleError) {
      reader = try CSVReader(path, options: head.options, chunk: chunk, like: head)
      self.encoding = encoding
      self.targets = targets
    }

    var peakBytes: Int { reader.peakBytes }

    var skippedRows: SkippedRows {
      var all = reader.skippedRows
      all.add(bad)
      return all
    }

    mutating func next() throws(ChainruleError) -> CSVTable? {
      while var table = try reader.next() {
        if table.options.skipsBadRows {
          let before = table.skippedRows
          table = try table.withoutBadRows(for: Scalar.self, features: encoding, targets: targets)
          bad.add(table.skippedRows.less(before))
        }
        let complete = try table.withoutMissingTargets(report: &report)
        if complete.rows > 0 { return complete }
      }
      return nil
    }
  }
}

/// Fits encodings to a file, part by part.
private struct SourceFitting {
  private let head: CSVTable
  private var encoding: FeatureEncoding?
  private var targets: TargetEncoding?
  private let columns: FeatureColumns?
  private let targetColumns: [Int]
  private var profile: TableProfile?
  var rows: Int { profile?.rows ?? 0 }

  init(_ head: CSVTable, encoding: FeatureEncoding?, targets: TargetEncoding?) throws(ChainruleError) {
    self.head = head
    self.encoding = encoding
    self.targets = targets
    targetColumns = try head.targetColumns()
    columns = encoding == nil ? try FeatureColumns(of: head) : nil
    if let columns, columns.arePlain {
      self.encoding = columns.encoding(
        Array(repeating: .number(.init()), count: columns.inputs.count), of: head)
    }
    if targets == nil, head.options.task == .regression {
      self.targets = TargetEncoding(
        kind: .numbers, classes: nil,
        columnNames: head.columnNames.map { [targetColumns] names in targetColumns.map { names[$0] } })
    }
    guard self.encoding == nil || self.targets == nil else { return }
    var (wanted, collecting): (Set<Int>, Set<Int>) = ([], [])
    if self.encoding == nil, let columns {
      wanted.formUnion(columns.profiled)
      collecting.formUnion(columns.categorical)
    }
    if self.targets == nil {
      wanted.formUnion(targetColumns)
      collecting.formUnion(TargetEncoding.collecting(targetColumns, head.options))
    }
    profile = TableProfile(
      of: Array(wanted), collecting: collecting, target: self.encoding == nil ? columns?.target : nil)
  }

  /// Whether there is nothing to find out.
  var isEmpty: Bool { profile == nil }

  /// Whether rows may have to be left out since their target is missing: not known without a pass.
  var mayLackTargets: Bool {
    profile.map { profile in targetColumns.contains { profile.lacks($0) } } ?? false
  }

  mutating func take(_ table: CSVTable) throws(ChainruleError) {
    try profile?.take(table)
    if targets == nil { TargetEncoding.forget(targetColumns, head.options, in: &profile!) }
  }

  var incomplete: [Int] {
    guard let profile else { return [] }
    let ignored = Set(targets != nil || head.options.task == .regression ? targetColumns : [])
    let features = Set(
      encoding == nil ? (head.options.infersColumns ? columns!.inputs : Array(columns!.categorical)) : [])
    return profile.incomplete(besides: ignored).filter { features.contains($0) || targetColumns.contains($0) }
  }

  mutating func takeTexts(of other: TableProfile) { profile?.takeTexts(of: other) }

  func result() throws(ChainruleError) -> (
    encoding: FeatureEncoding, targets: TargetEncoding, notes: [TableNote]
  ) {
    var (encoding, targets, notes) = (encoding, targets, [TableNote]())
    if encoding == nil, let profile, let columns {
      let fitted = try FeatureEncoding.fitting(head, columns, profile, profile, nil)
      (encoding, notes) = (fitted.encoding, fitted.notes)
    }
    if targets == nil, let profile {
      targets = try TargetEncoding(fitting: profile, targets: targetColumns, head)
    }
    return (encoding!, targets!, notes)
  }
}
