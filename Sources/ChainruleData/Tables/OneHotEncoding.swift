/// Encodes columns of categories as numbers: for each category of a column, one feature that is 1 if the row
/// has the category, otherwise 0.
///
/// The categories are those of the fitted rows, in ascending order: numerically if all of a column are
/// numbers ("2" before "10"), otherwise as text.
///
///     let encoding = try OneHotEncoding(fitting: [["red", "S"], ["blue", "M"], ["red", "L"]])
///     let features: [Float] = try encoding.transform([["blue", "S"]])  // blue, red, L, M, S: [1, 0, 0, 0, 1]
///
/// ``CSVOptions/categorical`` does this for the columns of a table.
public struct OneHotEncoding: Sendable, Equatable {
  /// The treatment of a category that is not in the fitted rows.
  public enum UnknownCategory: String, Sendable, Codable, CaseIterable {
    /// Throw an error.
    case error
    /// Set all features of the column to 0.
    case zeros
  }

  /// The categories of each column, in the order of their features.
  public let categories: [[String]]
  /// The treatment of any other category.
  public let unknown: UnknownCategory
  /// The number of features: the sum of the columns' numbers of categories.
  public var outputs: Int { categories.reduce(0) { $0 + $1.count } }

  /// The maximum number of categories of a column.
  static let maximumCategories = 4096

  /// Fits rows of categories, one per column.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no row or no column, or if a column has more than
  ///   4096 categories; `.shapeMismatch` for a row whose length differs from the first.
  public init(fitting rows: [[String]], unknown: UnknownCategory = .error) throws(ChainruleError) {
    guard let first = rows.first else {
      throw .invalidValue(name: "rows", value: "0", expected: "at least 1")
    }
    try Self.checkLengths(rows, first.count)
    try self.init(
      categories: first.indices.map { column in ascending(Set(rows.map { ExactText($0[column]) })) },
      unknown: unknown)
  }

  /// Creates an encoding from the categories of each column, in the order of their features.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no column, or if a column has no category, a
  ///   repeated one, or more than 4096.
  public init(
    categories: [[String]], unknown: UnknownCategory = .error
  ) throws(ChainruleError) {
    guard !categories.isEmpty else {
      throw .invalidValue(name: "columns", value: "0", expected: "at least 1")
    }
    for (column, categories) in categories.enumerated() {
      try Self.check(categories, of: "column \(column + 1)")
    }
    self.categories = categories
    self.unknown = unknown
  }

  /// Throws if a column has no categories, too many, or repeated ones.
  static func check(_ categories: [String], of column: String) throws(ChainruleError) {
    guard 1...maximumCategories ~= categories.count else {
      throw .invalidValue(
        name: "the number of categories of \(column)", value: "\(categories.count)",
        expected: "1 … \(maximumCategories)")
    }
    if let twice = firstRepeated(in: categories) {
      throw .invalidValue(
        name: "a category of \(column)", value: "\"\(twice)\"", expected: "each category once")
    }
  }

  private static func checkLengths(_ rows: [[String]], _ columns: Int) throws(ChainruleError) {
    if let row = rows.firstIndex(where: { $0.count != columns }) {
      throw .shapeMismatch(what: "columns of row \(row + 1)", expected: columns, actual: rows[row].count)
    }
  }

  /// Returns the features, row-major rows × ``outputs``, of rows of categories, one per column.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` for a row of another length, `.badData` for an unknown category
  ///   if that is an error.
  public func transform<Scalar: NetworkScalar>(
    _ rows: [[String]], as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try Self.checkLengths(rows, categories.count)
    let placesOfColumns = categories.map { places(of: $0) }
    let outputs = outputs
    var features = [Scalar](repeating: 0, count: rows.count * outputs)
    for (row, cells) in rows.enumerated() {
      var start = row * outputs
      for (column, category) in cells.enumerated() {
        if let place = placesOfColumns[column][ExactText(category)] {
          features[start + place] = 1
        } else if unknown == .error {
          throw .badData(
            file: nil, line: nil, column: nil,
            reason: "row \(row + 1), column \(column + 1): "
              + unknownCategory(category, among: categories[column]))
        }
        start += categories[column].count
      }
    }
    return features
  }
}

extension OneHotEncoding: Codable {
  private enum CodingKeys: CodingKey { case categories, unknown }

  /// Reads an encoding. By default, an unknown category is an error.
  ///
  /// - Throws: A `DecodingError`, or the errors of ``init(categories:unknown:)``.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      categories: container.decode([[String]].self, forKey: .categories),
      unknown: container.decodeIfPresent(UnknownCategory.self, forKey: .unknown) ?? .error)
  }
}

/// Returns the text of an error about an unknown category.
func unknownCategory(_ category: String, among categories: [String]) -> String {
  "the category \"\(category)\" is unknown; the categories are \(enumeration(categories))"
}
