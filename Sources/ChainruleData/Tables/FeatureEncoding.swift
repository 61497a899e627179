/// The encoding of a table's columns as features: numbers, with replacements for missing ones, dates as days,
/// and categories as one-hot features.
///
/// Its replacements and categories are fitted on one table, according to its ``CSVOptions``, and then applied
/// to all others. It belongs to a model, whose inputs are these features:
///
///     let options = CSVOptions(target: ["price"], categorical: ["colour"], missing: .median)
///     let known = try CSVTable(file: "cars.csv", options: options)
///     let encoding = try FeatureEncoding(fitting: known)
///     let cars = try Dataset<Float>(csv: known, encoding: encoding)
///     let inputs: [Float] = try encoding.features(of: CSVTable(file: "new-cars.csv"))
///
/// The features are in the order of the columns. Those of a column's categories are in ascending order:
/// numerically if all are numbers ("2" before "10"), otherwise as text. The feature of a category has a name
/// such as "colour=red", one that indicates missing cells a name such as "colour is missing".
public struct FeatureEncoding: Sendable, Equatable {
  /// A column of numbers or dates, which becomes one feature or two.
  public struct Number: Sendable, Equatable {
    /// The replacement of a missing cell; `nil` if a missing cell is an error.
    public var missing: Double?
    /// Whether a second feature is 1 if the cell is missing, and otherwise 0.
    public var indicatesMissing: Bool
    /// The number subtracted from each cell, in double precision.
    public var offset: Double
    /// Whether the cells are ISO 8601 dates; their number is the number of days since 1970-01-01T00:00Z.
    public var isDate: Bool

    /// Creates a column. By default the numbers do not change.
    public init(
      missing: Double? = nil, indicatesMissing: Bool = false, offset: Double = 0, isDate: Bool = false
    ) {
      self.missing = missing
      self.indicatesMissing = indicatesMissing
      self.offset = offset
      self.isDate = isDate
    }
  }

  /// A column of categories, which becomes one feature per category.
  public struct Category: Sendable, Equatable {
    /// The categories, in the order of their features.
    public var categories: [String]
    /// The category of a missing cell; `nil` if it has none.
    public var missing: String?
    /// Whether one more feature is 1 if the cell is missing, and otherwise 0.
    public var indicatesMissing: Bool
    /// Whether a missing cell is an error.
    public var refusesMissing: Bool

    /// Creates a column from categories in the order of their features.
    public init(
      _ categories: [String], missing: String? = nil, indicatesMissing: Bool = false,
      refusesMissing: Bool = false
    ) {
      self.categories = categories
      self.missing = missing
      self.indicatesMissing = indicatesMissing
      self.refusesMissing = refusesMissing
    }

    /// Compares the texts byte for byte.
    public static func == (one: Category, other: Category) -> Bool {
      one.categories.isExactly(other.categories) && one.missing == other.missing
        && one.indicatesMissing == other.indicatesMissing && one.refusesMissing == other.refusesMissing
    }
  }

  /// The encoding of one column as features.
  public enum Column: Sendable, Equatable {
    /// A number: one feature.
    case number(Number)
    /// A category: one feature for each known category.
    case category(Category)
  }

  /// The places of the columns in the table that was fitted.
  struct Layout: Sendable, Equatable, Codable {
    /// The number of its columns.
    var width: Int
    /// The indices of its feature columns, in the order of ``FeatureEncoding/columns``, counted from 0.
    var features: [Int]
    /// The indices of its target columns.
    var targets: [Int]
  }

  /// The names of the columns, in the order of their features; `nil` if the table had none.
  public let columnNames: [String]?
  /// The encoding of each column.
  public let columns: [Column]
  /// The texts of a missing cell; see ``CSVOptions/missingTexts``.
  public let missingTexts: [String]
  /// The treatment of a category that is not in the fitted table.
  public let unknown: OneHotEncoding.UnknownCategory
  /// The decimal separator of numbers in the table.
  public let decimal: Character
  /// The character between groups of three digits; `nil` if there is none.
  public let thousands: Character?
  let layout: Layout?

  /// The number of features.
  public var outputs: Int { columns.reduce(0) { $0 + $1.width } }

  /// The names of the features; `nil` if the columns have no names.
  public var featureNames: [String]? {
    guard let columnNames else { return nil }
    let names = zip(columnNames, columns).flatMap { name, column in
      let gap = column.indicatesMissing ? ["\(name) is missing"] : []
      return switch column {
      case .number: [name] + gap
      case .category(let column): column.categories.map { "\(name)=\($0)" } + gap
      }
    }
    // A column can have the name of another column's feature.
    return firstRepeated(in: names) == nil ? names : uniqueNames(names).names
  }

  /// The range of features of each column, in the order of the columns, with their names or their numbers
  /// counted from 1.
  public var featuresOfColumns: [(name: String, features: Range<Int>)] {
    var start = 0
    return columns.enumerated().map { index, column in
      defer { start += column.width }
      return (columnNames?[index] ?? "\(index + 1)", start..<start + column.width)
    }
  }

  /// Whether each feature may be any number, not only 0 or 1.
  public var areNumbers: [Bool] {
    columns.flatMap { column in
      let gap = column.indicatesMissing ? [false] : []
      return switch column {
      case .number: [true] + gap
      case .category(let column): column.categories.map { _ in false } + gap
      }
    }
  }

  /// Whether the features are the unchanged numbers of the columns. In a table without names they come first,
  /// and the targets after them.
  public var isPlain: Bool {
    columns.allSatisfy { $0 == .number(Number()) } && decimal == "." && thousands == nil
      && (layout?.hasAll ?? true)
  }

  init(
    columnNames: [String]?, columns: [Column], missingTexts: [String],
    unknown: OneHotEncoding.UnknownCategory,
    decimal: Character, thousands: Character?, layout: Layout?
  ) {
    self.columnNames = columnNames
    self.columns = columns
    self.missingTexts = missingTexts
    self.unknown = unknown
    self.decimal = decimal
    self.thousands = thousands
    self.layout = layout
  }

  /// Fits the feature columns of `table`.
  ///
  /// - Parameters:
  ///   - table: The table; its other columns are ignored.
  ///   - rows: The rows, counted from 0, such as the training rows, whose means, medians and most frequent
  ///     values replace missing cells, and whose categories are known if an unknown one is not an error;
  ///     `nil` for all. The kinds of the columns are always decided by all rows. Traps if there is no such
  ///     row.
  /// - Throws: `ChainruleError.badData` for a column that does not exist or is named twice, and, with file,
  ///   line and column, for a cell that the fit must read and cannot: categories, and numbers if
  ///   ``CSVOptions/missing`` requires a statistic of them. `.invalidValue` for a column without present
  ///   cells, or with more than 4096 categories, unless ``CSVOptions/infersColumns`` skips it or uses the
  ///   most frequent ones.
  public init(fitting table: CSVTable, valuesOf rows: [Int]? = nil) throws(ChainruleError) {
    self = try FeatureEncoding.fitting(table, valuesOf: rows).encoding
  }

  /// Returns the features, row-major rows × ``outputs``, of a table, with or without targets and other
  /// columns.
  ///
  /// The columns are found by ``columnNames`` if both the table and this encoding have names. Otherwise they
  /// are found by their places in the fitted table, with or without its targets, or they are all columns if
  /// the number matches.
  ///
  /// - Throws: `ChainruleError.badData`, with file, line and column, for a name that the table does not have,
  ///   a cell that is not a number, and a missing cell or an unknown category if that is an error;
  ///   `.shapeMismatch` for another number of columns; `.invalidValue` for a replacement that overflows
  ///   `Scalar`.
  public func features<Scalar: NetworkScalar>(
    of table: CSVTable, as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try features(of: table, inColumns: columns(in: table))
  }

  /// Returns the features as ``features(of:as:)`` does, and counts unknown categories in `report`.
  public func features<Scalar: NetworkScalar>(
    of table: CSVTable, report: inout EncodingReport
  ) throws(ChainruleError) -> [Scalar] {
    try features(of: table, inColumns: columns(in: table), report: &report)
  }

  /// The options for reading a table for this encoding: the format of its numbers, its missing cells, and a
  /// header with the names of the columns.
  public var readingOptions: CSVOptions {
    var options = CSVOptions(decimal: decimal, thousands: thousands, missingTexts: missingTexts)
    options.expectedNames = columnNames ?? []
    options.expectsNoNames = columnNames == nil
    return options
  }

  /// Returns the numbers of the target columns, counted from 1, in a table of `columns` columns without
  /// names; `nil` if the fitted table had names or another number of columns.
  public func targetNumbers(ofColumns columns: Int) -> [Int]? {
    layout.flatMap { $0.width == columns ? $0.targets.map { $0 + 1 } : nil }
  }

  /// Returns the indices of the columns, by their names if this encoding and the table have names.
  func columns(in table: CSVTable) throws(ChainruleError) -> [Int] {
    if let columnNames, table.columnNames != nil { return try table.columns(named: columnNames) }
    if let layout, table.columns == layout.width { return layout.features }
    if !table.options.target.isEmpty {
      // A column cannot be both a target and a feature.
      let inputs = try table.featureColumns()
      guard inputs.count == columns.count else {
        throw table.bad(
          "besides the target there \(inputs.count == 1 ? "is 1 column" : "are \(inputs.count) columns"); the features "
            + "need \(columns.count)")
      }
      return inputs
    }
    if let layout {
      if table.columns == layout.width - layout.targets.count { return layout.featuresWithoutTargets }
    }
    guard table.columns == columns.count else {
      throw .shapeMismatch(what: "columns of features", expected: columns.count, actual: table.columns)
    }
    return Array(0..<table.columns)
  }

  /// Returns the features, row-major rows × ``outputs``, of the columns at `indices`.
  func features<Scalar: NetworkScalar>(
    of table: CSVTable, inColumns indices: [Int]
  ) throws(ChainruleError) -> [Scalar] {
    var report = EncodingReport()
    return try features(of: table, inColumns: indices, report: &report)
  }

  /// Returns the features as ``features(of:inColumns:)`` does, and counts unknown categories in `report`.
  func features<Scalar: NetworkScalar>(
    of table: CSVTable, inColumns indices: [Int], report: inout EncodingReport
  ) throws(ChainruleError) -> [Scalar] {
    guard indices.count == columns.count else {
      throw .shapeMismatch(what: "columns of features", expected: columns.count, actual: indices.count)
    }
    if columns.allSatisfy({ $0 == .number(Number()) }) { return try table.numbers(inColumns: indices) }
    return try table.refusingFirstBadRow { rows throws(ChainruleError) in
      try encode(rows, inColumns: indices, &report)
    }
  }

  private func encode<Scalar: NetworkScalar>(
    _ table: CSVTable, inColumns indices: [Int], _ report: inout EncodingReport
  ) throws(ChainruleError) -> [Scalar] {
    let missing = MissingCells(missingTexts)
    let outputs = outputs
    var features = try [Scalar](
      repeating: 0, count: table.rows * outputs, for: "\(outputs) features of \(table.rows) rows")
    // Some rows at a time, because their numbers are stored in double precision.
    for rows in blocks(of: 4096, in: table.rows) {
      try encodeNumbers(CSVTable(table, rows: rows), indices, missing, at: rows.lowerBound, into: &features)
    }
    var start = 0
    for (column, index) in zip(columns, indices) {
      if case .category(let category) = column {
        try encode(category, table, index, missing, at: start, into: &features, &report)
      }
      start += column.width
    }
    return features
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  private func encodeNumbers<Scalar: NetworkScalar>(
    _ table: CSVTable, _ indices: [Int], _ missing: MissingCells, at first: Int, into features: inout [Scalar]
  ) throws(ChainruleError) {
    var (numbers, places, starts): ([Number], [Int], [Int]) = ([], [], [])
    var dates: Set<Int> = []
    var (start, mayMiss) = (0, false)
    for (column, index) in zip(columns, indices) {
      if case .number(let number) = column {
        numbers.append(number)
        places.append(index)
        starts.append(start)
        if number.isDate { dates.insert(index) }
        if number.missing != nil { mayMiss = true }
      }
      start += column.width
    }
    if numbers.isEmpty { return }
    let values: [Double] = try table.numbers(
      inColumns: places, missing: mayMiss ? missing : nil, dates: dates)
    for row in 0..<table.rows {
      let base = (first + row) * start
      for place in numbers.indices {
        var value = values[row * numbers.count + place]
        if value.isNaN {
          guard let replacement = numbers[place].missing else {
            throw table.bad("the cell is missing; expected a number", row: row, column: places[place])
          }
          value = replacement
          if numbers[place].indicatesMissing { features[base + starts[place] + 1] = 1 }
        }
        let feature = Scalar(value - numbers[place].offset)
        guard feature.isFinite else {
          throw table.bad(
            "\(value) is too large for \(Scalar.scalarType.rawValue)", row: row, column: places[place])
        }
        features[base + starts[place]] = feature
      }
    }
  }

  private func encode<Scalar: NetworkScalar>(
    _ column: Category, _ table: CSVTable, _ index: Int, _ missing: MissingCells, at start: Int,
    into features: inout [Scalar], _ report: inout EncodingReport
  ) throws(ChainruleError) {
    let cells = try table.categories(inColumn: index, missing: missing)
    let places = places(of: column.categories)
    let outputs = outputs
    for (row, cell) in cells.enumerated() {
      let base = row * outputs + start
      guard let category = cell ?? column.missing else {
        if column.refusesMissing {
          throw table.bad(
            "the cell is missing; expected a category; to fill such gaps: --missing median", row: row,
            column: index)
        }
        if column.indicatesMissing { features[base + column.categories.count] = 1 }
        continue
      }
      if let place = places[ExactText(category)] {
        features[base + place] = 1
      } else if unknown == .error {
        throw table.bad(unknownCategory(category, among: column.categories), row: row, column: index)
      } else {
        report.addUnknown(category, inColumn: table.title(of: index), line: table.line(ofRow: row))
      }
    }
  }
}

extension FeatureEncoding.Column {
  fileprivate var width: Int {
    switch self {
    case .number: indicatesMissing ? 2 : 1
    case .category(let column): column.categories.count + (indicatesMissing ? 1 : 0)
    }
  }

  fileprivate var indicatesMissing: Bool {
    switch self {
    case .number(let column): column.indicatesMissing
    case .category(let column): column.indicatesMissing
    }
  }
}

extension FeatureEncoding.Layout {
  /// Whether the features are the first columns and the targets the rest. Indices are distinct.
  fileprivate var hasAll: Bool {
    features.count == width - targets.count && features.enumerated().allSatisfy { $0 == $1 }
  }

  /// The feature columns of a table without targets.
  fileprivate var featuresWithoutTargets: [Int] {
    features.map { feature in feature - targets.filter { $0 < feature }.count }
  }
}

/// The rows that were skipped, and the unknown categories, when a table was encoded.
public struct EncodingReport: Equatable, Codable, Sendable {
  /// The unknown categories of one column.
  public struct Unknown: Equatable, Codable, Sendable {
    /// The column's name, or its number counted from 1.
    public let column: String
    /// The number of cells with an unknown category.
    public internal(set) var count: Int
    /// The text of the first of them.
    public let first: String
    /// The line of that cell.
    public let line: Int
  }

  /// The number of rows without a target, which were skipped.
  public private(set) var missingTargets = 0
  /// The line of the first of these rows.
  public private(set) var firstMissingTarget: Int?
  /// The columns with unknown categories, in the order in which they were found.
  public private(set) var unknown: [Unknown] = []

  /// Creates an empty report.
  public init() {}

  mutating func addMissingTargets(_ count: Int, firstAt line: Int?) {
    missingTargets += count
    if firstMissingTarget == nil { firstMissingTarget = line }
  }

  mutating func addUnknown(_ category: String, inColumn column: String, line: Int) {
    if let index = unknown.firstIndex(where: { $0.column == column }) {
      unknown[index].count += 1
    } else {
      unknown.append(Unknown(column: column, count: 1, first: category, line: line))
    }
  }
}

// MARK: - Codable

extension FeatureEncoding: Codable {
  private enum CodingKeys: CodingKey {
    case columnNames, columns, missingTexts, unknown, decimal, thousands, layout
  }

  /// Reads an encoding. Everything but the columns is optional and has its default in ``CSVOptions``.
  ///
  /// - Throws: A `DecodingError`, `ChainruleError.shapeMismatch` if the numbers of names and columns differ,
  ///   and `.invalidValue` for columns that ``init(fitting:valuesOf:)`` cannot create.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    columnNames = try container.decodeIfPresent([String].self, forKey: .columnNames)
    columns = try container.decode([Column].self, forKey: .columns)
    missingTexts =
      try container.decodeIfPresent([String].self, forKey: .missingTexts) ?? CSVOptions.usualMissingTexts
    unknown = try container.decodeIfPresent(OneHotEncoding.UnknownCategory.self, forKey: .unknown) ?? .error
    decimal = try container.decodeIfPresent(String.self, forKey: .decimal)?.first ?? "."
    thousands = try container.decodeIfPresent(String.self, forKey: .thousands)?.first
    layout = try container.decodeIfPresent(Layout.self, forKey: .layout)
    try check()
  }

  /// Writes an encoding without values that equal their defaults.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(columnNames, forKey: .columnNames)
    try container.encode(columns, forKey: .columns)
    try container.encode(missingTexts, forKey: .missingTexts)
    try container.encode(unknown, forKey: .unknown)
    if decimal != "." { try container.encode(String(decimal), forKey: .decimal) }
    try container.encodeIfPresent(thousands.map(String.init), forKey: .thousands)
    try container.encodeIfPresent(layout, forKey: .layout)
  }

  private func check() throws(ChainruleError) {
    if let columnNames, columnNames.count != columns.count {
      throw .shapeMismatch(what: "names of columns", expected: columns.count, actual: columnNames.count)
    }
    try checkDistinct(columnNames ?? [], "the names of the columns")
    guard !columns.isEmpty else {
      throw .invalidValue(name: "columns", value: "0", expected: "at least 1")
    }
    _ = try NumberFormat(decimal: decimal, thousands: thousands)
    for (index, column) in columns.enumerated() {
      switch column {
      case .number(let number):
        guard number.missing?.isFinite ?? true, number.offset.isFinite else {
          throw .invalidValue(
            name: "a number of column \(index + 1)", value: "\(number)", expected: "a finite number")
        }
      case .category(let category):
        try OneHotEncoding.check(category.categories, of: "column \(index + 1)")
        if let missing = category.missing, places(of: category.categories)[ExactText(missing)] == nil {
          throw .invalidValue(
            name: "the category for a missing cell of column \(index + 1)", value: "\"\(missing)\"",
            expected: "one of the column's")
        }
      }
    }
    guard let layout else { return }
    let indices = layout.features + layout.targets
    guard layout.features.count == columns.count, Set(indices).count == indices.count, layout.width >= 0,
      indices.allSatisfy({ 0 <= $0 && $0 < layout.width })
    else {
      throw .invalidValue(
        name: "layout", value: "\(indices.count) of \(layout.width) columns",
        expected: "the place of each column, once")
    }
  }
}

extension FeatureEncoding.Column: Codable {
  private enum CodingKeys: CodingKey {
    case categories, missing, indicatesMissing, refusesMissing, offset, isDate
  }

  /// Reads a column; one with categories is a category, any other a number.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let indicates = try container.decodeIfPresent(Bool.self, forKey: .indicatesMissing) ?? false
    if let categories = try container.decodeIfPresent([String].self, forKey: .categories) {
      let missing = try container.decodeIfPresent(String.self, forKey: .missing)
      var category = FeatureEncoding.Category(categories, missing: missing, indicatesMissing: indicates)
      category.refusesMissing =
        try container.decodeIfPresent(Bool.self, forKey: .refusesMissing) ?? category.usuallyRefusesMissing
      self = .category(category)
    } else {
      self = .number(
        FeatureEncoding.Number(
          missing: try container.decodeIfPresent(Double.self, forKey: .missing), indicatesMissing: indicates,
          offset: try container.decodeIfPresent(Double.self, forKey: .offset) ?? 0,
          isDate: try container.decodeIfPresent(Bool.self, forKey: .isDate) ?? false))
    }
  }

  /// Writes `{"missing": 1.5}` for a column of numbers, `{"categories": ["a", "b"], "missing": "a"}` for one
  /// of categories, without values that equal their defaults.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    if indicatesMissing { try container.encode(true, forKey: .indicatesMissing) }
    switch self {
    case .number(let column):
      try container.encodeIfPresent(column.missing, forKey: .missing)
      if column.offset != 0 { try container.encode(column.offset, forKey: .offset) }
      if column.isDate { try container.encode(true, forKey: .isDate) }
    case .category(let column):
      try container.encode(column.categories, forKey: .categories)
      try container.encodeIfPresent(column.missing, forKey: .missing)
      if column.refusesMissing != column.usuallyRefusesMissing {
        try container.encode(column.refusesMissing, forKey: .refusesMissing)
      }
    }
  }
}

extension FeatureEncoding.Category {
  /// The default if a file does not have a value.
  fileprivate var usuallyRefusesMissing: Bool { missing == nil && !indicatesMissing }
}

extension FeatureEncoding {
  /// Creates the encoding of a table for another program's model. Columns are found by their names, or by
  /// their order.
  package init(
    importing columns: [Column], named names: [String]?, unknown: OneHotEncoding.UnknownCategory
  ) {
    self.init(
      columnNames: names, columns: columns, missingTexts: CSVOptions.usualMissingTexts, unknown: unknown,
      decimal: ".", thousands: nil, layout: nil)
  }
}
