/// A table as training rows, and the encoding of its columns.
///
///     let houses = try CSVTable(file: "houses.csv", options: .anyTable(target: ["price"]))
///     let table = try EncodedTable<Float>(fitting: houses)
///     let train = try table.rows.splitRows(holdingOut: 0.2, seed: 1).train
///     let fitted = try table.refitted(to: train)
public struct EncodedTable<Scalar: NetworkScalar>: Sendable {
  /// All rows with a target.
  public let rows: Dataset<Scalar>
  /// The encoding of the columns as features and targets.
  public let encoding: TableEncoding
  /// The decisions made by default.
  public let notes: [TableNote]
  /// The rows without a target, and unknown categories.
  public let report: EncodingReport
  /// The bad rows that were skipped, if ``CSVOptions/skipsBadRows`` is set.
  public let skippedRows: SkippedRows
  private let table: CSVTable

  /// Fits a table, with the options it was read with, to all its rows that have a target.
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for invalid contents, and the errors of
  ///   ``TableEncoding/fitting(_:)``.
  public init(fitting table: CSVTable) throws(ChainruleError) {
    var table = table.options.skipsBadRows ? try table.withoutBadRows(for: Scalar.self) : table
    table.options.skipsBadRows = false
    var report = EncodingReport()
    table = try table.withTargets(report: &report)
    let targets = try TargetEncoding(fitting: table)
    try self.init(table, targets: targets, valuesOf: nil, report: report)
  }

  private init(
    _ table: CSVTable, targets: TargetEncoding, valuesOf rows: [Int]?, report: EncodingReport
  ) throws(ChainruleError) {
    let (features, notes) = try FeatureEncoding.fitting(table, valuesOf: rows)
    encoding = TableEncoding(features: features, targets: targets)
    self.notes = notes
    self.report = report
    self.table = table
    skippedRows = table.skippedRows
    self.rows = try Dataset(csv: table, encoding: features, targets: targets)
  }

  /// Returns the same rows, with the replacements of missing cells and the categories fitted on some of the
  /// rows, such as the training rows.
  ///
  /// - Parameter rows: Indices of ``rows``. Traps if there is no such row.
  /// - Throws: The errors of ``init(fitting:)``.
  public func refitted(to rows: [Int]) throws(ChainruleError) -> EncodedTable {
    if encoding.features.isPlain { return self }
    return try EncodedTable(table, targets: encoding.targets, valuesOf: rows, report: report)
  }
}
