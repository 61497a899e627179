// Data sets from tables.

extension Dataset {
  /// Creates a data set from the CSV file at `path`; ``CSVOptions`` defines the roles of the columns.
  ///
  ///     let iris = try Dataset<Float>(csvFile: "iris.csv", options: CSVOptions(target: ["species"]))
  ///
  /// - Throws: `ChainruleError.file` for a file that cannot be read, `.badData` with file, line and column
  ///   for invalid contents.
  public init(csvFile path: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(csv: CSVTable(file: path, options: options))
  }

  /// Creates a data set from CSV text.
  ///
  /// - Throws: `ChainruleError.badData` with line and column for invalid contents.
  public init(csv text: String, options: CSVOptions = CSVOptions()) throws(ChainruleError) {
    try self.init(csv: CSVTable(bytes: Array(text.utf8), options: options))
  }

  /// Creates a data set from a table, with the options the table was read with. It skips rows with a missing
  /// target and, if ``CSVOptions/skipsBadRows`` is set, bad rows: see
  /// ``CSVTable/withoutBadRows(for:encoding:)``.
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for invalid contents, and the errors of
  ///   ``FeatureEncoding/init(fitting:valuesOf:)``.
  public init(csv table: CSVTable) throws(ChainruleError) {
    self = try EncodedTable(fitting: table).rows
  }

  /// Creates a data set from a table, with an encoding of features that was fitted on another table.
  ///
  ///     let encoding = try FeatureEncoding(fitting: known)
  ///     let train = try Dataset<Float>(csv: known, encoding: encoding)
  ///     let test = try Dataset<Float>(csv: new, encoding: encoding)
  ///
  /// - Throws: `ChainruleError.badData` with file, line and column for invalid contents, and the errors of
  ///   ``FeatureEncoding/features(of:as:)``.
  public init(csv table: CSVTable, encoding: FeatureEncoding) throws(ChainruleError) {
    let table =
      table.options.skipsBadRows ? try table.withoutBadRows(for: Scalar.self, encoding: encoding) : table
    try self.init(csv: table, encoding: encoding, targets: TargetEncoding(fitting: table))
  }

  /// Creates a data set from a table, with encodings of features and targets that were fitted on another
  /// table.
  ///
  /// - Throws: The errors of ``init(csv:encoding:)``.
  public init(
    csv table: CSVTable, encoding: FeatureEncoding, targets: TargetEncoding
  ) throws(ChainruleError) {
    var report = EncodingReport()
    try self.init(csv: table, encoding: encoding, targets: targets, report: &report)
  }

  /// Creates a data set as ``init(csv:encoding:targets:)`` does, and counts skipped rows and unknown
  /// categories in `report`.
  public init(
    csv table: CSVTable, encoding: FeatureEncoding, targets: TargetEncoding, report: inout EncodingReport
  ) throws(ChainruleError) {
    let table = try table.withTargets(report: &report)
    let columns = try table.targetColumns()
    let inputs = try encoding.columns(in: table)
    if let classes = targets.classes {
      try Self.checkClasses(classes)
      try Self.checkOneHot(rows: table.rows, classes: classes.count, inputs: encoding.outputs, bad: table.bad)
    }
    let (features, values, weights) = try table.refusingFirstBadRow { rows throws(ChainruleError) in
      (
        try encoding.features(of: rows, inColumns: inputs, report: &report) as [Scalar],
        try targets.targets(of: rows, inColumns: columns) as [Scalar],
        try rows.sampleWeights() as [Scalar]?
      )
    }
    try self.init(
      features: features, targets: values, rows: table.rows, inputs: encoding.outputs,
      outputs: targets.outputs(ofColumns: columns.count), featureNames: encoding.featureNames,
      targetNames: targets.classes == nil
        ? table.columnNames.map { names in columns.map { names[$0] } } : nil,
      classLabels: targets.classes, sampleWeights: weights)
  }
}

extension CSVTable {
  /// Returns the weight of each row, if ``CSVOptions/weights`` names a column of weights.
  func sampleWeights<Scalar: NetworkScalar>() throws(ChainruleError) -> [Scalar]? {
    guard let name = options.weights else { return nil }
    let column = try column(name)
    let weights: [Scalar] = try numbers(inColumns: [column])
    if let row = weights.firstIndex(where: { $0 < 0 }) {
      throw bad("the weight is \(weights[row]); expected a number of at least 0", row: row, column: column)
    }
    return weights
  }
}
