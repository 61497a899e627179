/// A table as rows to train on, and how its columns became these.
///
///     let table = try EncodedTable<Float>(fitting: CSVTable(file: "houses.csv", options: .anyTable(target: ["price"])))
///     let train = try table.rows.splitRows(holdingOut: 0.2, seed: 1).train
///     let fitted = try table.refitted(to: train)
public struct EncodedTable<Scalar: NetworkScalar>: Sendable {
  /// All rows that have a target.
  public let rows: Dataset<Scalar>
  /// How the columns became features and targets.
  public let encoding: TableEncoding
  /// What was decided without being asked for.
  public let notes: [TableNote]
  /// How many rows had no target, among others.
  public let report: EncodingReport
  /// The bad rows that were left out, where ``CSVOptions/skipsBadRows`` asks for it.
  public let skippedRows: SkippedRows
  private let table: CSVTable

  /// Fits a table, by the options it was read with, to all its rows that have a target.
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for contents that do not fit, and as
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

  /// The same rows, with the values for missing cells and the categories of some of them, such as those trained on.
  ///
  /// - Parameter rows: Indices of ``rows``. Traps for a row that is not there.
  /// - Throws: As ``init(fitting:)``.
  public func refitted(to rows: [Int]) throws(ChainruleError) -> EncodedTable {
    if encoding.features.isPlain { return self }
    return try EncodedTable(table, targets: encoding.targets, valuesOf: rows, report: report)
  }
}
