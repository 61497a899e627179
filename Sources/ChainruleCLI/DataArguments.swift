import ArgumentParser
import Chainrule

/// Which data a command reads.
struct DataArguments: ParsableArguments {
  @Argument(
    help: """
      A CSV file, an IDX file of images, "-" for CSV on standard input, or the name of a bundled set: \
      \(bundledNames). A file of such a name needs its folder: ./iris.
      """)
  var data: String

  @Option(
    help: ArgumentHelp(
      "The character between two cells of CSV: \",\" unless given. \"tab\" names the tabulator.",
      valueName: "character"),
    transform: parseDelimiter)
  var delimiter: Character?

  func source() throws -> DataSource {
    let source = try DataSource(data)
    if delimiter != nil { try source.requireCSV(for: "--delimiter") }
    return source
  }

  private static let bundledNames = BundledDataset.allCases.map(\.rawValue).joined(separator: ", ")
}

/// What is to be predicted from the data.
struct TargetArguments: ParsableArguments {
  @Option(
    name: .customLong("target"), parsing: .singleValue,
    help: ArgumentHelp(
      "A column of the CSV to predict, by name or by number from 1; may be given more than once. "
        + "By default the last column.",
      valueName: "column"))
  var targets: [String] = []

  @Option(
    help: ArgumentHelp(
      "The IDX file of the images' labels. By default the file that MNIST's naming gives: "
        + "labels-idx1 beside images-idx3.",
      valueName: "file"))
  var labels: String?

  func check(against source: DataSource) throws {
    if !targets.isEmpty { try source.requireCSV(for: "--target") }
    if labels != nil, case .idx = source { return }
    if labels != nil, source.isNumPy { return }
    if labels != nil {
      throw ValidationError("--labels goes with an IDX file of images; \(source) is none")
    }
  }
}

/// What the columns of CSV hold, where it is not to be seen or not numbers as they stand.
struct ColumnArguments: ParsableArguments {
  @Option(
    help: """
      What the targets of a CSV are. By default classes where the one target column holds text, or at most 20 \
      different whole numbers that recur.
      """)
  var task = CSVOptions.LearningTask.automatic

  @Option(
    name: .customLong("categorical"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns of the CSV whose cells name categories, by name or by number from 1, separated by commas; each "
        + "category becomes a feature of 0 and 1.",
      valueName: "columns"),
    transform: parseColumns)
  var categorical: [[String]] = []

  @Option(
    help: ArgumentHelp(
      "What takes the place of missing cells, which are empty or say NA, N/A, NaN, null or ?: the mean, median or "
        + "mostFrequent value of their column, or a number. Of categories it is the most frequent. By default they "
        + "are an error.",
      valueName: "value"),
    transform: Imputation.Strategy.init(parsing:))
  var missing: Imputation.Strategy?

  /// Whether the features are not the numbers of the columns as they stand.
  var areEncoded: Bool { !categorical.isEmpty || missing != nil }

  func check(against source: DataSource) throws {
    if task != .automatic { try source.requireCSV(for: "--task") }
    if !categorical.isEmpty { try source.requireCSV(for: "--categorical") }
    if missing != nil { try source.requireCSV(for: "--missing") }
  }
}

private func parseColumns(_ text: String) throws -> [String] {
  let columns = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  guard !columns.contains("") else {
    throw ValidationError("expected names or numbers of columns separated by commas")
  }
  return columns
}

private func parseDelimiter(_ text: String) throws -> Character {
  let delimiter: Character? = text == "tab" || text == "\\t" ? "\t" : text.count == 1 ? text.first : nil
  guard let delimiter, delimiter.isASCII, !"\"\r\n+-.0123456789eE".contains(delimiter) else {
    throw ValidationError("expected one ASCII character that is no part of a number, such as ;, or tab")
  }
  return delimiter
}
