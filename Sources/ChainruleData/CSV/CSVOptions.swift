/// The format of a CSV text and the roles of its columns.
public struct CSVOptions: Sendable, Equatable {
  /// Whether the first row has the names of the columns.
  public enum Header: String, Sendable, CaseIterable {
    /// Compare each cell of the first row with the other cells of its column: a text above numbers is a name,
    /// a value that is repeated below is not. If the decision was a guess, ``CSVTable/notes`` describes it.
    case automatic
    /// The first row has the names.
    case yes
    /// The first row has values.
    case no
  }

  /// The kind of the targets.
  public enum LearningTask: String, Sendable, CaseIterable {
    /// Classes if there is one target column, and
    /// - its cells are text, or
    /// - its cells are all whole numbers, and either the column is named `class` or `label`, or they have 2
    ///   to 20 distinct values that occur at least twice on average.
    ///
    /// Labels if there are several target columns with only 0 and 1. Otherwise a regression.
    case automatic
    /// The cells of the single target column name classes by their text: "1", "01" and "1.0" are three
    /// classes.
    case classification
    /// The cells of the target columns are numbers to predict, even if all are 0 or 1.
    case regression
    /// Each target column is 0 or 1, independently of the others: whether the row has the label.
    case multilabel
  }

  /// The columns to predict, by name or by number counted from 1. Default if empty: the last column.
  public var target: [String]
  /// The feature columns, in this order, by name or by number; `nil` for all columns without another role.
  public var features: [String]?
  /// Columns to ignore, by name or by number.
  public var ignored: [String]
  /// A column that identifies the row and is not a feature, by name or by number.
  public var id: String?
  /// A column with the weight of each row in the loss, at least 0, by name or by number.
  public var weights: String?
  /// Whether the first row has the names of the columns.
  public var header: Header
  /// The ASCII character between two cells; a space means any run of spaces and tabs. `nil` to detect it: the
  /// one of tab, ";", "|", "," and space that gives the first lines the same number of cells.
  public var delimiter: Character?
  /// The decimal separator: "." or ",".
  public var decimal: Character
  /// The character between groups of three digits; `nil` if there is none.
  public var thousands: Character?
  /// The kind of the targets.
  public var task: LearningTask
  /// Whether to infer the kind of each feature column from its cells: text columns become categories, ISO
  /// 8601 dates become days since 1970, and columns that are constant or number the rows are skipped.
  /// Otherwise every feature is a number, except those in ``categorical``.
  public var infersColumns: Bool
  /// Whether to subtract a number near the mean from number columns whose values are large compared with
  /// their spread, such as times in seconds since 1970. Otherwise rounding to `Float` would merge their
  /// values.
  public var centersLargeNumbers: Bool
  /// The features, by name or by number counted from 1, whose cells are categories; each becomes one feature
  /// per category. See ``FeatureEncoding``.
  public var categorical: [String]
  /// Columns that ``infersColumns`` may not skip, by name or by number.
  public var kept: [String]
  /// The treatment of categories that a ``FeatureEncoding`` fitted on the table does not know.
  public var unknownCategory: OneHotEncoding.UnknownCategory
  /// The replacement of missing feature cells; `nil`: a missing cell is an error.
  ///
  /// Means, medians and most frequent values are those of the column. In a categorical column the replacement
  /// is the most frequent category, the first if there are several, for every strategy.
  public var missing: Imputation.Strategy?
  /// Whether a column with missing cells gets a second feature that is 1 if the cell is missing and otherwise
  /// 0. A missing cell of a categorical column then has no category.
  public var indicatesMissing: Bool
  /// The texts of a missing cell; case is ignored. If one of them is a number, every cell with that number is
  /// missing, in any notation.
  public var missingTexts: [String]
  /// Whether bad rows are skipped and counted (see ``CSVTable/skippedRows``) or are errors.
  ///
  /// A bad row has another number of cells than the first row, a quote that does not close or closes too
  /// early, or, for a data set, a cell that is not valid in its column. After such a quote, the next row
  /// begins with the next line.
  public var skipsBadRows: Bool

  /// The names of a model's columns: a first row that includes them all is the header.
  var expectedNames: [String] = []
  /// Whether the table is for a model without column names; a single row is then not a header.
  var expectsNoNames = false

  /// The default texts of a missing cell.
  public static let usualMissingTexts = [
    "", "NA", "N/A", "NaN", "null", "None", "<NA>", "#N/A", "#NA", "?", "-", ".",
  ]

  /// Creates options. By default every feature is an unchanged number, and the last column is the target.
  public init(
    target: [String] = [], features: [String]? = nil, ignored: [String] = [], id: String? = nil,
    weights: String? = nil, header: Header = .automatic, delimiter: Character? = nil,
    decimal: Character = ".",
    thousands: Character? = nil, task: LearningTask = .automatic, infersColumns: Bool = false,
    centersLargeNumbers: Bool = false, categorical: [String] = [], kept: [String] = [],
    unknownCategory: OneHotEncoding.UnknownCategory = .error, missing: Imputation.Strategy? = nil,
    indicatesMissing: Bool = false, missingTexts: [String] = CSVOptions.usualMissingTexts,
    skipsBadRows: Bool = false
  ) {
    self.target = target
    self.features = features
    self.ignored = ignored
    self.id = id
    self.weights = weights
    self.header = header
    self.delimiter = delimiter
    self.decimal = decimal
    self.thousands = thousands
    self.task = task
    self.infersColumns = infersColumns
    self.centersLargeNumbers = centersLargeNumbers
    self.categorical = categorical
    self.kept = kept
    self.unknownCategory = unknownCategory
    self.missing = missing
    self.indicatesMissing = indicatesMissing
    self.missingTexts = missingTexts
    self.skipsBadRows = skipsBadRows
  }

  /// Creates options for a table with columns of these names: a first row that includes them all is the
  /// header.
  public init(named names: [String]?) {
    self.init()
    expectedNames = names ?? []
  }

  /// Sets the options to read a table for an encoding: the format of its numbers, its missing cells, and the
  /// names of its columns, which identify a header.
  public mutating func expect(_ encoding: TableEncoding?) {
    guard let features = encoding?.features else { return }
    decimal = features.decimal
    thousands = features.thousands
    missingTexts = features.missingTexts
    expectedNames = features.columnNames ?? []
  }

  /// Creates options for any table: columns are inferred, missing cells are replaced by the median and
  /// indicated, and a category that was not in the training data has all its features 0.
  public static func anyTable(target: [String] = [], task: LearningTask = .automatic) -> CSVOptions {
    CSVOptions(
      target: target, task: task, infersColumns: true, centersLargeNumbers: true, unknownCategory: .zeros,
      missing: .median, indicatesMissing: true)
  }
}
