/// How the columns of a table become features: numbers as they stand, with a value for the missing ones, and
/// categories one-hot.
///
/// What it has to know, the values and the categories, is fitted on one table, as ``CSVOptions/categorical`` and
/// ``CSVOptions/missing`` of that table say, and then applied to every other. It is saved beside a model, since
/// the model's inputs are what it makes:
///
///     let options = CSVOptions(target: ["price"], categorical: ["colour"], missing: .median)
///     let known = try CSVTable(file: "cars.csv", options: options)
///     let encoding = try FeatureEncoding(fitting: known)
///     let cars = try Dataset<Float>(csv: known, encoding: encoding)
///     let inputs: [Float] = try encoding.features(of: CSVTable(file: "new-cars.csv"))
///
/// The features stand in the order of the columns, the categories of a column in ascending order in its place:
/// numerically where all are numbers ("2" before "10"), otherwise as text. A feature of a category is named as
/// "colour=red".
public struct FeatureEncoding: Sendable, Equatable {
  /// How one column becomes features.
  public enum Column: Sendable, Equatable {
    /// One feature, the number; `missing` takes the place of a missing one, which is an error where it is nil.
    case number(missing: Double?)
    /// A feature a category; `missing` takes the place of a missing one, which is an error where it is nil.
    case category([String], missing: String?)
  }

  /// The names of the columns, in the order of their features; nil where the table had none.
  public let columnNames: [String]?
  /// How each column becomes features.
  public let columns: [Column]
  /// The texts of a missing cell; see ``CSVOptions/missingTexts``.
  public let missingTexts: [String]
  /// What becomes of a category that the table fitted on did not have.
  public let unknown: OneHotEncoding.UnknownCategory

  /// The number of features.
  public var outputs: Int { columns.reduce(0) { $0 + $1.width } }

  /// The names of the features; nil where the columns have none.
  public var featureNames: [String]? {
    columnNames.map { names in
      zip(names, columns).flatMap { name, column in
        if case .category(let categories, _) = column { categories.map { "\(name)=\($0)" } } else { [name] }
      }
    }
  }

  /// Fits the feature columns of `table`.
  ///
  /// - Parameter rows: The rows, counted from 0, whose means, medians and most frequent values take the place of missing
  ///   cells, such as those trained on; nil: all. The categories are those of all rows. Traps for a row that is not there.
  /// - Throws: `ChainruleError.badData` for a column that is not there or twice, and, with file, line and column,
  ///   for a cell that the fit has to read and cannot: numbers where ``CSVOptions/missing`` asks for their mean or
  ///   the like, and categories. `.invalidValue` for a column of which every cell is missing, or that has more
  ///   than 4096 categories.
  public init(fitting table: CSVTable, valuesOf rows: [Int]? = nil) throws(ChainruleError) {
    let options = table.options
    let inputs = try table.featureColumns()
    let named = try table.columns(named: options.categorical)
    if let other = named.firstIndex(where: { !inputs.contains($0) }) {
      throw table.bad("\"\(options.categorical[other])\" is categorical, but not a feature")
    }
    let categorical = Set(named)

    var values: [Int: Double] = [:]
    let numeric = inputs.filter { !categorical.contains($0) }
    if let strategy = options.missing, !numeric.isEmpty {
      let fitted = rows.map { CSVTable(table, rowsAt: $0) } ?? table
      let numbers: [Double] = try fitted.numbersOrMissing(inColumns: numeric)
      let imputation = try Imputation(
        strategy, fitting: numbers, columns: numeric.count, names: numeric.map { table.title(of: $0) })
      values = Dictionary(uniqueKeysWithValues: zip(numeric, imputation.values))
    }

    var columns: [Column] = []
    for input in inputs {
      guard categorical.contains(input) else {
        columns.append(.number(missing: values[input]))
        continue
      }
      let cells = try table.categories(
        inColumn: input, missing: options.missing.map { _ in table.missingCells })
      let categories = ascending(Set(cells.compactMap(\.self)))
      var counts: [String: Int] = [:]
      for case let cell? in rows?.map({ cells[$0] }) ?? cells { counts[cell, default: 0] += 1 }
      guard let largest = counts.values.max() else {
        throw .invalidValue(
          name: "\"\(table.title(of: input))\"", value: "missing in every row",
          expected: "a category in at least one")
      }
      try OneHotEncoding.check(categories, of: "\"\(table.title(of: input))\"")
      let mostFrequent = categories.first { counts[$0, default: 0] == largest }
      columns.append(.category(categories, missing: options.missing == nil ? nil : mostFrequent))
    }
    self.columns = columns
    columnNames = table.columnNames.map { names in inputs.map { names[$0] } }
    missingTexts = options.missingTexts
    unknown = options.unknownCategory
  }

  /// The features, row-major rows × ``outputs``, of a table without a target, or with whatever else.
  ///
  /// Its columns are those of ``columnNames`` where both it and this encoding have names; otherwise all columns,
  /// which must be as many.
  ///
  /// - Throws: `ChainruleError.badData`, with file, line and column, for a name that the table lacks, a cell that
  ///   is not a number or missing where that is an error, or an unknown category where that is one;
  ///   `.shapeMismatch` for another number of columns; `.invalidValue` for a value of a missing number that is
  ///   too large for `Scalar`.
  public func features<Scalar: NetworkScalar>(
    of table: CSVTable, as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try features(of: table, inColumns: columns(in: table) ?? Array(0..<table.columns))
  }

  /// The indices of the columns by their names; nil where this encoding or the table has none.
  func columns(in table: CSVTable) throws(ChainruleError) -> [Int]? {
    guard let columnNames, table.columnNames != nil else { return nil }
    return try table.columns(named: columnNames)
  }

  /// The features, row-major rows × ``outputs``, of the columns at `indices`.
  func features<Scalar: NetworkScalar>(
    of table: CSVTable, inColumns indices: [Int]
  ) throws(ChainruleError) -> [Scalar] {
    guard indices.count == columns.count else {
      throw .shapeMismatch(what: "columns of features", expected: columns.count, actual: indices.count)
    }
    let numeric = columns.indices.filter { columns[$0].isNumber }
    let values = numeric.compactMap { columns[$0].missingNumber }
    // Either every column of numbers has a value for the missing ones, or none has.
    var numbers: [Scalar] = []
    if values.isEmpty {
      numbers = try table.numbers(inColumns: numeric.map { indices[$0] })
      if numeric.count == columns.count { return numbers }
    } else {
      numbers = try table.numbers(
        inColumns: numeric.map { indices[$0] }, missing: MissingCells(missingTexts))
      numbers = try Imputation(values: values).transform(numbers)
    }

    let outputs = outputs
    var features = [Scalar](repeating: 0, count: table.rows * outputs)
    var (start, place) = (0, 0)
    for (column, index) in zip(columns, indices) {
      switch column {
      case .number:
        for row in 0..<table.rows {
          features[row * outputs + start] = numbers[row * numeric.count + place]
        }
        place += 1
      case .category(let categories, let missing):
        let cells = try table.categories(
          inColumn: index, missing: missing.map { _ in MissingCells(missingTexts) })
        let places = places(of: categories)
        for (row, cell) in cells.enumerated() {
          // A cell is nil only where there is something to take its place.
          guard let category = cell ?? missing else { continue }
          if let place = places[category] {
            features[row * outputs + start + place] = 1
          } else if unknown == .error {
            throw table.bad(unknownCategory(category, among: categories), row: row, column: index)
          }
        }
      }
      start += column.width
    }
    return features
  }
}

extension FeatureEncoding.Column {
  fileprivate var width: Int {
    if case .category(let categories, _) = self { categories.count } else { 1 }
  }

  fileprivate var isNumber: Bool {
    if case .number = self { true } else { false }
  }

  fileprivate var missingNumber: Double? {
    if case .number(let missing) = self { missing } else { nil }
  }
}

// MARK: - Codable

extension FeatureEncoding: Codable {
  private enum CodingKeys: CodingKey { case columnNames, columns, missingTexts, unknown }

  /// - Throws: A `DecodingError`, `ChainruleError.shapeMismatch` where names and columns are not as many, and
  ///   `.invalidValue` for columns as ``init(fitting:)`` would not make them.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    columnNames = try container.decodeIfPresent([String].self, forKey: .columnNames)
    columns = try container.decode([Column].self, forKey: .columns)
    missingTexts = try container.decode([String].self, forKey: .missingTexts)
    unknown = try container.decode(OneHotEncoding.UnknownCategory.self, forKey: .unknown)
    try check()
  }

  private func check() throws(ChainruleError) {
    if let columnNames, columnNames.count != columns.count {
      throw .shapeMismatch(what: "names of columns", expected: columns.count, actual: columnNames.count)
    }
    guard !columns.isEmpty else {
      throw .invalidValue(name: "columns", value: "0", expected: "at least 1")
    }
    var numbers: [Double?] = []
    for (index, column) in columns.enumerated() {
      switch column {
      case .number(let missing): numbers.append(missing)
      case .category(let categories, let missing):
        try OneHotEncoding.check(categories, of: "column \(index + 1)")
        if let missing, !categories.contains(missing) {
          throw .invalidValue(
            name: "the category for a missing cell of column \(index + 1)", value: "\"\(missing)\"",
            expected: "one of the column's")
        }
      }
    }
    let values = numbers.compactMap(\.self)
    if values.isEmpty { return }
    guard values.count == numbers.count else {
      throw .invalidValue(
        name: "the columns of numbers with a value for a missing cell", value: "\(values.count)",
        expected: "none, or all \(numbers.count)")
    }
    _ = try Imputation(values: values)
  }
}

extension FeatureEncoding.Column: Codable {
  private enum CodingKeys: CodingKey { case categories, missing }

  /// A column is one of categories where it has some.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    if let categories = try container.decodeIfPresent([String].self, forKey: .categories) {
      self = .category(categories, missing: try container.decodeIfPresent(String.self, forKey: .missing))
    } else {
      self = .number(missing: try container.decodeIfPresent(Double.self, forKey: .missing))
    }
  }

  /// `{"missing": 1.5}` for a column of numbers, `{"categories": ["a", "b"], "missing": "a"}` for one of
  /// categories, without `missing` where a missing cell is an error.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .number(let missing):
      try container.encodeIfPresent(missing, forKey: .missing)
    case .category(let categories, let missing):
      try container.encode(categories, forKey: .categories)
      try container.encodeIfPresent(missing, forKey: .missing)
    }
  }
}
