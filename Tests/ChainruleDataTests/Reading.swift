import TestSupport
import Testing

@testable import ChainruleData

/// The scalars of texts. Strings are equal where they are canonically equivalent, such as é in both of its
/// forms; these are equal only where they are the same.
func scalars(_ texts: [String]?) -> [[UInt32]]? { texts?.map { $0.unicodeScalars.map(\.value) } }

/// What a table became, in memory.
struct Reading {
  let data: Dataset<Double>
  let encoding: TableEncoding
  /// What was said about the table and its columns.
  let notes: [TableNote]

  var names: [String]? { data.featureNames }
  var rows: [[Double]] { (0..<data.rows).map { Array(data[row: $0].features) } }
  /// The name of each row's class.
  var classes: [String]? { data.classLabels.flatMap { names in data.labels.map { $0.map { names[$0] } } } }
  var warnings: [String] { notes.filter(\.isWarning).map(\.text) }

  func says(_ text: String) -> Bool { notes.contains { $0.text.contains(text) } }
}

/// Reads a table in memory, and expects the same data set from the file part by part, and from a table with
/// the columns in reverse whose cells the same encoding reads.
func read(
  _ bytes: [UInt8], _ options: CSVOptions, chunks: [Int] = [16, 23, 64, 1 << 20],
  at place: SourceLocation = #_sourceLocation
) throws -> Reading {
  let table = try CSVTable(bytes: bytes, options: options)
  let (encoding, notes) = try TableEncoding.fitting(table)
  let data = try Dataset<Double>(csv: table)
  let reading = Reading(
    data: data, encoding: encoding, notes: table.notes.map { TableNote(text: $0) } + notes)

  let file = try TemporaryFile(bytes)
  for chunk in chunks {
    let source = try CSVSource<Double>(file: file.path, options: options, chunk: chunk)
    #expect(try Dataset(source) == data, "in parts of \(chunk) bytes", sourceLocation: place)
    #expect(scalars(source.classLabels) == scalars(data.classLabels), "chunk \(chunk)", sourceLocation: place)
    if !options.skipsBadRows {
      #expect(source.encoding == encoding.features, "chunk \(chunk)", sourceLocation: place)
      #expect(source.targets == encoding.targets, "chunk \(chunk)", sourceLocation: place)
      #expect(source.notes == reading.notes, "chunk \(chunk)", sourceLocation: place)
    }
  }

  guard let names = table.columnNames, !options.skipsBadRows else { return reading }
  func quoted(_ text: String) -> String { "\"\(text.replacing("\"", with: "\"\""))\"" }
  let columns = try names.indices.map { try table.texts(inColumn: $0) }
  var text = names.reversed().map(quoted).joined(separator: ";") + "\n"
  for row in 0..<table.rows {
    text += columns.reversed().map { quoted($0[row]) }.joined(separator: ";") + "\n"
  }
  var reversed = encoding.features.readingOptions
  reversed.delimiter = ";"
  reversed.header = .yes
  reversed.target = options.target.isEmpty ? [names[names.count - 1]] : options.target
  reversed.weights = options.weights
  let other = try CSVTable(bytes: Array(text.utf8), options: reversed)
  #expect(
    try Dataset(csv: other, encoding: encoding.features, targets: encoding.targets) == data,
    "columns in reverse",
    sourceLocation: place)
  return reading
}

func read(
  _ text: String, _ options: CSVOptions = .anyTable(), at place: SourceLocation = #_sourceLocation
) throws -> Reading {
  try read(Array(text.utf8), options, at: place)
}
