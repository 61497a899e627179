/// How a CSV text is read, and what its columns mean.
public struct CSVOptions: Sendable, Equatable {
  /// Whether the first row names the columns.
  public enum Header: String, Sendable, CaseIterable {
    /// Each cell of the first row is compared with the other cells of its column: a text above numbers is a name, a
    /// value that occurs again below is not. ``CSVTable/notes`` says what was decided where that was a guess.
    case automatic
    /// It does.
    case yes
    /// It is a row like any other.
    case no
  }

  /// What the target columns hold.
  public enum LearningTask: String, Sendable, CaseIterable {
    /// Classes where there is one target column, and
    /// - its cells are text, or
    /// - its cells are all whole numbers, and either the column is named `class` or `label`, or they have 2 to 20
    ///   different values that occur at least twice on average.
    ///
    /// Labels where there are several target columns of nothing but 0 and 1. A regression otherwise.
    case automatic
    /// The cells of the one target column name classes, by their text: "1", "01" and "1.0" are three classes.
    case classification
    /// The cells of the target columns are numbers to predict, also where they are all 0 and 1.
    case regression
    /// Each target column is 0 or 1, independently of the others: the row has the label or not.
    case multilabel
  }

  /// The columns to predict, by name or by number counted from 1; none: the last column.
  public var target: [String]
  /// The columns to predict from, in this order, by name or by number; nil: all that have no other role.
  public var features: [String]?
  /// Columns that are left out, by name or by number.
  public var ignored: [String]
  /// A column that identifies a row and is no feature, by name or by number.
  public var id: String?
  /// A column with the weight of each row in the loss, at least 0, by name or by number.
  public var weights: String?
  /// Whether the first row names the columns.
  public var header: Header
  /// The character between two cells, one of ASCII; a space stands for any run of spaces and tabs. Nil: the one of
  /// tab, ";", "|", "," and space by which the first lines have the same number of cells.
  public var delimiter: Character?
  /// The character before the fraction of a number: "." or ",".
  public var decimal: Character
  /// The character between groups of three digits; nil: there is none.
  public var thousands: Character?
  /// What the target columns hold.
  public var task: LearningTask
  /// Whether the cells of a feature column decide what it is: text columns become categories, ISO 8601 dates become
  /// days since 1970, and columns that are constant or number the rows are left out. Otherwise every feature is a
  /// number, unless it is among ``categorical``.
  public var infersColumns: Bool
  /// Whether a number column whose values are large beside their spread, such as times in seconds since 1970, has a number
  /// near its mean taken away before it is rounded to `Float`, which would otherwise merge its values.
  public var centersLargeNumbers: Bool
  /// The features, by name or by number counted from 1, whose cells name categories; each becomes one feature a
  /// category. See ``FeatureEncoding``.
  public var categorical: [String]
  /// Columns that ``infersColumns`` may not leave out, by name or by number.
  public var kept: [String]
  /// What becomes of a category that is unknown to a ``FeatureEncoding`` fitted on the table.
  public var unknownCategory: OneHotEncoding.UnknownCategory
  /// What takes the place of a missing cell of a feature; nil: a missing cell is an error.
  ///
  /// Means, medians and most frequent values are those of the column. In a categorical column it is the most
  /// frequent category, the first of several, whatever the strategy.
  public var missing: Imputation.Strategy?
  /// Whether a column with missing cells gets a second feature, 1 where the cell is missing and otherwise 0. A missing
  /// cell of a categorical column then has no category.
  public var indicatesMissing: Bool
  /// The texts of a missing cell, in capitals or not. Where one of them is a number, so is every cell of that number,
  /// however it is written.
  public var missingTexts: [String]
  /// Whether a bad row is left out and counted, see ``CSVTable/skippedRows``, or an error.
  ///
  /// A bad row has another number of cells than the first, a quote that does not close or closes too early, or, for a
  /// data set, a cell that its column cannot have. After such a quote, the next row begins with the next line.
  public var skipsBadRows: Bool

  /// The names of a model's columns: a first row that has them all is the header.
  var expectedNames: [String] = []
  /// Whether the table is for a model of one without names: then a single row is none of names.
  var expectsNoNames = false

  /// What a missing cell says in any table.
  public static let usualMissingTexts = [
    "", "NA", "N/A", "NaN", "null", "None", "<NA>", "#N/A", "#NA", "?", "-", ".",
  ]

  /// Every feature a number as it stands, and the last column the target, unless said otherwise.
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

  /// The options for a table with columns of these names: a first row that has them all is the header.
  public init(named names: [String]?) {
    self.init()
    expectedNames = names ?? []
  }

  /// Reads a table for an encoding: its numbers, its missing cells, and its columns, by which a header is known.
  public mutating func expect(_ encoding: TableEncoding?) {
    guard let features = encoding?.features else { return }
    decimal = features.decimal
    thousands = features.thousands
    missingTexts = features.missingTexts
    expectedNames = features.columnNames ?? []
  }

  /// Any table: columns are inferred, gaps take the median and are indicated, and a category that was not seen in
  /// training is none.
  public static func anyTable(target: [String] = [], task: LearningTask = .automatic) -> CSVOptions {
    CSVOptions(
      target: target, task: task, infersColumns: true, centersLargeNumbers: true, unknownCategory: .zeros,
      missing: .median, indicatesMissing: true)
  }
}
