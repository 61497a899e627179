/// Rows of a CSV text that were left out, since they are bad; see ``CSVOptions/skipsBadRows``.
public struct SkippedRows: Equatable, Codable, Sendable {
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
    for range in blocks(of: 1024, in: rows) { try take(range) }
    return CSVTable(self, startingAt: good, skipped: skipped)
  }
}
