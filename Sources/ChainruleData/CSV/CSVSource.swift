/// The rows of a CSV file, read part by part. Memory depends on the length of the lines, not on their number.
///
/// It gives the same numbers and classes as ``Dataset/init(csvFile:options:)``, and errors name the same line
/// and column. A first pass over the file finds the kinds of the columns, the categories, the replacements of
/// missing cells and the classes, unless the encodings are given. Each epoch reads the file again, so it must
/// not change. Medians and most frequent values are exact for up to 65,536 rows; for more, they are those of
/// a random sample of that size.
///
/// If ``CSVOptions/skipsBadRows`` is set, bad rows are skipped; a first pass counts them.
public struct CSVSource<Scalar: NetworkScalar>: BatchSource {
  /// The number of features of a row.
  public let inputs: Int
  /// The number of targets of a row; the number of classes for a classification.
  public let outputs: Int
  /// The number of rows, if a first pass has counted them.
  public let rowCount: Int?
  /// The bad rows that are skipped.
  public let skippedRows: SkippedRows
  /// The rows that the first pass skipped, and the categories it did not know.
  public let report: EncodingReport
  /// Notes about guesses and decisions.
  public let notes: [TableNote]
  /// The encoding of the columns as features.
  public let encoding: FeatureEncoding
  /// The encoding of the target columns.
  public let targets: TargetEncoding

  /// The classes, in the order of the target columns; `nil` for a regression.
  public var classLabels: [String]? { targets.classes }
  /// The names of the features, in order; `nil` if the file has no header.
  public var featureNames: [String]? { encoding.featureNames }
  /// The names of the targets of a regression; `nil` for classes, and if the file has no header.
  public var targetNames: [String]? { classLabels == nil ? targetColumnNames : nil }
  /// The names of the target columns; `nil` if the file has no header.
  public let targetColumnNames: [String]?

  private let file: CSVFile
  private let head: CSVTable
  /// The encodings that decide which rows are bad, if bad rows are skipped.
  private let judges: TableEncoding?
  private let featureColumns: [Int]
  private let targetColumns: [Int]

  /// Creates a source, with a first pass over the file if necessary.
  ///
  /// - Parameters:
  ///   - path: The path of a regular file.
  ///   - options: The format and the roles of the columns, as for a data set.
  ///   - encoding: The encoding of features; `nil` to fit one with a pass over the file.
  ///   - targets: The encoding of targets, such as the classes of a model; `nil` to fit one with a pass over
  ///     the file.
  ///   - chunk: The number of bytes of a part, at least 1. A row may have 16 times as many.
  /// - Throws: `ChainruleError.file` for a file that cannot be read or is not regular, `.badData` with line
  ///   and column for invalid contents, `.invalidValue` for a chunk below 1.
  public init(
    file path: String, options: CSVOptions = CSVOptions(), encoding: FeatureEncoding? = nil,
    targets: TargetEncoding? = nil, chunk: Int = 1 << 20
  ) throws(ChainruleError) {
    guard chunk >= 1, chunk <= 1 << 40 else {
      throw .invalidValue(name: "chunk", value: "\(chunk)", expected: "1 to \(1 << 40) bytes")
    }
    _ = try FileReader(path)  // Must be regular, since it is read again.
    let file = CSVFile(path: path, chunk: chunk)
    self.file = file
    var reader = try CSVReader(path, options: options, chunk: chunk, like: nil)
    guard let first = try reader.next(), let head = reader.head else {
      throw reader.skippedRows.first
        ?? .badData(file: path, line: nil, column: nil, reason: "there are no rows below the header")
    }
    self.head = head
    targetColumns = try head.targetColumns()
    let all = try SourceFitting(head, encoding: encoding, targets: targets)
    var fitted = try all.fitted(to: file, judges: nil, for: Scalar.self)
    // All rows decide which rows are bad; only the good ones decide the kinds of the columns.
    judges = options.skipsBadRows ? fitted.encodings : nil
    if judges != nil { fitted = try all.fitted(to: file, judges: judges, for: Scalar.self) }
    self.encoding = fitted.encodings.features
    self.targets = fitted.encodings.targets
    featureColumns = try self.encoding.columns(in: head)
    targetColumnNames = head.columnNames.map { [targetColumns] names in targetColumns.map { names[$0] } }
    inputs = self.encoding.outputs
    outputs = self.targets.outputs(ofColumns: targetColumns.count)
    notes = first.notes.map { TableNote(text: $0) } + fitted.notes
    rowCount = fitted.rows?.count
    skippedRows = fitted.rows?.skippedRows ?? SkippedRows()
    report = fitted.rows?.report ?? EncodingReport()
    if rowCount == 0 { throw skippedRows.first ?? head.noTarget }
  }

  /// Returns the rows in the order of the file.
  ///
  /// - Throws: The errors of the initialiser; the iterator also throws for a bad cell when it reaches it.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches {
    try checkCount("batchSize", size, atLeast: 1)
    return Batches(
      source: self, size: size, rows: try file.rows(like: head, judges: judges, for: Scalar.self))
  }

  /// Returns the hash of the file's bytes. It does not depend on the options.
  public func makeFingerprint() throws(ChainruleError) -> String? { try fingerprint(ofFiles: [file.path]) }

  /// Reads the file once.
  public struct Batches: BatchIterator {
    private let source: CSVSource
    private let size: Int
    private var rows: CSVRows<Scalar>
    private var table: CSVTable?
    /// The number of rows of the current part that have been read.
    private var row = 0

    fileprivate init(source: CSVSource, size: Int, rows: CSVRows<Scalar>) {
      self.source = source
      self.size = size
      self.rows = rows
    }

    /// The largest number of bytes of text in memory so far.
    var peakBytes: Int { rows.peakBytes }
    /// The rows skipped and the unknown categories found so far.
    public var report: EncodingReport { rows.report }

    /// Returns the next rows of the file.
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
      guard count > 0 else {
        if let expected = source.rowCount, rows.count != expected {
          throw source.head.bad(
            "the file had \(expected) rows when it was read first, and has \(rows.count) now")
        }
        return nil
      }
      return Dataset(
        vouchedFeatures: features, targets: targets, rows: count, inputs: source.inputs,
        outputs: source.outputs,
        featureNames: source.featureNames, targetNames: source.targetNames, classLabels: source.classLabels,
        sampleWeights: weights)
    }
  }
}

/// A file that is read several times.
private struct CSVFile: Sendable {
  let path: String
  let chunk: Int

  /// Returns the rows with a target, part by part, without those that `judges` refuse.
  func rows<Scalar: NetworkScalar>(
    like head: CSVTable, judges: TableEncoding?, for type: Scalar.Type
  ) throws(ChainruleError) -> CSVRows<Scalar> {
    CSVRows(reader: try CSVReader(path, options: head.options, chunk: chunk, like: head), judges: judges)
  }
}

/// Reads these rows once.
private struct CSVRows<Scalar: NetworkScalar> {
  var reader: CSVReader
  let judges: TableEncoding?
  var report = EncodingReport()
  private var bad = SkippedRows()
  /// The number of rows so far.
  private(set) var count = 0

  init(reader: CSVReader, judges: TableEncoding?) {
    self.reader = reader
    self.judges = judges
  }

  var peakBytes: Int { reader.peakBytes }

  var skippedRows: SkippedRows {
    var all = reader.skippedRows
    all.add(bad)
    return all
  }

  mutating func next() throws(ChainruleError) -> CSVTable? {
    while var table = try reader.next() {
      if let judges {
        let before = table.skippedRows
        table = try table.withoutBadRows(
          for: Scalar.self, features: judges.features, targets: judges.targets)
        bad.add(table.skippedRows.less(before))
      }
      let complete = try table.withoutMissingTargets(report: &report)
      count += complete.rows
      if complete.rows > 0 { return complete }
    }
    return nil
  }
}

/// The encodings to fit to a file, part by part.
private struct SourceFitting {
  private let head: CSVTable
  private var encoding: FeatureEncoding?
  private var targets: TargetEncoding?
  private let columns: FeatureColumns?
  private let targetColumns: [Int]
  private var profile: TableProfile?

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

  /// Returns the encodings, fitted to the rows that `judges` do not refuse, and the iterator that has read
  /// these rows; `nil` if there was nothing to fit.
  func fitted<Scalar: NetworkScalar>(
    to file: CSVFile, judges: TableEncoding?, for type: Scalar.Type
  ) throws(ChainruleError) -> (encodings: TableEncoding, notes: [TableNote], rows: CSVRows<Scalar>?) {
    if let encoding, let targets, judges == nil {
      return (TableEncoding(features: encoding, targets: targets), [], nil)
    }
    var rows = try file.rows(like: head, judges: judges, for: Scalar.self)
    var profile = profile
    while let table = try rows.next() {
      try profile?.take(table)
      if targets == nil { TargetEncoding.forget(targetColumns, head.options, in: &profile!) }
    }
    if let incomplete = profile.map(incomplete), !incomplete.isEmpty {
      var again = TableProfile(of: incomplete, collecting: Set(incomplete))
      var second = try file.rows(like: head, judges: judges, for: Scalar.self)
      while let table = try second.next() { try again.take(table) }
      profile!.takeTexts(of: again)
    }
    var (encoding, targets, notes) = (encoding, targets, [TableNote]())
    if encoding == nil, let profile, let columns {
      let fitted = try FeatureEncoding.fitting(head, columns, profile, profile, nil)
      (encoding, notes) = (fitted.encoding, fitted.notes)
    }
    if targets == nil, let profile {
      targets = try TargetEncoding(fitting: profile, targets: targetColumns, head)
    }
    return (TableEncoding(features: encoding!, targets: targets!), notes, rows)
  }

  /// Returns the columns whose texts are needed and were not collected from the first row on.
  private func incomplete(_ profile: TableProfile) -> [Int] {
    let ignored = Set(targets != nil || head.options.task == .regression ? targetColumns : [])
    let features = Set(
      encoding == nil ? (head.options.infersColumns ? columns!.inputs : Array(columns!.categorical)) : [])
    return profile.incomplete(besides: ignored).filter { features.contains($0) || targetColumns.contains($0) }
  }
}
