/// The bad rows of a CSV text that were skipped; see ``CSVOptions/skipsBadRows``.
public struct SkippedRows: Equatable, Codable, Sendable {
  /// The number of skipped rows.
  public private(set) var count = 0
  /// The error of the first skipped row, with its line and, for a cell, its column; `nil` if no row was
  /// skipped.
  public private(set) var first: ChainruleError?

  /// Creates a count of 0.
  public init() {}

  mutating func add(_ reason: ChainruleError) {
    count += 1
    take(reason)
  }

  mutating func add(_ others: SkippedRows) {
    count += others.count
    if let reason = others.first { take(reason) }
  }

  /// Returns the rows that were not counted in `before`.
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

extension CSVTable {
  /// Returns the result of `read` for the table. If it throws for a cell, the error is that of the first bad
  /// row, in whatever order `read` processes the columns. Bisection finds that row.
  func refusingFirstBadRow<Result>(
    _ read: (CSVTable) throws(ChainruleError) -> Result
  ) throws(ChainruleError) -> Result {
    do {
      return try read(self)
    } catch {
      guard case .badData(_, .some, _, _) = error, rows > 1 else { throw error }
      var (good, bad, reason) = (0, rows, error)
      // The rows before `good` are good, and at least one before `bad` is bad.
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

  /// Returns the table without the rows that a data set of `Scalar` cannot have: rows in which a cell of a
  /// number column (feature, target or weight) is not a number, or a cell of a category or class column is
  /// not UTF-8; and, with an `encoding`, rows with categories that it refuses. ``skippedRows`` counts them.
  /// The kinds of the columns are decided by all rows.
  ///
  /// - Throws: `ChainruleError.badData` for columns that do not exist; if no row is left, the error of the
  ///   first bad row.
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

  /// Returns the table, possibly without any rows, without those that the encodings refuse. Rows with a
  /// missing target stay.
  ///
  /// - Throws: `ChainruleError.badData` for columns that do not exist.
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

  /// Returns the table without the rows for which `read` throws. Bisection finds them, so that good rows cost
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
    for range in blocks(of: 1024, in: rows) { try take(range) }
    return CSVTable(self, startingAt: good, skipped: skipped)
  }
}
